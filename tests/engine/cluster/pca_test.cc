#include "engine/cluster/pca.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"
#include "tests/golden/pca_golden.h"

namespace shoal {
namespace {

using test::golden_matrix;
using test::normal_matrix;

void check_golden(const Matrix& data, int components, const double* variance,
                  const double* projection, double total) {
  PcaOptions options;
  options.max_components = components;
  const Pca pca = fit_pca(data, options).value();
  ASSERT_EQ(pca.explained_variance.size(), components);
  EXPECT_NEAR(pca.total_variance, total, 1e-5 * total);
  const Matrix expected =
      golden_matrix(projection, static_cast<int>(data.rows()), components);
  const Matrix projected = pca.project(data, false);
  for (int c = 0; c < components; ++c) {
    EXPECT_NEAR(pca.explained_variance[c], variance[c], 1e-4 * variance[c]);
    const float sign = projected.col(c).dot(expected.col(c)) < 0 ? -1.0F : 1.0F;
    EXPECT_LT((sign * projected.col(c) - expected.col(c)).norm(),
              1e-4F * expected.col(c).norm());
  }
}

TEST(Pca, AgreesWithScikitLearnOnMoreRowsThanColumns) {
  namespace g = golden::pca;
  check_golden(golden_matrix(g::kTall, g::kTallRows, g::kTallColumns),
               g::kTallComponents, g::kTallVariance, g::kTallProjection,
               g::kTallTotalVariance);
}

TEST(Pca, AgreesWithScikitLearnOnMoreColumnsThanRows) {
  namespace g = golden::pca;
  check_golden(golden_matrix(g::kWide, g::kWideRows, g::kWideColumns),
               g::kWideComponents, g::kWideVariance, g::kWideProjection,
               g::kWideTotalVariance);
}

TEST(Pca, ComponentsAreOrthonormalFallingAndSignedForBothShapes) {
  for (const auto& [n, d] :
       {std::pair{300, 20}, std::pair{20, 300}, std::pair{2500, 12}}) {
    const Pca pca = fit_pca(normal_matrix(n, d, 1), {10, 1.0}).value();
    const Matrix products = pca.components * pca.components.transpose();
    EXPECT_TRUE(products.isApprox(Matrix::Identity(10, 10), 1e-4F));
    for (int c = 0; c < 10; ++c) {
      Eigen::Index largest = 0;
      pca.components.row(c).cwiseAbs().maxCoeff(&largest);
      EXPECT_GT(pca.components(c, largest), 0);
      if (c > 0) {
        EXPECT_LE(pca.explained_variance[c], pca.explained_variance[c - 1]);
      }
    }
  }
}

TEST(Pca, WhitenedProjectionsHaveUnitVarianceAndNoCorrelation) {
  Matrix data = normal_matrix(500, 6, 2);
  data.col(0) *= 30;
  data.col(1) += data.col(0);
  data.array() += 7.0F;
  const Pca pca = fit_pca(data, {6, 1.0}).value();
  const Matrix z = pca.project(data, true);
  EXPECT_LT(z.colwise().mean().cwiseAbs().maxCoeff(), 1e-3F);
  const Matrix covariance = z.transpose() * z / 499.0F;
  EXPECT_TRUE(covariance.isApprox(Matrix::Identity(6, 6), 1e-3F));
}

TEST(Pca, KeepsTheFewestComponentsThatExplainTheShare) {
  Matrix data = Matrix::Zero(200, 5);
  const Matrix noise = normal_matrix(200, 5, 3);
  const float deviations[] = {10, 5, 2, 1, 0.5F};
  for (int c = 0; c < 5; ++c) data.col(c) = deviations[c] * noise.col(c);
  const Pca all = fit_pca(data, {5, 1.0}).value();
  const Pca some = fit_pca(data, {5, 0.95}).value();
  const int kept = static_cast<int>(some.explained_variance.size());
  EXPECT_LT(kept, 5);
  EXPECT_GE(some.explained_variance.sum(), 0.95 * all.total_variance);
  EXPECT_LT(some.explained_variance.head(kept - 1).sum(),
            0.95 * all.total_variance);
}

TEST(Pca, LeavesComponentsWithoutVarianceOut) {
  Matrix data = Matrix::Zero(50, 8);
  data.leftCols(3) = normal_matrix(50, 3, 4);
  EXPECT_EQ(fit_pca(data, {8, 1.0}).value().components.rows(), 3);
  const Matrix transposed = data.topRows(6);
  EXPECT_EQ(fit_pca(transposed, {8, 1.0}).value().components.rows(), 3);
  EXPECT_EQ(
      fit_pca(Matrix::Constant(9, 4, 1.5F), {4, 1.0}).value().components.rows(),
      0);
}

TEST(Pca, RefusesWhatCannotBe) {
  const auto error = [](const Matrix& data, const PcaOptions& options) {
    const auto result = fit_pca(data, options);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  const Matrix data = normal_matrix(5, 3, 5);
  EXPECT_EQ(error(data.topRows(1), {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(Matrix(5, 0), {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(data, {0, 1.0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(data, {2, 0.0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(data, {2, 1.5}), ErrorCode::kInvalidArgument);
  Matrix broken = data;
  broken(2, 2) = std::nanf("");
  EXPECT_EQ(error(broken, {}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
