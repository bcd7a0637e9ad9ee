#include "engine/cluster/mini_batch_kmeans.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::normal_matrix;

MiniBatchKMeansOptions options_for(int clusters) {
  MiniBatchKMeansOptions options;
  options.clusters = clusters;
  options.batch_rows = 512;
  return options;
}

double full_inertia(const Matrix& data, int clusters) {
  KMeansOptions options;
  options.clusters = clusters;
  options.restarts = 3;
  return kmeans(data, options).value().inertia;
}

TEST(MiniBatchKMeans, IsWithinThreePercentOfKMeans) {
  const Matrix sets[] = {
      make_blobs(20000, 16, 40, 2, 1).data,   // overlapping
      make_blobs(20000, 16, 30, 10, 2).data,  // clear
      normal_matrix(20000, 8, 3),             // one round cloud
  };
  for (const Matrix& data : sets) {
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      MiniBatchKMeansOptions options = options_for(30);
      options.seed = seed;
      const auto result = mini_batch_kmeans(data, options).value();
      EXPECT_LE(result.inertia, 1.03 * full_inertia(data, 30));
    }
  }
}

TEST(MiniBatchKMeans, FindsClustersThatTheSampleHardlyHolds) {
  // One cloud in 400 rows: of a sample of 512 rows it has about one.
  auto blobs = make_blobs(40000, 8, 10, 8, 4);
  for (std::size_t i = 0; i < blobs.truth.size(); ++i) {
    if (i % 400 != 0) continue;
    blobs.truth[i] = 10;
    blobs.data.row(static_cast<Eigen::Index>(i)).array() += 60.0F;
  }
  const auto result = mini_batch_kmeans(blobs.data, options_for(20)).value();
  EXPECT_LE(result.inertia, 1.03 * full_inertia(blobs.data, 20));
  for (std::size_t i = 0; i < blobs.truth.size(); i += 400) {
    EXPECT_EQ(result.labels[i], result.labels[0]);
  }
}

TEST(MiniBatchKMeans, LabelsCentroidsAndInertiaAgree) {
  const Matrix data = normal_matrix(5000, 5, 5);
  const auto result = mini_batch_kmeans(data, options_for(12)).value();
  const NearestResult nearest = nearest_centroids(data, result.centroids);
  EXPECT_EQ(nearest.index, result.labels);
  double inertia = 0;
  for (const float distance : nearest.squared_l2) inertia += distance;
  EXPECT_NEAR(result.inertia, inertia, 1e-6 * inertia);
  EXPECT_GT(result.iterations, 1);
}

TEST(MiniBatchKMeans, IsDeterministicForASeed) {
  const Matrix data = normal_matrix(3000, 4, 6);
  const auto a = mini_batch_kmeans(data, options_for(9)).value();
  const auto b = mini_batch_kmeans(data, options_for(9)).value();
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.centroids, b.centroids);
}

TEST(MiniBatchKMeans, OrderOfTheRowsDoesNotMatterOnClearData) {
  const auto blobs = make_blobs(6000, 8, 12, 8, 7);
  const Matrix reversed = blobs.data.colwise().reverse();
  const std::vector<int> truth(blobs.truth.rbegin(), blobs.truth.rend());
  const auto result = mini_batch_kmeans(reversed, options_for(12)).value();
  EXPECT_DOUBLE_EQ(adjusted_rand(truth, result.labels).value(), 1);
}

TEST(MiniBatchKMeans, DuplicatesFewRowsAndOneClusterAreFine) {
  const auto same =
      mini_batch_kmeans(Matrix::Constant(2000, 3, 0.1F), options_for(4))
          .value();
  EXPECT_NEAR(same.inertia, 0, 1e-9);
  const auto each = mini_batch_kmeans(normal_matrix(7, 2, 8), options_for(7));
  EXPECT_EQ(
      std::set<int>(each.value().labels.begin(), each.value().labels.end())
          .size(),
      7U);
  const Matrix data = normal_matrix(900, 3, 9);
  const auto one = mini_batch_kmeans(data, options_for(1)).value();
  EXPECT_TRUE(one.centroids.row(0).isApprox(data.colwise().mean(), 1e-4F));
}

TEST(MiniBatchKMeans, RefusesWhatCannotBeAndCanBeCancelled) {
  const auto error_of = [](const Matrix& data,
                           const MiniBatchKMeansOptions& options) {
    const auto result = mini_batch_kmeans(data, options);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  Matrix data = normal_matrix(5, 2, 10);
  EXPECT_EQ(error_of(data, options_for(6)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(data, options_for(0)), ErrorCode::kInvalidArgument);
  MiniBatchKMeansOptions options = options_for(2);
  options.batch_rows = 0;
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  data(4, 0) = std::nanf("");
  EXPECT_EQ(error_of(data, options_for(2)), ErrorCode::kInvalidArgument);

  options = options_for(5);
  const Matrix many = normal_matrix(20000, 4, 11);
  int asked = 0;
  options.cancelled = [&] { return ++asked < 0; };
  EXPECT_TRUE(mini_batch_kmeans(many, options));
  for (const int allowed : {0, asked / 2, asked - 1}) {
    int left = allowed;
    options.cancelled = [&] { return --left < 0; };
    EXPECT_EQ(error_of(many, options), ErrorCode::kCancelled);
  }
}

}  // namespace
}  // namespace shoal
