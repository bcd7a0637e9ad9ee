#pragma once

#include <filesystem>
#include <memory>

#include <c10/core/Device.h>

#include "common/result.h"
#include "engine/views/internal/executor.h"
#include "engine/views/internal/graph.h"

namespace shoal::internal {

/// Runs a graph with ATen. On a GPU parameters and activations have
/// `precision` and channels last, and the halves of a batch are staged in
/// pinned memory and computed on two streams; on the CPU `precision` is
/// kFloat32. Throws c10::Error.
[[nodiscard]] std::unique_ptr<Executor> make_aten_executor(
    Graph graph, const PixelTransform& transform, c10::Device device,
    Precision precision);

/// Runs a TorchScript module's forward(image batch), which must return one
/// tensor (n, dim).
/// Errors: kInvalidArgument when LibTorch cannot load it, kCorruption naming
/// the parameter that has values that are not finite.
[[nodiscard]] Result<std::unique_ptr<Executor>> make_torchscript_executor(
    const std::filesystem::path& file, const PixelTransform& transform,
    c10::Device device);

}  // namespace shoal::internal
