#pragma once

#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal::internal {

/// The smallest eigenvalues of the normalised Laplacian of the symmetrised
/// graph of nearest neighbours, all edges alike. As many are near 0 as the
/// graph has parts that hardly touch.
/// @param data  (n, d), finite, n >= 2
/// @param values  at most n
/// @return by rising value, 0..2
/// Errors: kInvalidArgument, kCancelled, kInternal (LAPACK). Cost O(n^3),
/// memory O(n^2). Source: von Luxburg 2007.
[[nodiscard]] Result<std::vector<double>> laplacian_eigenvalues(
    MatrixView data, int neighbours, int values,
    const std::function<bool()>& cancelled);

}  // namespace shoal::internal
