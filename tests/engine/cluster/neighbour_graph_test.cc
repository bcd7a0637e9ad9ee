#include "engine/cluster/neighbour_graph.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

/// By rising (distance, index), in double.
std::vector<int> direct_neighbours(const Matrix& data, Eigen::Index row,
                                   int neighbours) {
  std::vector<std::pair<double, int>> order;
  for (Eigen::Index j = 0; j < data.rows(); ++j) {
    if (j == row) continue;
    order.emplace_back(
        (data.row(row).cast<double>() - data.row(j).cast<double>())
            .squaredNorm(),
        static_cast<int>(j));
  }
  std::sort(order.begin(), order.end());
  std::vector<int> found;
  for (int k = 0; k < neighbours; ++k) {
    found.push_back(order[static_cast<std::size_t>(k)].second);
  }
  return found;
}

void expect_direct(const Matrix& data, int neighbours) {
  const NeighbourGraph graph = nearest_neighbours(data, neighbours).value();
  ASSERT_EQ(graph.size(), static_cast<std::size_t>(data.rows()));
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    const auto begin = graph.index.begin() + i * neighbours;
    const std::vector<int> found(begin, begin + neighbours);
    ASSERT_EQ(found, direct_neighbours(data, i, neighbours)) << "row " << i;
    for (int k = 0; k < neighbours; ++k) {
      const auto at = static_cast<std::size_t>(i * neighbours + k);
      EXPECT_NEAR(graph.squared_l2[at],
                  (data.row(i) - data.row(graph.index[at])).squaredNorm(),
                  1e-5F * graph.squared_l2[at]);
    }
  }
}

TEST(NeighbourGraph, AgreesWithTheDirectComputation) {
  expect_direct(normal_matrix(200, 7, 1), 10);
  // Several blocks, the last one not full.
  expect_direct(normal_matrix(2300, 33, 2), 5);
}

TEST(NeighbourGraph, IsRightFarFromTheOrigin) {
  expect_direct(normal_matrix(300, 6, 3).array() + 500.0F, 8);
}

TEST(NeighbourGraph, EveryOtherRowIsANeighbourWhenAllAreAskedFor) {
  expect_direct(normal_matrix(40, 3, 4), 39);
  expect_direct(normal_matrix(2, 3, 4), 1);
}

TEST(NeighbourGraph, DuplicatesAreAtZeroAndTheLowestIndexComesFirst) {
  expect_direct(Matrix::Constant(150, 5, 0.3F), 12);
  // Each row 30 times, in all three blocks.
  const Matrix some = normal_matrix(70, 19, 5);
  Matrix data(2100, 19);
  for (Eigen::Index i = 0; i < data.rows(); ++i) data.row(i) = some.row(i % 70);
  expect_direct(data, 10);
  const NeighbourGraph graph = nearest_neighbours(data, 10).value();
  EXPECT_EQ(*std::max_element(graph.squared_l2.begin(), graph.squared_l2.end()),
            0);
}

TEST(NeighbourGraph, PermutedRowsHaveThePermutedNeighbours) {
  const Matrix data = normal_matrix(1200, 9, 6);
  const Matrix reversed = data.colwise().reverse();
  const NeighbourGraph plain = nearest_neighbours(data, 6).value();
  const NeighbourGraph turned = nearest_neighbours(reversed, 6).value();
  for (std::size_t i = 0; i < 1200; ++i) {
    for (std::size_t k = 0; k < 6; ++k) {
      ASSERT_EQ(turned.index[(1199 - i) * 6 + k],
                1199 - plain.index[i * 6 + k]);
    }
  }
}

TEST(NeighbourGraph, RefusesWhatCannotBe) {
  const auto error_of = [](const Matrix& data, int neighbours) {
    const auto graph = nearest_neighbours(data, neighbours);
    return graph ? ErrorCode::kInternal : graph.error().code;
  };
  Matrix data = normal_matrix(5, 2, 7);
  EXPECT_EQ(error_of(data, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(data, 5), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(Matrix(0, 2), 1), ErrorCode::kInvalidArgument);
  data(2, 1) = std::nanf("");
  EXPECT_EQ(error_of(data, 2), ErrorCode::kInvalidArgument);
}

TEST(NeighbourGraph, CanBeCancelledBetweenBlocks) {
  int asked = 0;
  const auto graph = nearest_neighbours(normal_matrix(2100, 2, 8), 3,
                                        [&] { return ++asked > 3; });
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace shoal
