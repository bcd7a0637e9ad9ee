#include "engine/layout/internal/quad_tree.h"

#include <algorithm>

namespace shoal::internal {
namespace {

bool all_in_one_place(const std::vector<Point>& points, std::size_t begin,
                      std::size_t end) {
  for (std::size_t i = begin + 1; i < end; ++i) {
    if (points[i].x != points[begin].x || points[i].y != points[begin].y) {
      return false;
    }
  }
  return true;
}

}  // namespace

QuadTree::QuadTree(const std::vector<Point>& points) : points_(points) {
  if (points_.empty()) return;
  Point low = points_.front();
  Point high = points_.front();
  for (const Point& p : points_) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  cells_.reserve(points_.size() * 2);
  cells_.emplace_back();
  build(0, 0, points_.size(), {(low.x + high.x) / 2, (low.y + high.y) / 2},
        std::max(high.x - low.x, high.y - low.y), 0);
}

void QuadTree::build(std::size_t cell, std::size_t begin, std::size_t end,
                     Point middle, double side, int depth) {
  Point sum;
  for (std::size_t i = begin; i < end; ++i) {
    sum.x += points_[i].x;
    sum.y += points_[i].y;
  }
  const auto count = static_cast<double>(end - begin);
  cells_[cell].count = count;
  cells_[cell].side = side;
  if (begin == end) return;
  cells_[cell].centre_of_mass = {sum.x / count, sum.y / count};
  if (depth == kMaxDepth || all_in_one_place(points_, begin, end)) return;

  const auto at = [&](std::size_t i) {
    return points_.begin() + static_cast<std::ptrdiff_t>(i);
  };
  const auto split = [&](std::size_t from, std::size_t to, auto is_first) {
    return static_cast<std::size_t>(std::partition(at(from), at(to), is_first) -
                                    points_.begin());
  };
  const auto is_left = [&](const Point& p) { return p.x < middle.x; };
  const auto is_low = [&](const Point& p) { return p.y < middle.y; };
  const std::size_t half = split(begin, end, is_left);
  const std::array<std::size_t, 5> bounds = {
      begin, split(begin, half, is_low), half, split(half, end, is_low), end};

  const std::size_t children = cells_.size();
  cells_[cell].first_child = static_cast<std::int32_t>(children);
  cells_.resize(children + 4);
  const double quarter = side / 4;
  for (std::size_t i = 0; i < 4; ++i) {
    const Point child = {middle.x + (i < 2 ? -quarter : quarter),
                         middle.y + (i % 2 == 0 ? -quarter : quarter)};
    build(children + i, bounds[i], bounds[i + 1], child, side / 2, depth + 1);
  }
}

QuadTree::Repulsion QuadTree::repulsion(Point p, double theta) const {
  Repulsion sums;
  if (cells_.empty()) return sums;
  // Each level adds at most three cells to those that wait.
  std::array<std::size_t, 3 * kMaxDepth + 4> waiting{};
  std::size_t depth = 0;
  waiting[depth++] = 0;
  while (depth > 0) {
    const Cell& cell = cells_[waiting[--depth]];
    if (cell.count == 0) continue;
    const double dx = p.x - cell.centre_of_mass.x;
    const double dy = p.y - cell.centre_of_mass.y;
    const double squared = dx * dx + dy * dy;
    if (cell.first_child >= 0 &&
        cell.side * cell.side >= theta * theta * squared) {
      for (std::size_t i = 0; i < 4; ++i) {
        waiting[depth++] = static_cast<std::size_t>(cell.first_child) + i;
      }
      continue;
    }
    const double weight = 1 / (1 + squared);
    sums.total += cell.count * weight;
    const double push = cell.count * weight * weight;
    sums.force.x += push * dx;
    sums.force.y += push * dy;
  }
  return sums;
}

}  // namespace shoal::internal
