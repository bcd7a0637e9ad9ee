#include "engine/layout/tsne.h"

#include <limits>

#include <gtest/gtest.h>

#include "engine/cluster/kmeans.h"
#include "engine/cluster/neighbour_graph.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

/// Share of rows whose nearest neighbour in the map is of the same blob.
double neighbour_agreement(const Matrix& map, const std::vector<int>& truth) {
  const auto graph = nearest_neighbours(map, 1).value();
  int same = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    same += truth[i] == truth[static_cast<std::size_t>(graph.index[i])] ? 1 : 0;
  }
  return static_cast<double>(same) / static_cast<double>(truth.size());
}

TEST(Tsne, KeepsWellSeparatedGroupsApart) {
  const auto blobs = test::make_blobs(600, 50, 12, 2, 7);
  const auto map = tsne(blobs.data, {});
  ASSERT_TRUE(map) << map.error().message;
  ASSERT_EQ(map.value().rows(), 600);
  ASSERT_EQ(map.value().cols(), 2);
  EXPECT_EQ(neighbour_agreement(map.value(), blobs.truth), 1);
  KMeansOptions options;
  options.clusters = 12;
  const auto parts = kmeans(map.value(), options);
  ASSERT_TRUE(parts);
  EXPECT_GT(nmi(blobs.truth, parts.value().labels).value(), 0.99);
}

TEST(Tsne, IsTheSameForASeedAndCentred) {
  const auto blobs = test::make_blobs(120, 10, 3, 2, 8);
  TsneOptions options;
  options.iterations = 100;
  const Matrix first = tsne(blobs.data, options).value();
  EXPECT_EQ(first, tsne(blobs.data, options).value());
  EXPECT_NEAR(first.colwise().mean().norm() / first.norm(), 0, 1e-5);
}

TEST(Tsne, DoesNotDependOnTheScaleOfTheData) {
  const auto blobs = test::make_blobs(300, 10, 4, 4, 9);
  for (const float scale : {1e-4F, 1e4F}) {
    const Matrix scaled = blobs.data * scale;
    const auto map = tsne(scaled, {});
    ASSERT_TRUE(map);
    EXPECT_EQ(neighbour_agreement(map.value(), blobs.truth), 1) << scale;
  }
}

TEST(Tsne, TakesFewAndEqualRows) {
  for (const int n : {0, 1, 2, 4, 5, 20}) {
    const Matrix equal = Matrix::Ones(n, 3);
    const auto map = tsne(equal, {});
    ASSERT_TRUE(map) << map.error().message;
    EXPECT_EQ(map.value().rows(), n);
    EXPECT_TRUE(map.value().allFinite());
  }
}

TEST(Tsne, RefusesWhatItCannotPlace) {
  Matrix data = test::normal_matrix(20, 3, 1);
  TsneOptions options;
  options.perplexity = 0;
  EXPECT_EQ(tsne(data, options).error().code, ErrorCode::kInvalidArgument);
  data(3, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(tsne(data, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Tsne, StopsWhenAsked) {
  TsneOptions options;
  options.cancelled = [] { return true; };
  EXPECT_EQ(tsne(test::normal_matrix(50, 3, 1), options).error().code,
            ErrorCode::kCancelled);
}

}  // namespace
}  // namespace shoal
