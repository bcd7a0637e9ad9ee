#pragma once

#include "common/matrix.h"

namespace shoal {

/// Squared_l2 from rows to a fixed set of points by one matrix product per
/// block: |x|^2 + |p|^2 - 2 x.p. The points are moved so that `origin` is
/// zero, which keeps float32's rounding small for data far from the true
/// zero (scikit-learn subtracts the mean from a copy of the data instead).
/// Immutable, thread-safe; uses the process's BLAS threads.
class PointDistances {
 public:
  /// Rows per block: the product's result stays in the cache.
  static constexpr Eigen::Index kBlockRows = 512;

  /// @param points  (k, d)
  /// @param origin  (d), near the middle of the data
  PointDistances(MatrixView points, const Eigen::Ref<const Vector>& origin);

  /// @param rows  (b, d)
  /// @param out  (b, k) receives |p|^2 - 2 x.p: the squared_l2 less the rows'
  ///   own |x - origin|^2, so equal offsets per row, and right for comparing
  void compare(MatrixView rows, Eigen::Ref<Matrix> out) const;

  /// @param row_norms  (b) |x - origin|^2
  /// @param out  (b, k) receives the squared_l2, never negative
  void measure(MatrixView rows, const Eigen::Ref<const Vector>& row_norms,
               Eigen::Ref<Matrix> out) const;

 private:
  Matrix points_;  // -2 * (p - origin)
  Vector offsets_;
};

/// out = a * b' by BLAS.
/// @param a  (n, d)  @param b  (k, d)  @param out  (n, k)
void multiply_transposed(MatrixView a, MatrixView b, Eigen::Ref<Matrix> out);

/// (n) |x - origin|^2 of every row.
[[nodiscard]] Vector squared_norms(MatrixView rows,
                                   const Eigen::Ref<const Vector>& origin);

/// (d) mean of the rows, summed in double. `rows` is not empty.
[[nodiscard]] Vector mean_row(MatrixView rows);

}  // namespace shoal
