#pragma once

#include <cstdint>

#include "common/result.h"
#include "engine/views/internal/layers.h"
#include "engine/views/model_folder.h"

namespace shoal::internal {

/// The layers of a model folder's architecture with its weights.
/// Errors: kUnsupported (architecture), kInvalidArgument (variant, tensors),
/// kNotFound, kCorruption, kIo.
[[nodiscard]] Result<Net> load_net(const ModelFolder& model);

/// The same with weights drawn by `seed` (NetBuilder); the folder's are not
/// looked at. Errors: kUnsupported, kInvalidArgument (variant).
[[nodiscard]] Result<Net> random_net(const ModelFolder& model,
                                     std::uint64_t seed);

/// Refuses whatever a variant without any switch has.
[[nodiscard]] Result<void> refuse_variant(const ModelFolder& model);

}  // namespace shoal::internal
