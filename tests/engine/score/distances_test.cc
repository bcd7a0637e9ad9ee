#include "engine/score/distances.h"

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

TEST(PointDistances, AgreeWithTheDirectComputationFarFromTheOrigin) {
  const Matrix rows = normal_matrix(40, 9, 1).array() + 300.0F;
  const Matrix points = normal_matrix(11, 9, 2).array() + 300.0F;
  const Vector origin = mean_row(rows);
  Matrix measured(40, 11);
  PointDistances(points, origin)
      .measure(rows, squared_norms(rows, origin), measured);
  for (int i = 0; i < 40; ++i) {
    for (int j = 0; j < 11; ++j) {
      EXPECT_NEAR(measured(i, j), (rows.row(i) - points.row(j)).squaredNorm(),
                  0.02);
    }
  }
}

TEST(PointDistances, ComparedValuesDifferByAConstantPerRow) {
  const Matrix rows = normal_matrix(10, 4, 3);
  const Matrix points = normal_matrix(6, 4, 4);
  const Vector origin = Vector::Zero(4);
  const PointDistances distances(points, origin);
  const Vector norms = squared_norms(rows, origin);
  Matrix compared(10, 6);
  Matrix measured(10, 6);
  distances.compare(rows, compared);
  distances.measure(rows, norms, measured);
  compared.colwise() += norms;
  EXPECT_TRUE(compared.isApprox(measured, 1e-4F));
}

TEST(PointDistances, AreNeverNegative) {
  const Matrix rows = normal_matrix(200, 30, 5);
  Matrix measured(200, 200);
  const Vector origin = mean_row(rows);
  PointDistances(rows, origin)
      .measure(rows, squared_norms(rows, origin), measured);
  EXPECT_GE(measured.minCoeff(), 0.0F);
  EXPECT_LT(measured.diagonal().maxCoeff(), 1e-3F);
}

TEST(MultiplyTransposed, AgreesWithEigen) {
  const Matrix a = normal_matrix(7, 5, 6);
  const Matrix b = normal_matrix(3, 5, 7);
  Matrix out(7, 3);
  multiply_transposed(a, b, out);
  EXPECT_TRUE(out.isApprox(a * b.transpose(), 1e-5F));
  Matrix none(0, 3);
  multiply_transposed(Matrix(0, 5), b, none);
  EXPECT_EQ(none.size(), 0);
}

}  // namespace
}  // namespace shoal
