#include "engine/deep/mlp.h"

#include <algorithm>

#include "common/check.h"
#include "engine/score/distances.h"

namespace shoal {
namespace {

/// Rows at a time: what the widest layers hold of a block stays small.
constexpr Eigen::Index kBlockRows = 1024;

/// Scales rows to length 1, those of zeros excepted.
/// @param longer_only  leave rows of length 1 and less as they are
void scale_rows(Matrix& rows, bool longer_only) {
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const float norm = rows.row(i).stableNorm();
    if (longer_only ? norm > 1 : norm > 0) rows.row(i) /= norm;
  }
}

Matrix run_block(const Mlp& mlp, MatrixView input) {
  Matrix values = input;
  if (mlp.limit_input) scale_rows(values, true);
  for (std::size_t l = 0; l < mlp.layers.size(); ++l) {
    const Mlp::Layer& layer = mlp.layers[l];
    Matrix out(values.rows(), layer.weight.rows());
    multiply_transposed(values, layer.weight, out);
    out.rowwise() += layer.bias.transpose();
    if (l + 1 < mlp.layers.size()) out = out.cwiseMax(0.0F);
    values = std::move(out);
  }
  if (mlp.normalise) scale_rows(values, false);
  return values;
}

}  // namespace

Matrix Mlp::run(MatrixView input) const {
  SHOAL_CHECK(layers.empty() || input.cols() == layers[0].weight.cols(),
              "the input has another width than the net");
  const Eigen::Index width =
      layers.empty() ? input.cols() : layers.back().weight.rows();
  Matrix output(input.rows(), width);
  for (Eigen::Index start = 0; start < input.rows(); start += kBlockRows) {
    const Eigen::Index count = std::min(kBlockRows, input.rows() - start);
    output.middleRows(start, count) =
        run_block(*this, input.middleRows(start, count));
  }
  return output;
}

}  // namespace shoal
