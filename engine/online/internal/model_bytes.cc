#include "engine/online/internal/model_bytes.h"

namespace shoal::internal {
namespace {

constexpr std::uint32_t kMaxInputs = 256;

}  // namespace

void write_inputs(ByteWriter& out, const std::vector<EmbeddingInput>& inputs) {
  out.number(static_cast<std::uint32_t>(inputs.size()));
  for (const EmbeddingInput& input : inputs) {
    out.string(input.view).number(static_cast<std::uint32_t>(input.dim));
  }
}

Result<std::vector<EmbeddingInput>> read_inputs(ByteReader& in) {
  const auto count = in.number<std::uint32_t>();
  if (count > kMaxInputs) {
    return corruption("embedding model of " + std::to_string(count) +
                      " inputs");
  }
  std::vector<EmbeddingInput> inputs;
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    EmbeddingInput input;
    input.view = in.string();
    const auto dim = in.number<std::uint32_t>();
    if (!in.failed() && (dim == 0 || dim > kMaxModelDim)) {
      return corruption("embedding model input of " + std::to_string(dim) +
                        " values");
    }
    input.dim = static_cast<int>(dim);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

void write_values(ByteWriter& out, const float* values, Eigen::Index size) {
  out.raw({reinterpret_cast<const char*>(values),
           static_cast<std::size_t>(size) * sizeof(float)});
}

void read_values(ByteReader& in, float* values, Eigen::Index size) {
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(float);
  const std::string_view from = in.raw(bytes);
  if (from.size() == bytes) std::memcpy(values, from.data(), bytes);
}

void normalize_rows(const Matrix& rows, Eigen::Ref<Matrix> out) {
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const float largest = rows.row(i).cwiseAbs().maxCoeff();
    if (!(largest > 0)) {
      out.row(i).setZero();
      continue;
    }
    out.row(i) = rows.row(i) / largest;
    out.row(i) /= out.row(i).norm();
  }
}

}  // namespace shoal::internal
