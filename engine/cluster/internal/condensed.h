#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal::internal {

/// kResourceExhausted, naming `what`, unless the machine has `bytes` of memory
/// available now.
[[nodiscard]] Result<void> check_memory(std::size_t bytes,
                                        const std::string& what);

/// A float32 for each pair of n things: the lower triangle without the
/// diagonal, row by row. Value.
class CondensedDistances {
 public:
  /// All 0. Errors: kResourceExhausted.
  static Result<CondensedDistances> make(std::size_t n);
  /// Takes over the lower triangle of a (n, n) matrix, in its memory.
  explicit CondensedDistances(Matrix square);

  static std::size_t pairs(std::size_t n) {
    return n < 2 ? 0 : n * (n - 1) / 2;
  }

  [[nodiscard]] std::size_t size() const { return n_; }
  /// The distances of i to 0..i-1.
  [[nodiscard]] float* row(std::size_t i) { return values_.data() + pairs(i); }
  [[nodiscard]] float& at(std::size_t i, std::size_t j) {
    return i > j ? row(i)[j] : row(j)[i];
  }

 private:
  CondensedDistances() = default;

  std::size_t n_ = 0;
  Matrix values_;
};

/// Euclidean distances (or their squares) of all pairs of rows. The products
/// are in double: what cancels in |x|^2 + |y|^2 - 2 x.y is below float32's
/// rounding, and near duplicates are measured by their difference.
/// @param data  (n, d), finite
/// Errors: kResourceExhausted, kCancelled. Cost O(n^2 d), each pair once.
[[nodiscard]] Result<CondensedDistances> pairwise_distances(
    MatrixView data, bool squared, const std::function<bool()>& cancelled);

}  // namespace shoal::internal
