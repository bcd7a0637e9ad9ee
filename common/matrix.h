#pragma once

#include <Eigen/Core>

namespace shoal {

/// n rows of d float32 values, row-major: the form in which features and
/// embeddings cross every border between our parts.
using Matrix =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXf;
/// A borrowed, read-only Matrix; rows are contiguous.
using MatrixView = Eigen::Ref<const Matrix>;

}  // namespace shoal
