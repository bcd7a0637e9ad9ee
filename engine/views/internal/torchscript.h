#pragma once

#include <filesystem>

#include <c10/core/Device.h>

#include "common/result.h"
#include "engine/views/internal/layers.h"

namespace shoal::internal {

/// A net whose only step is a TorchScript module's forward(image batch),
/// which must return one tensor (n, dim).
/// Errors: kInvalidArgument when LibTorch cannot load it, kCorruption naming
/// the parameter that has values that are not finite.
Result<Net> load_torchscript(const std::filesystem::path& file,
                             c10::Device device);

}  // namespace shoal::internal
