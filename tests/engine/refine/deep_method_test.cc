#include "engine/refine/internal/deep_method.h"

#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "engine/online/assigner.h"
#include "engine/score/scores.h"
#include "tests/engine/refine/scene.h"

namespace shoal {
namespace {

using test::make_scene;
using test::Scene;
using test::with_clusters;

constexpr int kImages = 300;
constexpr int kKinds = 5;
/// Two partitions alone make no ensemble where one of them errs.
constexpr float kSpread = 4;

Result<Candidate> run(std::string_view method, FeatureSource& features,
                      const std::vector<RowConstraint>& constraints,
                      const RefinementOptions& options,
                      const RunControl& control = {}) {
  return run_refinement(*make_refinement_method(method).value(), features,
                        constraints, {}, options, control);
}

class EveryDeepMethod : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryDeepMethod, FindsTheKindsAndItsModelGivesThemBack) {
  Scene scene = make_scene(kImages, kKinds, 1, kSpread);
  const Candidate candidate =
      run(GetParam(), scene.features, std::vector<RowConstraint>(kImages),
          with_clusters(kKinds))
          .value();
  EXPECT_EQ(candidate.method, GetParam());
  EXPECT_DOUBLE_EQ(nmi(scene.truth, candidate.labels).value(), 1.0);
  ASSERT_EQ(candidate.clusters.size(), static_cast<std::size_t>(kKinds));

  // What the daemon does with an arrival: bytes of the model, z, the nearest.
  const auto model = load_embedding_model(candidate.model->serialize()).value();
  std::vector<std::size_t> rows(kImages);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  const Matrix z = model->embed(scene.features.read(rows).value());
  EXPECT_TRUE(z.isApprox(candidate.embeddings, 1e-4F));
  std::vector<Assigner::Cluster> clusters;
  for (std::size_t c = 0; c < candidate.clusters.size(); ++c) {
    clusters.push_back({ClusterId(c + 1), candidate.clusters[c].prototypes});
  }
  const Assigner assigner(clusters);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto label = static_cast<std::uint64_t>(candidate.labels[i]);
    EXPECT_EQ(assigner.assign(z.row(static_cast<int>(i)).transpose(), {})
                  .nearest.value(),
              label + 1)
        << i;
  }
}

TEST_P(EveryDeepMethod, KeepsFixedImagesAndWhatIsRuledOut) {
  Scene scene = make_scene(kImages, kKinds, 2, kSpread);
  std::vector<RowConstraint> constraints(kImages);
  const ClusterId first(11);
  const ClusterId second(12);
  for (std::size_t i = 0; i < kImages; ++i) {
    RowConstraint& constraint = constraints[i];
    if (scene.truth[i] == 0 && i % 4 == 0) constraint.fixed = first;
    // Against the features: images of kind 1 in the cluster of kind 0's.
    if (scene.truth[i] == 1 && i % 8 == 0) constraint.fixed = first;
    if (scene.truth[i] == 2 && i % 4 == 0) constraint.fixed = second;
    if (scene.truth[i] == 2 && i % 4 == 1) constraint.must_not = {second};
  }
  const Candidate candidate =
      run(GetParam(), scene.features, constraints, with_clusters(kKinds))
          .value();
  int fixed = 0;
  int ruled_out = 0;
  for (std::size_t i = 0; i < kImages; ++i) {
    const int label = candidate.labels[i];
    ASSERT_GE(label, 0) << i;
    const ClusterId id = candidate.clusters[static_cast<std::size_t>(label)].id;
    if (constraints[i].fixed.valid()) {
      EXPECT_EQ(id, constraints[i].fixed) << i;
      ++fixed;
    }
    if (!constraints[i].must_not.empty()) {
      EXPECT_NE(id, second) << i;
      ++ruled_out;
    }
  }
  EXPECT_GT(fixed, 20);
  EXPECT_GT(ruled_out, 5);
}

TEST_P(EveryDeepMethod, LearnsOnASampleAndLabelsTheRest) {
  Scene scene = make_scene(kImages, kKinds, 3, kSpread);
  RefinementOptions options = with_clusters(kKinds);
  options.max_train_images = 150;
  const Candidate candidate = run(GetParam(), scene.features,
                                  std::vector<RowConstraint>(kImages), options)
                                  .value();
  EXPECT_NE(candidate.note.find("learned on 150 of 300"), std::string::npos)
      << candidate.note;
  EXPECT_GT(nmi(scene.truth, candidate.labels).value(), 0.97);
}

TEST_P(EveryDeepMethod, IsDeterministicForASeed) {
  Scene scene = make_scene(kImages, kKinds, 4, kSpread);
  const std::vector<RowConstraint> constraints(kImages);
  const Candidate first =
      run(GetParam(), scene.features, constraints, with_clusters(kKinds))
          .value();
  const Candidate second =
      run(GetParam(), scene.features, constraints, with_clusters(kKinds))
          .value();
  EXPECT_EQ(first.labels, second.labels);
  EXPECT_EQ(first.model->serialize(), second.model->serialize());
}

TEST_P(EveryDeepMethod, EndsWhenItIsCancelled) {
  Scene scene = make_scene(kImages, kKinds, 5, kSpread);
  int questions = 0;
  RunControl control;
  control.cancelled = [&] { return ++questions > 3; };
  const auto result =
      run(GetParam(), scene.features, std::vector<RowConstraint>(kImages),
          with_clusters(kKinds), control);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
}

TEST_P(EveryDeepMethod, ProgressOnlyRises) {
  Scene scene = make_scene(kImages, kKinds, 6, kSpread);
  double last = 0;
  std::set<std::string> stages;
  RunControl control;
  control.progress = [&](std::string_view stage, double fraction) {
    EXPECT_GE(fraction, last - 1e-9) << stage;
    last = fraction;
    stages.emplace(stage);
  };
  ASSERT_TRUE(run(GetParam(), scene.features,
                  std::vector<RowConstraint>(kImages), with_clusters(kKinds),
                  control));
  EXPECT_DOUBLE_EQ(last, 1);
  EXPECT_GT(stages.size(), 3U);
}

/// Those with IDEC train for minutes: the same calls with another clusterer,
/// whose constraints engine/deep tests.
INSTANTIATE_TEST_SUITE_P(Methods, EveryDeepMethod,
                         ::testing::Values("jule", "mvec-km", "mvec-jule",
                                           "dmvc-fix-jule", "dmvc"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

TEST(DeepMethod, ConfirmsWhatTheViewsAgreeOn) {
  Scene scene = make_scene(kImages, kKinds, 8, kSpread);
  std::vector<RowConstraint> constraints(kImages);
  RefinementOptions options = with_clusters(kKinds);
  const Candidate first =
      run("mvec-km", scene.features, constraints, options).value();
  const auto count = [](const Candidate& candidate) {
    return std::accumulate(candidate.confirmed.begin(),
                           candidate.confirmed.end(), 0);
  };
  EXPECT_EQ(count(first), kImages / 5);  // a fifth of each
  // One cluster fixed: its images are not confirmed again.
  for (std::size_t i = 0; i < kImages; ++i) {
    if (first.labels[i] == 0) constraints[i].fixed = ClusterId(7);
  }
  const Candidate second =
      run("mvec-km", scene.features, constraints, options).value();
  for (std::size_t i = 0; i < kImages; ++i) {
    if (!constraints[i].fixed.valid()) continue;
    EXPECT_EQ(second.confirmed[i], 0) << i;
  }
  EXPECT_EQ(count(second), kImages / 5 * 4 / 5);
  // A method without each view's opinion confirms nothing by the views.
  EXPECT_EQ(count(run("jule", scene.features,
                      std::vector<RowConstraint>(kImages), options)
                      .value()),
            0);
}

TEST(DeepMethod, CountsTheClustersWhereNobodySays) {
  Scene scene = make_scene(kImages, kKinds, 7, kSpread);
  const Candidate candidate =
      run("mvec-km", scene.features, std::vector<RowConstraint>(kImages),
          with_clusters(0))
          .value();
  EXPECT_EQ(candidate.clusters.size(), static_cast<std::size_t>(kKinds));
}

}  // namespace
}  // namespace shoal
