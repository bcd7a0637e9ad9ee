#include "engine/cluster/cluster_count.h"

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

}  // namespace
}  // namespace shoal
