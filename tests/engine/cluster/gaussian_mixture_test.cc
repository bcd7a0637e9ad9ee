#include "engine/cluster/gaussian_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>

#include <Eigen/LU>
#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/engine/random_data.h"
#include "tests/golden/mixture_golden.h"

namespace shoal {
namespace {

namespace g = golden::mixture;
using test::make_blobs;
using test::normal_matrix;

struct Golden {
  const char* name;
  Matrix data;
  int clusters;
  Covariance covariance;
  double likelihood;
  const double* weights;  // components by rising first mean
  const double* means;
  const int* labels;
};

#define SHOAL_GOLDEN(name, kind)                                            \
  Golden {                                                                  \
#name #kind,                                                            \
        test::golden_matrix(g::name, g::name##Rows, g::name##Columns),      \
        g::name##Clusters, Covariance::k##kind, g::name##kind##Likelihood,  \
        g::name##kind##Weights, g::name##kind##Means, g::name##kind##Labels \
  }

TEST(GaussianMixture, AgreesWithScikitLearn) {
  for (const Golden& golden :
       {SHOAL_GOLDEN(kBlobs, Full), SHOAL_GOLDEN(kBlobs, Diagonal),
        SHOAL_GOLDEN(kTurned, Full), SHOAL_GOLDEN(kTurned, Diagonal)}) {
    SCOPED_TRACE(golden.name);
    GaussianMixtureOptions options;
    options.clusters = golden.clusters;
    options.covariance = golden.covariance;
    options.tolerance = 1e-9;
    options.max_iterations = 1000;
    const GaussianMixtureResult result =
        gaussian_mixture(golden.data, options).value();
    EXPECT_TRUE(result.converged);
    EXPECT_NEAR(result.mean_log_likelihood, golden.likelihood, 1e-4);
    EXPECT_DOUBLE_EQ(
        adjusted_rand(std::vector<int>(golden.labels,
                                       golden.labels + result.labels.size()),
                      result.labels)
            .value(),
        1.0);
    std::vector<int> order(static_cast<std::size_t>(golden.clusters));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) {
      return result.means(a, 0) < result.means(b, 0);
    });
    for (std::size_t j = 0; j < order.size(); ++j) {
      const int component = order[j];
      EXPECT_NEAR(result.weights[static_cast<std::size_t>(component)],
                  golden.weights[j], 1e-3);
      for (Eigen::Index c = 0; c < golden.data.cols(); ++c) {
        EXPECT_NEAR(
            result.means(component, c),
            golden.means[static_cast<Eigen::Index>(j) * golden.data.cols() + c],
            1e-2);
      }
    }
  }
}

TEST(GaussianMixture, TheLikelihoodNeverFallsFromOneIterationToTheNext) {
  for (const Covariance covariance :
       {Covariance::kFull, Covariance::kDiagonal}) {
    const Matrix data = make_blobs(300, 5, 6, 1, 1).data;
    GaussianMixtureOptions options;
    options.clusters = 6;
    options.covariance = covariance;
    options.tolerance = 0;
    double before = -std::numeric_limits<double>::infinity();
    for (int iterations = 1; iterations <= 25; ++iterations) {
      options.max_iterations = iterations;
      const double likelihood =
          gaussian_mixture(data, options).value().mean_log_likelihood;
      // The regularisation alone may cost a little.
      EXPECT_GE(likelihood, before - 1e-6);
      before = likelihood;
    }
  }
}

TEST(GaussianMixture, SeparatesCrossedCloudsThatKMeansCannot) {
  // Two long clouds that cross at their middle.
  Matrix data = normal_matrix(600, 2, 2);
  std::vector<int> truth;
  for (Eigen::Index i = 0; i < 600; ++i) {
    data(i, i % 2) *= 12;
    data(i, 0) += i % 2 == 0 ? 0.0F : 14.0F;
    truth.push_back(static_cast<int>(i % 2));
  }
  GaussianMixtureOptions options;
  options.clusters = 2;
  const auto result = gaussian_mixture(data, options).value();
  EXPECT_GT(adjusted_rand(truth, result.labels).value(), 0.85);
}

TEST(GaussianMixture, OrderAndPlaceOfTheRowsDoNotMatterOnClearData) {
  const auto blobs = make_blobs(400, 6, 5, 5, 3);
  const Matrix moved = (blobs.data.array() + 2000.0F).colwise().reverse();
  const std::vector<int> truth(blobs.truth.rbegin(), blobs.truth.rend());
  GaussianMixtureOptions options;
  options.clusters = 5;
  const auto plain = gaussian_mixture(blobs.data, options).value();
  const auto turned = gaussian_mixture(moved, options).value();
  EXPECT_DOUBLE_EQ(adjusted_rand(truth, turned.labels).value(), 1);
  EXPECT_DOUBLE_EQ(adjusted_rand(blobs.truth, plain.labels).value(), 1);
  // float32 holds values near 2000 to about 1e-4.
  EXPECT_NEAR(turned.mean_log_likelihood, plain.mean_log_likelihood, 1e-3);
}

TEST(GaussianMixture, IsDeterministicAndMoreRestartsAreNoWorse) {
  const Matrix data = normal_matrix(1500, 3, 4);
  GaussianMixtureOptions options;
  options.clusters = 9;
  const auto a = gaussian_mixture(data, options).value();
  const auto b = gaussian_mixture(data, options).value();
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.mean_log_likelihood, b.mean_log_likelihood);
  options.restarts = 4;
  EXPECT_GE(gaussian_mixture(data, options).value().mean_log_likelihood,
            a.mean_log_likelihood);
}

TEST(GaussianMixture, OneComponentIsTheNormalDistributionOfTheData) {
  const Matrix data = normal_matrix(500, 3, 5);
  GaussianMixtureOptions options;
  options.clusters = 1;
  options.regularisation = 0;
  const auto result = gaussian_mixture(data, options).value();
  const Eigen::MatrixXd centred =
      data.cast<double>().rowwise() - data.cast<double>().colwise().mean();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / 500;
  EXPECT_NEAR(
      result.mean_log_likelihood,
      -0.5 * (3 * std::log(2 * M_PI) + std::log(covariance.determinant()) + 3),
      1e-6);
  EXPECT_EQ(result.weights, std::vector<double>{1.0});
}

TEST(GaussianMixture, DuplicatesAndConstantColumnsAreHeldByTheRegularisation) {
  for (const Covariance covariance :
       {Covariance::kFull, Covariance::kDiagonal}) {
    GaussianMixtureOptions options;
    options.covariance = covariance;
    options.clusters = 3;
    const auto same =
        gaussian_mixture(Matrix::Constant(20, 4, 2.5F), options).value();
    EXPECT_TRUE(std::isfinite(same.mean_log_likelihood));
    EXPECT_TRUE(same.means.allFinite());
    auto blobs = make_blobs(90, 4, 3, 8, 6);
    blobs.data.col(2).setConstant(7);
    const auto flat = gaussian_mixture(blobs.data, options).value();
    EXPECT_DOUBLE_EQ(adjusted_rand(blobs.truth, flat.labels).value(), 1);
    // As many clusters as rows.
    const Matrix few = normal_matrix(5, 2, 7);
    options.clusters = 5;
    const auto each = gaussian_mixture(few, options).value();
    EXPECT_EQ(std::set<int>(each.labels.begin(), each.labels.end()).size(), 5U);
  }
}

TEST(GaussianMixture, SaysWhenACovarianceIsSingular) {
  GaussianMixtureOptions options;
  options.clusters = 2;
  options.regularisation = 0;
  for (const Covariance covariance :
       {Covariance::kFull, Covariance::kDiagonal}) {
    options.covariance = covariance;
    const auto result =
        gaussian_mixture(Matrix::Constant(20, 3, 1.0F), options);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInternal);
    EXPECT_NE(result.error().message.find("larger regularisation"),
              std::string::npos);
  }
}

TEST(GaussianMixture, RefusesWhatCannotBeAndCanBeCancelled) {
  const auto error_of = [](const Matrix& data,
                           const GaussianMixtureOptions& options) {
    const auto result = gaussian_mixture(data, options);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  Matrix data = normal_matrix(5, 2, 8);
  GaussianMixtureOptions options;
  for (const int clusters : {0, 6}) {
    options.clusters = clusters;
    EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  }
  options.clusters = 1;
  EXPECT_EQ(error_of(data.topRows(1), options), ErrorCode::kInvalidArgument);
  options.regularisation = -1;
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);
  options.regularisation = 1e-6;
  data(1, 1) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(error_of(data, options), ErrorCode::kInvalidArgument);

  options.clusters = 3;
  int calls = 0;
  options.cancelled = [&] { return ++calls > 60; };
  EXPECT_EQ(error_of(normal_matrix(500, 4, 9), options), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace shoal
