#include "engine/layout/internal/quad_tree.h"

#include <random>

#include <gtest/gtest.h>

namespace shoal::internal {
namespace {

std::vector<Point> random_points(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, 10);
  std::vector<Point> points(n);
  for (Point& p : points) p = {normal(random), normal(random)};
  return points;
}

QuadTree::Repulsion by_hand(const std::vector<Point>& points, Point p) {
  QuadTree::Repulsion sums;
  for (const Point& q : points) {
    const double dx = p.x - q.x;
    const double dy = p.y - q.y;
    const double weight = 1 / (1 + dx * dx + dy * dy);
    sums.total += weight;
    sums.force.x += weight * weight * dx;
    sums.force.y += weight * weight * dy;
  }
  return sums;
}

TEST(QuadTree, SumsExactlyWhenNoCellIsFarEnough) {
  const auto points = random_points(500, 1);
  const QuadTree tree(points);
  for (std::size_t i = 0; i < points.size(); i += 50) {
    const auto found = tree.repulsion(points[i], 0);
    const auto expected = by_hand(points, points[i]);
    EXPECT_NEAR(found.total, expected.total, 1e-9);
    EXPECT_NEAR(found.force.x, expected.force.x, 1e-9);
    EXPECT_NEAR(found.force.y, expected.force.y, 1e-9);
  }
}

TEST(QuadTree, ComesNearTheSumsByGroups) {
  const auto points = random_points(2000, 2);
  const QuadTree tree(points);
  for (std::size_t i = 0; i < points.size(); i += 100) {
    const auto found = tree.repulsion(points[i], 0.5);
    const auto expected = by_hand(points, points[i]);
    EXPECT_NEAR(found.total / expected.total, 1, 0.03);
  }
}

TEST(QuadTree, TakesManyPointsInOnePlace) {
  std::vector<Point> points(1000, Point{3, -2});
  points.push_back({4, -2});
  const QuadTree tree(points);
  const auto sums = tree.repulsion({4, -2}, 0.5);
  EXPECT_NEAR(sums.total, 1000 * 0.5 + 1, 1e-9);
  EXPECT_NEAR(sums.force.x, 1000 * 0.25, 1e-9);
}

TEST(QuadTree, OfNothingGivesNothing) {
  EXPECT_EQ(QuadTree({}).repulsion({1, 1}, 0.5).total, 0);
}

}  // namespace
}  // namespace shoal::internal
