#include "engine/cluster/kmeans.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/engine/random_data.h"
#include "tests/golden/kmeans_golden.h"

namespace shoal {
namespace {

using test::golden_matrix;
using test::make_blobs;
using test::normal_matrix;

double inertia_of(const Matrix& data, const KMeansResult& result) {
  double sum = 0;
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    const int label = result.labels[static_cast<std::size_t>(i)];
    sum += (data.row(i) - result.centroids.row(label)).squaredNorm();
  }
  return sum;
}

ErrorCode error_of(const Matrix& data, const KMeansOptions& options) {
  const auto result = kmeans(data, options);
  return result ? ErrorCode::kInternal : result.error().code;
}

TEST(KMeans, ReachesScikitLearnsInertia) {
  namespace golden = golden::kmeans;
  const auto check = [](const Matrix& data, int k, double expected) {
    KMeansOptions options;
    options.clusters = k;
    const KMeansResult result = kmeans(data, options).value();
    EXPECT_LE(result.inertia, expected * 1.01);
    EXPECT_NEAR(result.inertia, inertia_of(data, result),
                1e-4 * result.inertia);
  };
  check(
      golden_matrix(golden::kBlobs, golden::kBlobsRows, golden::kBlobsColumns),
      golden::kBlobsClusters, golden::kBlobsInertia);
  check(golden_matrix(golden::kUniform, golden::kUniformRows,
                      golden::kUniformColumns),
        golden::kUniformClusters, golden::kUniformInertia);
  check(golden_matrix(golden::kStretched, golden::kStretchedRows,
                      golden::kStretchedColumns),
        golden::kStretchedClusters, golden::kStretchedInertia);
}

TEST(KMeans, FindsWellSeparatedBlobs) {
  const auto blobs = make_blobs(600, 16, 12, 5, 1);
  KMeansOptions options;
  options.clusters = 12;
  const KMeansResult result = kmeans(blobs.data, options).value();
  EXPECT_DOUBLE_EQ(nmi(blobs.truth, result.labels).value(), 1.0);
}

TEST(KMeans, InertiaNeverRisesFromOneIterationToTheNext) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Matrix data = normal_matrix(300, 6, seed);
    KMeansOptions options;
    options.clusters = 15;
    options.restarts = 1;
    options.tolerance = 0;
    options.seed = seed;
    double before = std::numeric_limits<double>::infinity();
    for (int iterations = 1; iterations <= 20; ++iterations) {
      options.max_iterations = iterations;
      const double inertia = kmeans(data, options).value().inertia;
      EXPECT_LE(inertia, before * (1 + 1e-6)) << seed << " " << iterations;
      before = inertia;
    }
  }
}

TEST(KMeans, EveryRowIsWithItsNearestCentroidAndCentroidsAreMeans) {
  const Matrix data = normal_matrix(400, 5, 3);
  KMeansOptions options;
  options.clusters = 7;
  options.tolerance = 0;
  const KMeansResult result = kmeans(data, options).value();
  EXPECT_EQ(nearest_centroids(data, result.centroids).index, result.labels);
  Matrix sums = Matrix::Zero(7, 5);
  Vector counts = Vector::Zero(7);
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    const int label = result.labels[static_cast<std::size_t>(i)];
    sums.row(label) += data.row(i);
    counts[label] += 1;
  }
  sums.array().colwise() /= counts.array();
  EXPECT_TRUE(sums.isApprox(result.centroids, 1e-4F));
}

TEST(KMeans, IsDeterministicForASeed) {
  const Matrix data = normal_matrix(500, 8, 4);
  KMeansOptions options;
  options.clusters = 10;
  options.seed = 9;
  const KMeansResult a = kmeans(data, options).value();
  const KMeansResult b = kmeans(data, options).value();
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.centroids, b.centroids);
}

TEST(KMeans, OrderAndPlaceOfTheRowsDoNotMatterOnClearData) {
  const auto blobs = make_blobs(300, 8, 6, 6, 5);
  const Eigen::Index n = blobs.data.rows();
  Matrix moved(n, blobs.data.cols());
  std::vector<int> truth;
  for (Eigen::Index i = 0; i < n; ++i) {
    // Reversed, and far from the origin: rounding must not show.
    moved.row(i) = blobs.data.row(n - 1 - i).array() + 1000.0F;
    truth.push_back(blobs.truth[static_cast<std::size_t>(n - 1 - i)]);
  }
  KMeansOptions options;
  options.clusters = 6;
  const KMeansResult result = kmeans(moved, options).value();
  EXPECT_DOUBLE_EQ(nmi(truth, result.labels).value(), 1.0);
  const double plain = kmeans(blobs.data, options).value().inertia;
  EXPECT_NEAR(result.inertia, plain, 1e-3 * plain);
}

TEST(KMeans, AsManyClustersAsRowsGivesEachRowItsOwn) {
  const Matrix data = normal_matrix(9, 3, 6);
  KMeansOptions options;
  options.clusters = 9;
  const KMeansResult result = kmeans(data, options).value();
  EXPECT_EQ(std::set<int>(result.labels.begin(), result.labels.end()).size(),
            9U);
  EXPECT_NEAR(result.inertia, 0, 1e-9);
}

TEST(KMeans, OneClusterIsTheMean) {
  const Matrix data = normal_matrix(50, 3, 7);
  KMeansOptions options;
  options.clusters = 1;
  const KMeansResult result = kmeans(data, options).value();
  EXPECT_TRUE(result.centroids.row(0).isApprox(data.colwise().mean(), 1e-4F));
}

TEST(KMeans, DuplicatesAreFine) {
  Matrix data = Matrix::Constant(20, 4, 2.5F);
  KMeansOptions options;
  options.clusters = 3;
  const KMeansResult same = kmeans(data, options).value();
  EXPECT_EQ(same.inertia, 0);
  EXPECT_TRUE(same.centroids.allFinite());
  data.bottomRows(5).setConstant(-1);
  const KMeansResult two = kmeans(data, options).value();
  EXPECT_EQ(two.inertia, 0);
  EXPECT_NE(two.labels.front(), two.labels.back());
}

TEST(KMeans, AnEmptyClusterTakesAFarRow) {
  // The fixed rows pull centroid 0 away from every free row, and centroid 1,
  // seeded at a fixed row far off, has one row only: both stay in use.
  Matrix data(6, 1);
  data << 0, 1, 2, 3, 100, 101;
  KMeansOptions options;
  options.clusters = 4;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    options.seed = seed;
    options.restarts = 1;
    const KMeansResult result = kmeans(data, options).value();
    EXPECT_EQ(std::set<int>(result.labels.begin(), result.labels.end()).size(),
              4U);
  }
}

TEST(KMeans, ConstraintsAreNeverBroken) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const Matrix data = normal_matrix(200, 4, seed);
    KMeansOptions options;
    options.clusters = 8;
    options.restarts = 2;
    options.seed = seed;
    options.fixed.assign(200, -1);
    std::uniform_int_distribution<int> any(0, 7);
    for (std::size_t i = 0; i < 200; i += 5) {
      // Clusters 6 and 7 have no fixed rows.
      options.fixed[i] = any(random) % 6;
    }
    for (int i = 1; i < 200; i += 3) {
      const int cluster = any(random);
      if (options.fixed[static_cast<std::size_t>(i)] != cluster) {
        options.forbidden.emplace_back(i, cluster);
      }
    }
    const KMeansResult result = kmeans(data, options).value();
    for (std::size_t i = 0; i < 200; ++i) {
      if (options.fixed[i] >= 0) {
        ASSERT_EQ(result.labels[i], options.fixed[i]);
      }
    }
    for (const auto& [row, cluster] : options.forbidden) {
      ASSERT_NE(result.labels[static_cast<std::size_t>(row)], cluster);
    }
  }
}

TEST(KMeans, FixedRowsNameTheirCluster) {
  const auto blobs = make_blobs(200, 8, 4, 6, 8);
  KMeansOptions options;
  options.clusters = 4;
  options.fixed.assign(200, -1);
  options.fixed[2] = 0;  // Blob 2 becomes cluster 0,
  options.fixed[1] = 3;  // blob 1 cluster 3.
  const KMeansResult result = kmeans(blobs.data, options).value();
  EXPECT_DOUBLE_EQ(nmi(blobs.truth, result.labels).value(), 1.0);
  EXPECT_EQ(result.labels[6], 0);
  EXPECT_EQ(result.labels[5], 3);
}

TEST(KMeans, AForbiddenPairSendsARowToItsNextCluster) {
  Matrix data(5, 1);
  data << 0, 0.5F, 10, 10.5F, 0.2F;
  KMeansOptions options;
  options.clusters = 2;
  options.fixed = {0, 0, 1, 1, -1};
  EXPECT_EQ(kmeans(data, options).value().labels[4], 0);
  options.forbidden = {{4, 0}};
  EXPECT_EQ(kmeans(data, options).value().labels[4], 1);
}

TEST(KMeans, RefusesWhatCannotBe) {
  const Matrix data = normal_matrix(5, 2, 9);
  KMeansOptions options;
  options.clusters = 6;
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.clusters = 0;
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.clusters = 2;
  Matrix broken = data;
  broken(3, 1) = std::nanf("");
  EXPECT_EQ(error_of(broken, options), ErrorCode::kInvalidArgument);
  broken(3, 1) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(error_of(broken, options), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(Matrix(0, 2), options), ErrorCode::kInvalidArgument);
}

TEST(KMeans, RefusesConstraintsThatContradict) {
  const Matrix data = normal_matrix(4, 2, 10);
  KMeansOptions options;
  options.clusters = 2;
  options.fixed = {0, -1};
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.fixed = {0, 2, -1, -1};
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.fixed = {0, 0, 0, 0};  // Nothing is left for cluster 1.
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.fixed = {0, -1, -1, -1};
  options.forbidden = {{0, 0}};
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.forbidden = {{1, 0}, {1, 1}};
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.forbidden = {{1, 0}, {1, 0}};  // The same pair twice is one pair.
  EXPECT_TRUE(kmeans(data, options).has_value());
  options.forbidden = {{4, 0}};
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.forbidden = {{1, -1}};
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
}

TEST(KMeans, CanBeCancelledBetweenIterations) {
  const Matrix data = normal_matrix(300, 4, 11);
  KMeansOptions options;
  options.clusters = 5;
  int asked = 0;
  options.cancelled = [&] { return ++asked > 7; };
  EXPECT_EQ(error_of(data, options), ErrorCode::kCancelled);
  EXPECT_EQ(asked, 8);
}

TEST(NearestCentroids, AgreesWithTheDirectComputation) {
  const Matrix data = normal_matrix(1500, 7, 12).array() + 50.0F;
  const Matrix centroids = normal_matrix(13, 7, 13).array() + 50.0F;
  const NearestResult nearest = nearest_centroids(data, centroids);
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    const Vector all =
        (centroids.rowwise() - data.row(i)).rowwise().squaredNorm();
    const auto at = static_cast<std::size_t>(i);
    EXPECT_FLOAT_EQ(nearest.squared_l2[at], all[nearest.index[at]]);
    EXPECT_NEAR(nearest.squared_l2[at], all.minCoeff(), 1e-3);
  }
  EXPECT_TRUE(nearest_centroids(Matrix(0, 7), centroids).index.empty());
}

}  // namespace
}  // namespace shoal
