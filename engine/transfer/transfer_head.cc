#include "engine/transfer/transfer_head.h"

#include <numeric>
#include <string>
#include <utility>

#include "engine/transfer/internal/head_fit.h"
#include "engine/transfer/internal/split.h"

namespace shoal {
namespace {

Matrix rows_of_length_1(const Matrix& rows) {
  Matrix unit = rows;
  for (Eigen::Index i = 0; i < unit.rows(); ++i) {
    const float length = unit.row(i).stableNorm();
    if (length > 0) unit.row(i) /= length;
  }
  return unit;
}

}  // namespace

Matrix TransferHead::evidence(const Matrix& features) const {
  Matrix outputs = rows_of_length_1(features) * weight.transpose();
  outputs.rowwise() += bias.transpose();
  outputs.colwise() -= outputs.rowwise().mean().eval();
  return outputs;
}

Result<TransferHead> fit_transfer_head(const Matrix& features,
                                       const std::vector<int>& labels,
                                       int classes,
                                       const HeadOptions& options) {
  if (!features.allFinite()) {
    return invalid_argument("transfer head: a feature is not finite");
  }
  std::vector<std::size_t> rows(static_cast<std::size_t>(features.rows()));
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  SHOAL_TRY(internal::check_head_options(options));
  SHOAL_TRY(internal::check_examples(rows, labels, classes, rows.size()));
  std::vector<bool> seen(static_cast<std::size_t>(classes));
  for (const int label : labels) seen[static_cast<std::size_t>(label)] = true;
  for (int c = 0; c < classes; ++c) {
    if (!seen[static_cast<std::size_t>(c)]) {
      return invalid_argument("transfer head: class " + std::to_string(c) +
                              " has no rows");
    }
  }
  const Matrix unit = rows_of_length_1(features);
  SHOAL_TRY(fitted, internal::fit_head({MatrixView(unit)}, rows, labels,
                                       classes, options));
  return TransferHead{std::move(fitted.head.weight),
                      std::move(fitted.head.bias)};
}

}  // namespace shoal
