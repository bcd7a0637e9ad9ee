#include "engine/cluster/cluster_count.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::normal_matrix;

TEST(ClusterCount, FindsTheNumberOfWellSeparatedBlobs) {
  for (const int k : {2, 3, 7, 12, 25, 40}) {
    const auto blobs =
        make_blobs(1200, 32, k, 4, static_cast<std::uint64_t>(k));
    const auto result = estimate_cluster_count(blobs.data, {}).value();
    EXPECT_EQ(result.clusters, k) << result.reason;
  }
}

TEST(ClusterCount, SaysLittleStructureWhereThereIsNone) {
  const auto result =
      estimate_cluster_count(normal_matrix(800, 32, 1), {}).value();
  double highest = -1;
  for (const auto& trial : result.silhouettes) {
    highest = std::max(highest, trial.second);
  }
  // No partition of a round cloud is good, so the fewest parts are taken.
  EXPECT_LT(highest, 0.1);
  EXPECT_LE(result.clusters, 4) << result.reason;
}

TEST(ClusterCount, ReportsEveryCountTriedInOrder) {
  ClusterCountOptions options;
  options.min_clusters = 3;
  options.max_clusters = 30;
  const auto result =
      estimate_cluster_count(make_blobs(300, 8, 10, 6, 2).data, options)
          .value();
  EXPECT_EQ(result.clusters, 10);
  EXPECT_EQ(result.silhouettes.front().first, 3);
  EXPECT_EQ(result.silhouettes.back().first, 30);
  for (std::size_t i = 1; i < result.silhouettes.size(); ++i) {
    EXPECT_GT(result.silhouettes[i].first, result.silhouettes[i - 1].first);
  }
  EXPECT_NE(result.reason.find("10 clusters"), std::string::npos);
}

TEST(ClusterCount, IsDeterministicAndUsesASample) {
  const auto blobs = make_blobs(5000, 8, 5, 6, 3);
  ClusterCountOptions options;
  options.max_sample = 300;
  options.max_clusters = 20;
  const auto a = estimate_cluster_count(blobs.data, options).value();
  const auto b = estimate_cluster_count(blobs.data, options).value();
  EXPECT_EQ(a.clusters, 5);
  EXPECT_EQ(a.silhouettes, b.silhouettes);
  EXPECT_NE(a.reason.find("300 images"), std::string::npos);
}

TEST(ClusterCount, WorksOnTheFewestRowsAndOnDuplicates) {
  EXPECT_LE(estimate_cluster_count(normal_matrix(4, 2, 4), {}).value().clusters,
            3);
  EXPECT_EQ(estimate_cluster_count(Matrix::Constant(30, 3, 1.0F), {})
                .value()
                .clusters,
            2);
}

TEST(ClusterCount, RefusesTooFewRowsAndCanBeCancelled) {
  EXPECT_EQ(estimate_cluster_count(normal_matrix(3, 2, 5), {}).error().code,
            ErrorCode::kInvalidArgument);
  ClusterCountOptions options;
  options.max_clusters = 1;
  EXPECT_EQ(
      estimate_cluster_count(normal_matrix(50, 2, 5), options).error().code,
      ErrorCode::kInvalidArgument);
  ClusterCountOptions cancelled;
  int asked = 0;
  cancelled.cancelled = [&] { return ++asked > 20; };
  EXPECT_EQ(
      estimate_cluster_count(normal_matrix(50, 2, 5), cancelled).error().code,
      ErrorCode::kCancelled);
}

/// The same clusters seen by several views of their own dimension and noise.
std::vector<Matrix> views_of_blobs(int n, int k, float spread, int views) {
  std::vector<Matrix> made;
  for (int view = 0; view < views; ++view) {
    made.push_back(make_blobs(n, 24 + 8 * view, k, spread,
                              static_cast<std::uint64_t>(100 * k + 2 * view))
                       .data);
  }
  return made;
}

TEST(ClusterCountOfViews, FindsTheNumberOfClustersThatAllViewsShow) {
  for (const int k : {3, 8, 20}) {
    const auto result =
        estimate_cluster_count(views_of_blobs(600, k, 2, 3), {}).value();
    EXPECT_EQ(result.clusters, k) << result.reason;
    ASSERT_EQ(result.estimates.size(), 3U);
    EXPECT_EQ(result.estimates[0].clusters, k);
    EXPECT_EQ(result.estimates[1].clusters, k);
    // One view's k-means may be stuck at the right k and not beside it.
    EXPECT_NEAR(result.estimates[2].clusters, k, 1);
  }
}

TEST(ClusterCountOfViews, TakesTheMedianAndSaysWhatEachWaySaid) {
  const auto result =
      estimate_cluster_count(views_of_blobs(400, 12, 0.6F, 2), {}).value();
  std::vector<int> counts;
  for (const auto& estimate : result.estimates) {
    counts.push_back(estimate.clusters);
    EXPECT_NE(result.reason.find(estimate.method + " " +
                                 std::to_string(estimate.clusters)),
              std::string::npos);
    for (std::size_t i = 1; i < estimate.scores.size(); ++i) {
      EXPECT_GT(estimate.scores[i].first, estimate.scores[i - 1].first);
    }
  }
  std::sort(counts.begin(), counts.end());
  EXPECT_EQ(result.clusters, counts[1]);
}

TEST(ClusterCountOfViews, OfOneViewTheSmallerEstimateIsTaken) {
  const auto clear =
      estimate_cluster_count(views_of_blobs(300, 6, 3, 1), {}).value();
  EXPECT_EQ(clear.clusters, 6);
  ASSERT_EQ(clear.estimates.size(), 2U);
  EXPECT_EQ(clear.estimates[0].method, "silhouette");
  EXPECT_EQ(clear.estimates[1].method, "eigengap");
  const auto vague =
      estimate_cluster_count(views_of_blobs(400, 15, 0.5F, 1), {}).value();
  EXPECT_EQ(vague.clusters,
            std::min(vague.estimates[0].clusters, vague.estimates[1].clusters));
}

TEST(ClusterCountOfViews, TheEigengapCountsRings) {
  // Six rings of 60, each in a plane of its own: k-means cuts them up.
  std::vector<Matrix> views = {0.03F * normal_matrix(360, 12, 11)};
  for (Eigen::Index i = 0; i < 360; ++i) {
    const float angle =
        static_cast<float>(2 * M_PI / 60) * static_cast<float>(i / 6);
    views[0](i, 2 * (i % 6)) += std::cos(angle);
    views[0](i, 2 * (i % 6) + 1) += std::sin(angle);
  }
  const auto result = estimate_cluster_count(views, {}).value();
  EXPECT_EQ(result.estimates[1].clusters, 6) << result.reason;
}

TEST(ClusterCountOfViews, IsDeterministicAndUsesASample) {
  ClusterCountOptions options;
  options.max_sample = 250;
  options.max_clusters = 20;
  const auto views = views_of_blobs(3000, 5, 3, 2);
  const auto a = estimate_cluster_count(views, options).value();
  const auto b = estimate_cluster_count(views, options).value();
  EXPECT_EQ(a.clusters, 5);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_NE(a.reason.find("250 images"), std::string::npos);
  for (std::size_t i = 0; i < a.estimates.size(); ++i) {
    EXPECT_EQ(a.estimates[i].scores, b.estimates[i].scores);
  }
}

TEST(ClusterCountOfViews, WorksOnFewRowsDuplicatesAndConstantViews) {
  const std::vector<Matrix> few = {normal_matrix(4, 2, 4),
                                   normal_matrix(4, 3, 5)};
  EXPECT_LE(estimate_cluster_count(few, {}).value().clusters, 3);
  const std::vector<Matrix> flat = {Matrix::Constant(30, 3, 1.0F),
                                    Matrix::Zero(30, 2)};
  EXPECT_GE(estimate_cluster_count(flat, {}).value().clusters, 2);
  const std::vector<Matrix> mixed = {make_blobs(60, 8, 4, 6, 6).data,
                                     Matrix::Constant(60, 3, 1.0F)};
  EXPECT_EQ(estimate_cluster_count(mixed, {}).value().estimates[0].clusters, 4);
}

TEST(ClusterCountOfViews, RefusesWhatCannotBeAndCanBeCancelled) {
  const auto error_of = [](const std::vector<Matrix>& views,
                           const ClusterCountOptions& options) {
    const auto result = estimate_cluster_count(views, options);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  EXPECT_EQ(error_of({}, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({normal_matrix(3, 2, 7)}, {}),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({normal_matrix(9, 2, 7), normal_matrix(8, 2, 7)}, {}),
            ErrorCode::kInvalidArgument);
  Matrix broken = normal_matrix(9, 2, 7);
  broken(3, 0) = std::nanf("");
  EXPECT_EQ(error_of({normal_matrix(9, 2, 7), broken}, {}),
            ErrorCode::kInvalidArgument);
  ClusterCountOptions options;
  int asked = 0;
  options.cancelled = [&] { return ++asked > 400; };
  EXPECT_EQ(
      error_of({normal_matrix(60, 2, 8), normal_matrix(60, 2, 9)}, options),
      ErrorCode::kCancelled);
}

}  // namespace
}  // namespace shoal
