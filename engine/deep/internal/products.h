#pragma once

#include "common/matrix.h"

namespace shoal {

/// out = a * b by BLAS.
/// @param a  (n, k)  @param b  (k, m)  @param out  (n, m)
void multiply(MatrixView a, MatrixView b, Eigen::Ref<Matrix> out);

/// out = a' * b by BLAS.
/// @param a  (n, k)  @param b  (n, m)  @param out  (k, m)
void multiply_columns(MatrixView a, MatrixView b, Eigen::Ref<Matrix> out);

}  // namespace shoal
