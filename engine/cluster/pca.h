#pragma once

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

/// Principal components of a data set. Immutable value.
struct Pca {
  Vector mean;                ///< (d)
  Matrix components;          ///< (k, d), orthonormal rows, falling variance
  Vector explained_variance;  ///< (k), with the n - 1 divisor
  double total_variance = 0;  ///< over all d directions

  /// (n, d) -> (n, k); whitened: each component divided by its deviation.
  [[nodiscard]] Matrix project(MatrixView data, bool whiten) const;
};

struct PcaOptions {
  int max_components = 128;
  /// Keep the fewest components that explain this share of the variance
  /// (1: keep max_components).
  double explained = 1.0;
};

/// Exact PCA by the eigenvectors of the smaller of the d x d covariance and
/// the n x n Gram matrix. Signs: the largest entry of a component is positive.
/// Components without variance (below 1e-10 of the total) are left out.
/// @param data  (n, d), finite, n >= 2
/// Errors: kInvalidArgument. Memory O(min(n, d)^2 + n d). Thread-safe.
[[nodiscard]] Result<Pca> fit_pca(MatrixView data, const PcaOptions& options);

}  // namespace shoal
