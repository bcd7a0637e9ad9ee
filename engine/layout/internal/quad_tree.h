#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace shoal::internal {

struct Point {
  double x = 0;
  double y = 0;
};

/// A quadtree over points in the plane, for sums over all points in which far
/// groups count as one (Barnes & Hut 1986). Immutable once built; borrows
/// nothing.
class QuadTree {
 public:
  explicit QuadTree(const std::vector<Point>& points);

  struct Repulsion {
    Point force;       ///< sum of (p - q) / (1 + |p - q|^2)^2
    double total = 0;  ///< sum of 1 / (1 + |p - q|^2)
  };
  /// Both sums over all points q; the point itself adds 1 to `total` (and no
  /// force), which the caller takes off. Thread-safe.
  [[nodiscard]] Repulsion repulsion(Point p, double theta) const;

 private:
  /// A square with the points in it. Leaves hold points of one place only, or
  /// are as small as kMaxDepth allows.
  struct Cell {
    Point centre_of_mass;
    double count = 0;
    double side = 0;
    std::int32_t first_child = -1;  ///< of four in a row; -1: a leaf
  };
  static constexpr int kMaxDepth = 40;

  /// Makes the cell of points_[begin, end), whose square has its middle at
  /// `middle`.
  void build(std::size_t cell, std::size_t begin, std::size_t end, Point middle,
             double side, int depth);

  std::vector<Point> points_;  ///< in the order of the leaves
  std::vector<Cell> cells_;
};

}  // namespace shoal::internal
