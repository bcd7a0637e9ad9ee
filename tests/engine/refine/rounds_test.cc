// What run_refinement does beyond one unsupervised round: transfer between
// rounds, comparison with the earlier epoch, births.

#include <algorithm>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "engine/refine/refinement.h"
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

constexpr int kImages = 400;
constexpr int kKinds = 4;

/// View 0 is weak; view 1, the net's, tells the kinds apart.
Scene weak_view_and_net() {
  auto weak = make_blobs(kImages, 10, kKinds, 0.9F, 3);
  auto net = make_blobs(kImages, 16, kKinds, 3, 40);
  return {MemoryFeatures({weak.data, net.data}), weak.truth};
}

RefinementOptions transfer_options(int rounds) {
  RefinementOptions options = with_clusters(kKinds);
  options.confirmation = {0.2, 0, 1};
  options.transfer.rounds = rounds;
  options.transfer.net = 1;
  options.transfer.cluster_net = false;
  options.max_confirm_share = 1;
  return options;
}

Result<Candidate> run(FeatureSource& features,
                      const std::vector<RowConstraint>& constraints,
                      const RefinementOptions& options,
                      const EarlierEpoch& earlier = {},
                      const RunControl& control = {}) {
  return run_refinement(*make_refinement_method("km").value(), features,
                        constraints, earlier, options, control);
}

double right(const std::vector<int>& labels, const std::vector<int>& truth) {
  return accuracy(truth, labels).value();
}

TEST(TransferRounds, EachLearnsFromWhatIsConfirmedAndFindsMore) {
  Scene scene = weak_view_and_net();
  const std::vector<RowConstraint> constraints(kImages);
  std::vector<double> accuracies;
  std::vector<std::vector<int>> labels;
  std::vector<std::vector<bool>> finals;
  RunControl control;
  control.round_ended = [&](int round, const std::vector<int>& now,
                            const std::vector<bool>& final_rows) {
    EXPECT_EQ(round, static_cast<int>(labels.size()));
    accuracies.push_back(right(now, scene.truth));
    labels.push_back(now);
    finals.push_back(final_rows);
  };
  const Candidate candidate =
      run(scene.features, constraints, transfer_options(2), {}, control)
          .value();
  ASSERT_EQ(accuracies.size(), 3U);
  EXPECT_LT(accuracies[0], 0.95);
  EXPECT_GT(accuracies[2], accuracies[0] + 0.03);
  EXPECT_EQ(candidate.labels, labels[2]);
  EXPECT_NE(candidate.note.find("2 transfer rounds with view1"),
            std::string::npos)
      << candidate.note;
  // (b) and (c): what is final stays so, and images that are final together
  // stay together.
  for (std::size_t r = 0; r + 1 < finals.size(); ++r) {
    EXPECT_LT(std::count(finals[r].begin(), finals[r].end(), true),
              std::count(finals[r + 1].begin(), finals[r + 1].end(), true));
    std::map<int, std::set<int>> heirs;
    for (std::size_t i = 0; i < kImages; ++i) {
      if (!finals[r][i]) continue;
      EXPECT_TRUE(finals[r + 1][i]);
      heirs[labels[r][i]].insert(labels[r + 1][i]);
    }
    EXPECT_EQ(heirs.size(), static_cast<std::size_t>(kKinds));
    for (const auto& [before, after] : heirs) EXPECT_EQ(after.size(), 1U);
  }
  for (std::size_t i = 0; i < kImages; ++i) {
    EXPECT_EQ(candidate.confirmed[i] != 0, finals[2][i]);
  }
  // New clusters have no id, whatever they were called between rounds.
  for (const CandidateCluster& cluster : candidate.clusters) {
    EXPECT_FALSE(cluster.id.valid());
  }
}

TEST(TransferRounds, TheModelReadsTheStoredViewsAndGivesTheEmbeddings) {
  Scene scene = weak_view_and_net();
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(kImages),
          transfer_options(1))
          .value();
  ASSERT_EQ(candidate.model->inputs().size(), 2U);
  EXPECT_EQ(candidate.model->inputs()[1].view, "view1");
  std::vector<std::size_t> rows(kImages);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const auto loaded =
      load_embedding_model(candidate.model->serialize()).value();
  EXPECT_TRUE(loaded->embed(scene.features.read(rows).value())
                  .isApprox(candidate.embeddings, 1e-4F));
}

TEST(TransferRounds, WithoutConfirmedImagesThereIsOneRoundOnTheViewsAlone) {
  Scene scene = weak_view_and_net();
  RefinementOptions options = transfer_options(3);
  options.confirmation.share = 0;
  int rounds = 0;
  RunControl control;
  control.round_ended = [&](int, const auto&, const auto&) { ++rounds; };
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(kImages), options, {},
          control)
          .value();
  EXPECT_EQ(rounds, 1);
  ASSERT_EQ(candidate.model->inputs().size(), 1U);
  EXPECT_EQ(candidate.model->inputs()[0].view, "view0");
}

TEST(TransferRounds, ARunConfirmsNoMoreThanItsShare) {
  Scene scene = weak_view_and_net();
  RefinementOptions options = transfer_options(5);
  options.max_confirm_share = 0.4;
  const Candidate candidate =
      run(scene.features, std::vector<RowConstraint>(kImages), options).value();
  EXPECT_EQ(std::accumulate(candidate.confirmed.begin(),
                            candidate.confirmed.end(), 0),
            kImages * 4 / 10);
  EXPECT_EQ(candidate.scores.at("images_confirmed"), kImages * 4 / 10);
}

TEST(TransferRounds, NoneBeginsThatWouldNotEndInTime) {
  Scene scene = weak_view_and_net();
  RefinementOptions options = transfer_options(5);
  options.budget = std::chrono::duration<double>(1e-9);
  int rounds = 0;
  RunControl control;
  control.round_ended = [&](int, const auto&, const auto&) { ++rounds; };
  ASSERT_TRUE(run(scene.features, std::vector<RowConstraint>(kImages), options,
                  {}, control));
  EXPECT_EQ(rounds, 1);
}

TEST(TransferRounds, FixedAndRuledOutImagesHoldInEveryRound) {
  Scene scene = weak_view_and_net();
  std::vector<RowConstraint> constraints(kImages);
  for (std::size_t i = 0; i < kImages; i += 5) {
    // Wrong for a third of them.
    constraints[i].fixed = ClusterId(
        static_cast<std::uint64_t>((scene.truth[i] + (i % 3 == 0)) % kKinds) +
        1);
    constraints[i].by_person = i % 2 == 0;
  }
  for (std::size_t i = 1; i < kImages; i += 5) {
    constraints[i].must_not = {
        ClusterId(static_cast<std::uint64_t>(scene.truth[i]) + 1)};
  }
  const Candidate candidate =
      run(scene.features, constraints, transfer_options(2)).value();
  for (std::size_t i = 0; i < kImages; ++i) {
    const int label = candidate.labels[i];
    const ClusterId id =
        label < 0 ? ClusterId()
                  : candidate.clusters[static_cast<std::size_t>(label)].id;
    if (constraints[i].fixed.valid()) {
      EXPECT_EQ(id, constraints[i].fixed);
      EXPECT_EQ(candidate.confirmed[i], 0);
    }
    for (const ClusterId ruled_out : constraints[i].must_not) {
      EXPECT_NE(id, ruled_out);
    }
  }
}

// ------------------------------------------------- the earlier epoch

std::vector<RowConstraint> labelled(const std::vector<int>& labels) {
  std::vector<RowConstraint> constraints(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    constraints[i].previous =
        ClusterId(static_cast<std::uint64_t>(labels[i]) + 1);
  }
  return constraints;
}

/// The epoch that `candidate` would be, its clusters numbered from 1.
EarlierEpoch epoch_of(Candidate candidate) {
  EarlierEpoch epoch;
  epoch.model = std::move(candidate.model);
  epoch.centroids.resize(static_cast<Eigen::Index>(candidate.clusters.size()),
                         epoch.model->dim());
  for (std::size_t c = 0; c < candidate.clusters.size(); ++c) {
    epoch.clusters.emplace_back(c + 1);
    epoch.centroid_clusters.emplace_back(c + 1);
    epoch.centroids.row(static_cast<Eigen::Index>(c)) =
        candidate.clusters[c].prototypes[0].centroid.transpose();
  }
  return epoch;
}

/// Learns nothing: cuts the images into clusters by their position.
class BadMethod final : public RefinementMethod {
 public:
  [[nodiscard]] std::string_view name() const override { return "bad"; }
  Result<MethodResult> learn(const MethodInput& input,
                             const RunControl& control) const override {
    SHOAL_TRY(result,
              make_refinement_method("km").value()->learn(input, control));
    const auto k = result.centroids.rows();
    for (std::size_t i = 0; i < result.labels.size(); ++i) {
      if (input.must_link[i] >= 0) continue;
      result.labels[i] = static_cast<int>(i / 7 % static_cast<std::size_t>(k));
    }
    return std::move(result);
  }
};

TEST(EarlierEpoch, AnEqualRunRaisesNoConcern) {
  Scene scene = make_scene(kImages, kKinds, 9);
  const std::vector<RowConstraint> none(kImages);
  Candidate first = run(scene.features, none, with_clusters(kKinds)).value();
  EXPECT_TRUE(first.concerns.empty());
  EXPECT_EQ(first.scores.count("views_silhouette"), 0U);
  const auto constraints = labelled(first.labels);
  RefinementOptions options = with_clusters(kKinds);
  options.max_churn = 0;
  options.score_tolerance = 1e-6;
  const Candidate second =
      run(scene.features, constraints, options, epoch_of(std::move(first)))
          .value();
  EXPECT_TRUE(second.concerns.empty());
  EXPECT_EQ(second.scores.at("images_moved"), 0);
  EXPECT_NEAR(second.scores.at("views_silhouette"),
              second.scores.at("earlier_views_silhouette"), 1e-6);
  EXPECT_EQ(second.scores.at("clusters_born"), 0);
  EXPECT_EQ(second.scores.at("clusters_retired"), 0);
}

TEST(EarlierEpoch, AWorseRunRaisesEveryConcern) {
  Scene scene = make_scene(kImages, kKinds, 9);
  Candidate first = run(scene.features, std::vector<RowConstraint>(kImages),
                        with_clusters(kKinds))
                        .value();
  auto constraints = labelled(first.labels);
  // Runs have confirmed half of the images.
  for (std::size_t i = 0; i < kImages; ++i) {
    if (i / kKinds % 2 == 0) constraints[i].fixed = constraints[i].previous;
  }
  const EarlierEpoch earlier = epoch_of(std::move(first));
  RefinementOptions options = with_clusters(kKinds);
  options.max_churn = 0.5;
  options.score_tolerance = 0.05;
  const Candidate bad = run_refinement(BadMethod(), scene.features, constraints,
                                       earlier, options, {})
                            .value();
  ASSERT_EQ(bad.concerns.size(), 4U);
  EXPECT_NE(bad.concerns[0].find("churn is 0.7"), std::string::npos)
      << bad.concerns[0];
  EXPECT_NE(bad.concerns[1].find("views_silhouette"), std::string::npos);
  EXPECT_NE(bad.concerns[2].find("views_neighbours"), std::string::npos);
  EXPECT_NE(bad.concerns[3].find("held_out_right"), std::string::npos);
  EXPECT_EQ(bad.scores.at("earlier_held_out_right"), 1);
  EXPECT_LT(bad.scores.at("held_out_right"), 0.6);
  // The confirmed labels hold all the same, those held out included.
  for (std::size_t i = 0; i < kImages; ++i) {
    if (!constraints[i].fixed.valid()) continue;
    EXPECT_EQ(bad.clusters[static_cast<std::size_t>(bad.labels[i])].id,
              constraints[i].fixed);
  }
  // Nor is churn one where there are many more images than it was learned from.
  EarlierEpoch young =
      epoch_of(run(scene.features, std::vector<RowConstraint>(kImages),
                   with_clusters(kKinds))
                   .value());
  young.images = kImages / 2;
  const Candidate grown = run_refinement(BadMethod(), scene.features,
                                         constraints, young, options, {})
                              .value();
  ASSERT_EQ(grown.concerns.size(), 3U);
  EXPECT_EQ(grown.concerns[0].find("churn"), std::string::npos);
  // A right run on the same images raises none.
  const Candidate good =
      run(scene.features, constraints, options, earlier).value();
  EXPECT_TRUE(good.concerns.empty());
  EXPECT_EQ(good.scores.at("held_out_right"), 1);
  // Nor does the bad one where nobody minds.
  options.max_churn = 1;
  options.score_tolerance = 2;
  EXPECT_TRUE(run_refinement(BadMethod(), scene.features, constraints, earlier,
                             options, {})
                  .value()
                  .concerns.empty());
}

TEST(EarlierEpoch, OneThatReadsOtherViewsHoldsNothing) {
  Scene scene = make_scene(kImages, kKinds, 9);
  Candidate first = run(scene.features, std::vector<RowConstraint>(kImages),
                        with_clusters(kKinds))
                        .value();
  const auto constraints = labelled(first.labels);
  EarlierEpoch earlier = epoch_of(std::move(first));
  RefinementOptions options = with_clusters(kKinds);
  options.max_churn = 0.5;
  options.score_tolerance = 0.05;
  EXPECT_FALSE(run_refinement(BadMethod(), scene.features, constraints, earlier,
                              options, {})
                   .value()
                   .concerns.empty());
  // The views were changed since: it cannot place what arrives.
  std::vector<std::size_t> rows(kImages);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  MemoryFeatures one_view({scene.features.read(rows).value().front()});
  EXPECT_TRUE(
      run_refinement(BadMethod(), one_view, constraints, earlier, options, {})
          .value()
          .concerns.empty());
  EarlierEpoch narrow = epoch_of(
      run(one_view, std::vector<RowConstraint>(kImages), with_clusters(kKinds))
          .value());
  EXPECT_TRUE(run_refinement(BadMethod(), scene.features, constraints, narrow,
                             options, {})
                  .value()
                  .concerns.empty());
}

TEST(EarlierEpoch, WhereArrivalsWerePutIsNoChurnOfWhatWasLearned) {
  Scene scene = make_scene(kImages, kKinds, 9);
  auto constraints = labelled(scene.truth);
  // The last half came since, and was put anywhere.
  for (std::size_t i = kImages / 2; i < kImages; ++i) {
    constraints[i].learned = false;
    constraints[i].previous = ClusterId(1);
  }
  const Candidate candidate =
      run(scene.features, constraints, with_clusters(kKinds)).value();
  EXPECT_NEAR(candidate.churn, 0.375, 0.01);
  EXPECT_NEAR(candidate.scores.at("churn_of_learned"), 0, 0.01);
}

TEST(EarlierEpoch, WhatPeopleFixedIsNeverHeldOut) {
  Scene scene = make_scene(kImages, kKinds, 9);
  auto constraints = labelled(scene.truth);
  for (RowConstraint& row : constraints) {
    row.fixed = row.previous;
    row.by_person = true;
  }
  const Candidate candidate =
      run(scene.features, constraints, with_clusters(kKinds)).value();
  EXPECT_EQ(candidate.scores.count("held_out_right"), 0U);
}

// ------------------------------------------------------------- births

TEST(Births, OneOddImageFoundsNoCluster) {
  auto blobs = make_blobs(101, 8, 2, 3, 12);
  blobs.data.row(100).setConstant(-60);  // like none
  MemoryFeatures features({blobs.data});
  std::vector<RowConstraint> constraints(101);
  for (std::size_t i = 0; i < 100; ++i) {
    constraints[i].previous = ClusterId(i % 2 + 1);
  }
  RefinementOptions options = with_clusters(3);
  const Candidate candidate = run(features, constraints, options).value();
  EXPECT_EQ(candidate.labels[100], -1);
  EXPECT_EQ(candidate.clusters.size(), 2U);
  EXPECT_EQ(candidate.scores.at("clusters_born"), 0);
  options.min_birth = 1;
  EXPECT_EQ(run(features, constraints, options).value().clusters.size(), 3U);
}

TEST(Births, ImagesOfANewKindFoundOne) {
  auto blobs = make_blobs(150, 8, 3, 6, 12);
  MemoryFeatures features({blobs.data});
  std::vector<RowConstraint> constraints(150);
  for (std::size_t i = 0; i < 150; ++i) {
    if (i % 3 != 2) constraints[i].previous = ClusterId(i % 3 + 1);
  }
  EarlierEpoch earlier;
  earlier.clusters = {ClusterId(1), ClusterId(2)};
  const Candidate candidate =
      run(features, constraints, with_clusters(3), earlier).value();
  EXPECT_EQ(candidate.scores.at("clusters_born"), 1);
  EXPECT_EQ(candidate.scores.at("images_placed"), 50);
  EXPECT_EQ(candidate.scores.at("images_moved"), 0);
}

TEST(Births, NoClusterAtAllIsAnError) {
  auto blobs = make_blobs(4, 8, 4, 3, 12);
  MemoryFeatures features({blobs.data});
  RefinementOptions options = with_clusters(4);
  const auto candidate = run(features, std::vector<RowConstraint>(4), options);
  ASSERT_FALSE(candidate);
  EXPECT_EQ(candidate.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
