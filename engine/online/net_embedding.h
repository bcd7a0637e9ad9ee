#pragma once

#include <memory>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "engine/deep/multi_view.h"
#include "engine/online/embedding_model.h"

namespace shoal {

/// A learned net as an embedding: each view's rows L2-normalised (rows of
/// zeros stay), through its branch, the branches' outputs side by side through
/// the output net. A branch without layers passes its view on.
/// Errors: kInvalidArgument for no input, another number of branches, layers
/// that do not fit together or values that are not finite.
/// Source: MV paper section 3.2.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> make_net_embedding(
    std::vector<EmbeddingInput> inputs, MultiViewNet net);

/// The net's bytes, and back. Errors: kCorruption (sizes, values that are not
/// finite); what is missing shows in in.failed().
void write_mlp(ByteWriter& out, const Mlp& net);
[[nodiscard]] Result<Mlp> read_mlp(ByteReader& in);

}  // namespace shoal
