#include "engine/refine/refinement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "engine/online/assigner.h"
#include "engine/score/sampling.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"
#include "tests/engine/refine/scene.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::make_scene;
using test::MemoryFeatures;
using test::Scene;
using test::with_clusters;

Result<Candidate> run(FeatureSource& features,
                      const std::vector<RowConstraint>& constraints,
                      const RefinementOptions& options,
                      const std::vector<ClusterId>& known = {},
                      const RunControl& control = {}) {
  const auto method = make_refinement_method("km").value();
  EarlierEpoch earlier;
  earlier.clusters = known;
  return run_refinement(*method, features, constraints, earlier, options,
                        control);
}

TEST(Refinement, FindsTheKindsAndDescribesThemFully) {
  Scene scene = make_scene(600, 8, 1);
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(600), with_clusters(8))
          .value();
  EXPECT_DOUBLE_EQ(nmi(scene.truth, candidate.labels).value(), 1.0);
  EXPECT_EQ(candidate.method, "km");
  ASSERT_EQ(candidate.clusters.size(), 8U);
  ASSERT_EQ(candidate.embeddings.rows(), 600);
  for (const CandidateCluster& cluster : candidate.clusters) {
    EXPECT_FALSE(cluster.id.valid());
    EXPECT_TRUE(cluster.parents.empty());
    ASSERT_EQ(cluster.prototypes.size(), 1U);
    EXPECT_GT(cluster.prototypes[0].novelty_threshold, 0);
  }
  EXPECT_GT(candidate.scores.at("silhouette"), 0.3);
  // The unit of z is the members' root mean squared distance.
  EXPECT_NEAR(candidate.scores.at("inertia"), 600, 1);
  EXPECT_EQ(candidate.churn, 0);
}

TEST(Refinement, TheModelGivesTheEmbeddingsAndTheAssignerTheLabels) {
  Scene scene = make_scene(300, 5, 2);
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(300), with_clusters(5))
          .value();
  std::vector<std::size_t> rows(300);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  const Matrix z = candidate.model->embed(scene.features.read(rows).value());
  EXPECT_TRUE(z.isApprox(candidate.embeddings, 1e-4F));
  std::vector<Assigner::Cluster> clusters;
  for (std::size_t c = 0; c < candidate.clusters.size(); ++c) {
    clusters.push_back({ClusterId(c + 1), candidate.clusters[c].prototypes});
  }
  const Assigner assigner(clusters);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Assignment a =
        assigner.assign(z.row(static_cast<Eigen::Index>(i)).transpose(), {});
    EXPECT_EQ(a.nearest.value(),
              static_cast<std::uint64_t>(candidate.labels[i]) + 1);
    EXPECT_NEAR(a.distance, candidate.distances[i], 1e-3);
    EXPECT_NEAR(a.confidence, candidate.confidences[i], 1e-3);
  }
}

TEST(Refinement, EstimatesTheNumberOfClusters) {
  Scene scene = make_scene(500, 9, 3);
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(500), {}).value();
  EXPECT_EQ(candidate.clusters.size(), 9U) << candidate.note;
  EXPECT_NE(candidate.note.find("silhouette"), std::string::npos);
}

TEST(Refinement, IsDeterministicForASeed) {
  Scene scene = make_scene(400, 6, 4);
  const std::vector<RowConstraint> constraints(400);
  const Candidate a =
      run(scene.features, constraints, with_clusters(10)).value();
  const Candidate b =
      run(scene.features, constraints, with_clusters(10)).value();
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.embeddings, b.embeddings);
  EXPECT_EQ(a.scores, b.scores);
  EXPECT_EQ(a.model->serialize(), b.model->serialize());
}

TEST(Refinement, ASecondRunKeepsTheIdsAndTellsTheChurn) {
  Scene scene = make_scene(400, 4, 5);
  std::vector<RowConstraint> constraints(400);
  std::vector<ClusterId> known;
  for (std::uint64_t id = 11; id <= 14; ++id) known.emplace_back(id);
  for (std::size_t i = 0; i < 400; ++i) {
    constraints[i].previous = known[static_cast<std::size_t>(scene.truth[i])];
  }
  // Ten images of kind 0 used to be in the wrong cluster, ten were new.
  for (std::size_t i = 0; i < 40; i += 4) constraints[i].previous = known[1];
  for (std::size_t i = 41; i < 81; i += 4) {
    constraints[i].previous = ClusterId();
  }
  const Candidate candidate =
      run(scene.features, constraints, with_clusters(4), known).value();
  for (std::size_t i = 0; i < 400; ++i) {
    const auto label = static_cast<std::size_t>(candidate.labels[i]);
    EXPECT_EQ(candidate.clusters[label].id,
              known[static_cast<std::size_t>(scene.truth[i])]);
  }
  EXPECT_TRUE(candidate.ended.empty());
  EXPECT_NEAR(candidate.churn, 10.0 / 390, 1e-9);
}

TEST(Refinement, KnownClustersThatNothingContinuesHaveEnded) {
  Scene scene = make_scene(200, 2, 6);
  std::vector<RowConstraint> constraints(200);
  for (std::size_t i = 0; i < 200; ++i) {
    constraints[i].previous = ClusterId(i % 4 + 1);
  }
  const Candidate candidate = run(scene.features, constraints, with_clusters(2),
                                  {ClusterId(1), ClusterId(2), ClusterId(3),
                                   ClusterId(4), ClusterId(99)})
                                  .value();
  // Kind 0 holds the images of 1 and 3, kind 1 those of 2 and 4.
  EXPECT_EQ(candidate.ended.size(), 3U);
  EXPECT_TRUE(candidate.ended.at(ClusterId(99)).empty());
  for (const auto& [id, heirs] : candidate.ended) {
    if (id != ClusterId(99)) {
      EXPECT_EQ(heirs.size(), 1U);
    }
  }
}

TEST(Refinement, FixedImagesStayAndMustNotHoldsForEveryImage) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Scene scene = make_scene(300, 5, 20 + seed);
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::uint64_t> any(1, 7);
    std::vector<RowConstraint> constraints(300);
    std::vector<ClusterId> known;
    for (std::uint64_t id = 1; id <= 7; ++id) known.emplace_back(id);
    for (std::size_t i = 0; i < 300; ++i) {
      constraints[i].previous =
          ClusterId(static_cast<std::uint64_t>(scene.truth[i]) + 1);
      if (i % 7 == 0) {
        // At odds with the features on purpose.
        constraints[i].fixed = ClusterId(any(random) % 3 + 1);
      }
      if (i % 3 == 0) {
        const ClusterId id(any(random));
        if (constraints[i].fixed != id) constraints[i].must_not.push_back(id);
        // A person may well rule out the cluster that the image is in.
        if (constraints[i].fixed != constraints[i].previous) {
          constraints[i].must_not.push_back(constraints[i].previous);
        }
      }
    }
    RefinementOptions options = with_clusters(5);
    options.seed = seed;
    // Every second seed learns on a sample.
    options.max_train_images = seed % 2 == 0 ? 300 : 80;
    const Candidate candidate =
        run(scene.features, constraints, options, known).value();
    std::set<ClusterId> seen;
    for (const CandidateCluster& cluster : candidate.clusters) {
      if (cluster.id.valid()) {
        EXPECT_TRUE(seen.insert(cluster.id).second);
      }
    }
    for (std::size_t i = 0; i < 300; ++i) {
      const int label = candidate.labels[i];
      ASSERT_GE(label, -1);
      if (constraints[i].fixed.valid()) {
        ASSERT_GE(label, 0);
        ASSERT_EQ(candidate.clusters[static_cast<std::size_t>(label)].id,
                  constraints[i].fixed);
      }
      if (label < 0) continue;
      for (const ClusterId id : constraints[i].must_not) {
        ASSERT_NE(candidate.clusters[static_cast<std::size_t>(label)].id, id);
      }
    }
  }
}

TEST(Refinement, AnImageRuledOutEverywhereGoesToThePool) {
  Scene scene = make_scene(60, 2, 7);
  std::vector<RowConstraint> constraints(60);
  for (std::size_t i = 0; i < 60; ++i) {
    constraints[i].previous = ClusterId(i % 2 + 1);
  }
  constraints[0].fixed = ClusterId(1);
  constraints[1].fixed = ClusterId(2);
  constraints[8].must_not = {ClusterId(1), ClusterId(2)};
  const Candidate candidate = run(scene.features, constraints, with_clusters(2),
                                  {ClusterId(1), ClusterId(2)})
                                  .value();
  EXPECT_EQ(candidate.labels[8], -1);
  EXPECT_EQ(candidate.confidences[8], 0);
  EXPECT_EQ(std::count(candidate.labels.begin(), candidate.labels.end(), -1),
            1);
  EXPECT_NEAR(candidate.churn, 1.0 / 58, 1e-9);
}

TEST(Refinement, MoreFixedClustersThanAskedForAllLive) {
  Scene scene = make_scene(100, 2, 8);
  std::vector<RowConstraint> constraints(100);
  for (std::size_t i = 0; i < 6; ++i) {
    constraints[i].fixed = ClusterId(i + 1);
  }
  const Candidate candidate =
      run(scene.features, constraints, with_clusters(2)).value();
  EXPECT_EQ(candidate.clusters.size(), 6U);
  EXPECT_NE(candidate.note.find("raised to 6"), std::string::npos);
}

TEST(Refinement, AllImagesFixedIsARunToo) {
  Scene scene = make_scene(40, 2, 9);
  std::vector<RowConstraint> constraints(40);
  for (std::size_t i = 0; i < 40; ++i) {
    constraints[i].fixed = ClusterId(i % 2 + 1);
  }
  const Candidate candidate =
      run(scene.features, constraints, with_clusters(5)).value();
  EXPECT_EQ(candidate.clusters.size(), 2U);
  EXPECT_EQ(candidate.churn, 0);
}

TEST(Refinement, ThresholdsFollowWhatPeopleFixedWhereThereIsEnough) {
  Scene scene = make_scene(200, 2, 10);
  std::vector<RowConstraint> constraints(200);
  const Candidate free =
      run(scene.features, constraints, with_clusters(2)).value();
  // The five images of kind 0 that are nearest to its centre are confirmed.
  std::vector<std::size_t> kind;
  for (std::size_t i = 0; i < 200; i += 2) kind.push_back(i);
  std::sort(kind.begin(), kind.end(), [&](std::size_t a, std::size_t b) {
    return free.distances[a] < free.distances[b];
  });
  for (int i = 0; i < kMinThresholdMembers; ++i) {
    constraints[kind[static_cast<std::size_t>(i)]].fixed = ClusterId(3);
  }
  // Runs fix the nearest: they say nothing of how far a member may be.
  const Candidate by_runs =
      run(scene.features, constraints, with_clusters(2)).value();
  for (RowConstraint& constraint : constraints) {
    constraint.by_person = constraint.fixed.valid();
  }
  const Candidate some =
      run(scene.features, constraints, with_clusters(2)).value();
  const auto threshold = [](const Candidate& candidate, std::size_t row) {
    return candidate.clusters[static_cast<std::size_t>(candidate.labels[row])]
        .prototypes[0]
        .novelty_threshold;
  };
  EXPECT_NEAR(threshold(by_runs, 0), threshold(free, 0), 1e-3);
  EXPECT_LT(threshold(some, 0), 0.9F * threshold(free, 0));
  EXPECT_NEAR(threshold(some, 1), threshold(free, 1), 1e-3);
  // All members: none is novel in its own cluster at this slack.
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_LE(free.distances[i], threshold(free, i));
  }
}

TEST(Refinement, IdenticalImagesDoNotMakeAClusterThatTakesNothing) {
  auto blobs = make_blobs(120, 10, 2, 3, 11);
  for (Eigen::Index i = 0; i < 120; i += 2) {
    blobs.data.row(i) = blobs.data.row(0);
  }
  MemoryFeatures features({blobs.data});
  const Candidate candidate =
      run(features, std::vector<RowConstraint>(120), with_clusters(2)).value();
  for (const CandidateCluster& cluster : candidate.clusters) {
    EXPECT_GT(cluster.prototypes[0].novelty_threshold, 0.1F);
  }
}

TEST(Refinement, ReadsInBlocksAndLearnsOnASampleOfManyImages) {
  Scene scene = make_scene(5000, 6, 12);
  RefinementOptions options = with_clusters(6);
  options.max_train_images = 500;
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(5000), options).value();
  EXPECT_LE(scene.features.largest_read(), 1024U);
  EXPECT_DOUBLE_EQ(nmi(scene.truth, candidate.labels).value(), 1.0);
  EXPECT_NE(candidate.note.find("500 of 5000"), std::string::npos);
}

TEST(Refinement, RareFixedImagesAreInTheSample) {
  Scene scene = make_scene(3000, 3, 13);
  std::vector<RowConstraint> constraints(3000);
  // Thirty clusters with one fixed image each, of 3,000.
  for (std::size_t i = 0; i < 30; ++i) {
    constraints[i * 100].fixed = ClusterId(i + 1);
  }
  RefinementOptions options = with_clusters(30);
  options.max_train_images = 100;
  const Candidate candidate = run(scene.features, constraints, options).value();
  ASSERT_EQ(candidate.clusters.size(), 30U);
  for (std::size_t i = 0; i < 30; ++i) {
    const int label = candidate.labels[i * 100];
    EXPECT_EQ(candidate.clusters[static_cast<std::size_t>(label)].id,
              ClusterId(i + 1));
  }
}

TEST(Refinement, ProgressRisesToOneAndNamesStages) {
  Scene scene = make_scene(3000, 4, 14);
  double last = 0;
  std::set<std::string> stages;
  RunControl control;
  control.progress = [&](std::string_view stage, double fraction) {
    EXPECT_GE(fraction, last);
    EXPECT_LE(fraction, 1);
    last = fraction;
    stages.emplace(stage);
  };
  ASSERT_TRUE(run(scene.features, std::vector<RowConstraint>(3000),
                  with_clusters(4), {}, control)
                  .has_value());
  EXPECT_DOUBLE_EQ(last, 1);
  EXPECT_GE(stages.size(), 4U);
}

TEST(Refinement, CanBeCancelledAtEveryQuestion) {
  Scene scene = make_scene(1500, 4, 15);
  int questions = 0;
  RunControl counting;
  counting.cancelled = [&] {
    ++questions;
    return false;
  };
  const std::vector<RowConstraint> constraints(1500);
  ASSERT_TRUE(run(scene.features, constraints, {}, {}, counting).has_value());
  ASSERT_GT(questions, 20);
  for (int stop = 1; stop <= questions; stop += 1 + questions / 10) {
    int asked = 0;
    RunControl control;
    control.cancelled = [&] { return ++asked >= stop; };
    const auto result = run(scene.features, constraints, {}, {}, control);
    ASSERT_FALSE(result.has_value()) << stop;
    EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  }
}

TEST(Refinement, RefusesWhatCannotBe) {
  Scene scene = make_scene(10, 2, 16);
  const auto error = [&](const std::vector<RowConstraint>& constraints,
                         const RefinementOptions& options) {
    const auto result = run(scene.features, constraints, options);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  std::vector<RowConstraint> constraints(10);
  EXPECT_EQ(error(constraints, with_clusters(11)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(std::vector<RowConstraint>(9), with_clusters(2)),
            ErrorCode::kInvalidArgument);
  RefinementOptions options = with_clusters(2);
  options.embedding_dim = 0;
  EXPECT_EQ(error(constraints, options), ErrorCode::kInvalidArgument);
  constraints[4].fixed = ClusterId(3);
  constraints[4].must_not = {ClusterId(3)};
  EXPECT_EQ(error(constraints, with_clusters(2)), ErrorCode::kInvalidArgument);
}

TEST(Refinement, AReadErrorEndsTheRun) {
  Scene scene = make_scene(100, 2, 17);
  scene.features.fail();
  EXPECT_EQ(
      run(scene.features, std::vector<RowConstraint>(100), with_clusters(2))
          .error()
          .code,
      ErrorCode::kIo);
}

TEST(RefinementMethods, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  const auto result = make_refinement_method("dmvc2");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_NE(result.error().message.find("km"), std::string::npos);
}

}  // namespace
}  // namespace shoal
