#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

/// The nearest neighbours of each of n rows, without the row itself. Value.
struct NeighbourGraph {
  int neighbours = 0;             ///< per row
  std::vector<int> index;         ///< (n * neighbours) by rising distance
  std::vector<float> squared_l2;  ///< (n * neighbours)

  [[nodiscard]] std::size_t size() const {
    return neighbours == 0
               ? 0
               : index.size() / static_cast<std::size_t>(neighbours);
  }
};

/// Exact k-nearest neighbours by blocked matrix products; the distances kept
/// are computed from the differences of the rows, so duplicates are at 0.
/// Ties: lowest index (between rows that are not equal and far down the list
/// only up to the products' rounding). Deterministic.
/// @param data  (n, d), finite
/// @param neighbours  1..n - 1
/// @param cancelled  asked once per block; true ends with kCancelled
/// Errors: kInvalidArgument (neighbours out of range, a value not finite),
/// kCancelled. Cost: O(n^2 d), each pair once; memory O(n neighbours) and two
/// blocks of a bounded number of rows. Thread-safe; uses the process's BLAS
/// threads.
[[nodiscard]] Result<NeighbourGraph> nearest_neighbours(
    MatrixView data, int neighbours,
    const std::function<bool()>& cancelled = {});

}  // namespace shoal
