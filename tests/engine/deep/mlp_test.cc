#include "engine/deep/mlp.h"

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

/// 5 -> 7 -> 3 with random weights and biases.
Mlp random_mlp() {
  Mlp mlp;
  mlp.layers.push_back({normal_matrix(7, 5, 1), normal_matrix(7, 1, 2).col(0)});
  mlp.layers.push_back({normal_matrix(3, 7, 3), normal_matrix(3, 1, 4).col(0)});
  return mlp;
}

/// One row through the layers, value by value.
Eigen::VectorXd by_hand(const Mlp& mlp, Eigen::VectorXd x) {
  if (mlp.limit_input && x.norm() > 1) x /= x.norm();
  for (std::size_t l = 0; l < mlp.layers.size(); ++l) {
    x = mlp.layers[l].weight.cast<double>() * x +
        mlp.layers[l].bias.cast<double>();
    if (l + 1 < mlp.layers.size()) x = x.cwiseMax(0);
  }
  if (mlp.normalise) x.normalize();
  return x;
}

TEST(Mlp, RunsEveryRowThroughTheLayers) {
  // More rows than one block, some shorter and some longer than 1.
  const Matrix input = 0.5F * normal_matrix(2500, 5, 5);
  for (const bool limit_input : {false, true}) {
    for (const bool normalise : {false, true}) {
      Mlp mlp = random_mlp();
      mlp.limit_input = limit_input;
      mlp.normalise = normalise;
      const Matrix output = mlp.run(input);
      ASSERT_EQ(output.rows(), input.rows());
      ASSERT_EQ(output.cols(), 3);
      for (Eigen::Index i = 0; i < input.rows(); ++i) {
        const Eigen::VectorXd expected =
            by_hand(mlp, input.row(i).cast<double>().transpose());
        EXPECT_LT((output.row(i).cast<double>().transpose() - expected).norm(),
                  1e-5 * (1 + expected.norm()))
            << i;
      }
    }
  }
}

TEST(Mlp, NegativeValuesPassTheLastLayerOnly) {
  Mlp mlp;
  mlp.layers.push_back({Matrix::Constant(1, 1, -1), Vector::Zero(1)});
  EXPECT_EQ(mlp.run(Matrix::Constant(1, 1, 2))(0, 0), -2);
  mlp.layers.push_back({Matrix::Constant(1, 1, 1), Vector::Constant(1, 5)});
  EXPECT_EQ(mlp.run(Matrix::Constant(1, 1, 2))(0, 0), 5);
}

TEST(Mlp, ARowOfZerosStaysZeroWhenNormalised) {
  Mlp mlp;
  mlp.normalise = true;
  mlp.limit_input = true;
  mlp.layers.push_back({normal_matrix(4, 3, 6), Vector::Zero(4)});
  EXPECT_EQ(mlp.run(Matrix::Zero(2, 3)), Matrix::Zero(2, 4));
}

TEST(Mlp, NoRowsGiveNoRows) {
  const Matrix output = random_mlp().run(Matrix(0, 5));
  EXPECT_EQ(output.rows(), 0);
  EXPECT_EQ(output.cols(), 3);
}

}  // namespace
}  // namespace shoal
