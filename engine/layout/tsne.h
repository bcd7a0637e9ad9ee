#pragma once

#include <cstdint>
#include <functional>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

struct TsneOptions {
  /// Effective number of neighbours; lowered to (n - 1) / 3 for small n.
  double perplexity = 30;
  int iterations = 750;
  int exaggerated_iterations = 250;  ///< the first ones
  double exaggeration = 12;
  /// Barnes-Hut's opening angle: a cell counts as one point when its side is
  /// below `theta` times its distance. 0: exact.
  double theta = 0.5;
  std::uint64_t seed = 0;
  /// Asked between iterations; true ends with kCancelled.
  std::function<bool()> cancelled;
};

/// A map of the rows in the plane in which near rows stay near: t-distributed
/// stochastic neighbour embedding with Barnes-Hut repulsion, started from the
/// first two principal components. Distances between far groups mean little.
/// Deterministic for a seed.
/// @param data  (n, d), finite
/// @return (n, 2), centred
/// Errors: kInvalidArgument (not finite, options), kCancelled.
/// Cost: O(n^2 d) for the neighbours, O(n log n) an iteration; memory O(n
/// perplexity). Thread-safe.
/// Source: van der Maaten & Hinton 2008; van der Maaten 2014; step sizes and
/// the start as in scikit-learn 1.2.
[[nodiscard]] Result<Matrix> tsne(MatrixView data, const TsneOptions& options);

}  // namespace shoal
