#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/views/model_folder.h"
#include "engine/views/view.h"

namespace shoal {

/// Where and how nets run.
struct DeviceOptions {
  /// "auto" (every CUDA device, or the CPU where there is none), "cpu", or
  /// "cuda:N", several of them with commas between: each batch is then shared
  /// among them.
  std::string device = "auto";
  /// What nets compute in: "auto", "fp32", "bf16" or "fp16".
  std::string precision = "fp32";
};

/// How a CNN view computes, and why so.
struct CnnInfo {
  std::string executor;   ///< library and version
  std::string device;     ///< "cpu", "cuda:0", "cuda:0,cuda:1"
  std::string precision;  ///< "fp32", "bf16" or "fp16"
  std::string reason;     ///< why this precision
  /// The lowest cosine similarity to fp32 features on the probe batch, of the
  /// last precision that was probed.
  std::optional<double> cosine;
  int threads = 1;  ///< on a CPU
  /// What activations take, whatever the batch; 0: not bounded by us.
  std::size_t arena_bytes = 0;
};

/// Sets LibTorch's intra-op and inter-op thread counts (and OpenCV's). Call
/// once, in main, before any net is made. 0: all hardware threads.
void set_compute_threads(int threads);

/// The architectures that make_cnn_view builds.
[[nodiscard]] std::vector<std::string_view> cnn_architectures();

/// A view whose vector is a CNN's last activation before its classifier
/// (ALGORITHMS section 1), or a TorchScript module's output. Runs on one
/// input first, so that a folder whose weights do not fit is refused here.
/// "auto" takes bf16 on a CPU and fp16 on a GPU that computes with it. Any
/// precision below fp32 is probed first: unless its features of a few made
/// images have a cosine similarity of at least 0.9995 to the fp32 ones, and
/// where the device has no such precision, the view is fp32, and cnn_info says
/// so. TorchScript modules are always fp32.
/// Errors: kNotFound, kCorruption, kInvalidArgument (names the tensor, the
/// layer or the key, what was found and what is expected), kUnsupported
/// (architecture or device), kResourceExhausted, kInternal.
[[nodiscard]] Result<std::unique_ptr<View>> make_cnn_view(
    const ModelFolder& model, const DeviceOptions& device);

/// Nothing for a view that is no CNN. On several devices what the first says.
[[nodiscard]] std::optional<CnnInfo> cnn_info(const View& view);

/// Class scores of a CNN view, for checking weights against photographs.
/// @return (images, classes) logits, unscaled
/// Errors: as View::extract; kUnsupported when the view has no classifier.
[[nodiscard]] Result<Matrix> cnn_logits(View& view,
                                        const std::vector<Image>& images);

}  // namespace shoal
