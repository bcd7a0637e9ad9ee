#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/online/embedding_model.h"
#include "engine/transfer/transfer_head.h"

namespace shoal {

/// The name of the view that a transfer head makes of a net's features.
inline constexpr std::string_view kTransferView = "transfer";

/// How an image's stored views become what the inner model reads: some of
/// them as they are, and after them what the head says of one.
struct TransferInputs {
  std::vector<EmbeddingInput> stored;
  std::vector<std::size_t> kept;  ///< positions in `stored`
  std::size_t net = 0;            ///< position in `stored`: the head's features
  TransferHead head;
};

/// What the inner model reads: the kept inputs and the transfer view.
[[nodiscard]] std::vector<EmbeddingInput> inner_inputs(
    const TransferInputs& inputs);

/// Per input of the inner model (n, dim).
/// @param stored  per stored input (n, dim)
[[nodiscard]] std::vector<Matrix> inner_features(
    const TransferInputs& inputs, const std::vector<Matrix>& stored);

/// A model over stored views of which one goes through a transfer head first.
/// @param inner  reads inner_inputs(inputs)
/// Errors: kInvalidArgument where the parts do not fit together, a weight is
/// not finite, or `inner` is itself such a model.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> make_transfer_embedding(
    TransferInputs inputs, std::unique_ptr<EmbeddingModel> inner);

}  // namespace shoal
