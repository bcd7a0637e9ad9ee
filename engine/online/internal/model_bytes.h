#pragma once

#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/matrix.h"
#include "common/result.h"
#include "engine/online/embedding_model.h"

/// The parts that serialized embedding models have in common.
namespace shoal::internal {

inline constexpr std::string_view kAffineKind = "normalized_affine";
inline constexpr std::string_view kNetKind = "multi_view_net";
inline constexpr std::string_view kTransferKind = "transfer";

/// A bound on what loading accepts: far above any real model, far below what
/// would exhaust memory.
inline constexpr std::uint32_t kMaxModelDim = 1U << 20;

void write_inputs(ByteWriter& out, const std::vector<EmbeddingInput>& inputs);
/// Errors: kCorruption for a number or size out of range. What is missing
/// shows in in.failed().
[[nodiscard]] Result<std::vector<EmbeddingInput>> read_inputs(ByteReader& in);

/// `size` floats as they are.
void write_values(ByteWriter& out, const float* values, Eigen::Index size);
/// Fewer than `size` floats left: in.failed(), and `values` are as they were.
void read_values(ByteReader& in, float* values, Eigen::Index size);

/// The rows divided by their length. Scaled by the largest value first:
/// squares of finite values may overflow. A row of zeros stays zero.
void normalize_rows(const Matrix& rows, Eigen::Ref<Matrix> out);

/// `in` stands after the kind. Errors: kCorruption, kUnsupported.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> read_net_embedding(
    ByteReader& in);
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> read_transfer_embedding(
    ByteReader& in);

/// A model that holds no other one: what may be inside one that does.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> load_plain_model(
    std::string_view bytes);

}  // namespace shoal::internal
