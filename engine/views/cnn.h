#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/views/model_folder.h"
#include "engine/views/view.h"

namespace shoal {

/// Where and how nets run.
struct DeviceOptions {
  /// "auto" (the first CUDA device if there is one), "cpu" or "cuda:N".
  std::string device = "auto";
};

/// Sets LibTorch's intra-op and inter-op thread counts (and OpenCV's). Call
/// once, in main, before any net is made. 0: all hardware threads.
void set_compute_threads(int threads);

/// The architectures that make_cnn_view builds.
[[nodiscard]] std::vector<std::string_view> cnn_architectures();

/// A view whose vector is a CNN's last activation before its classifier
/// (ALGORITHMS section 1), or a TorchScript module's output. Runs on one
/// input first, so that a folder whose weights do not fit is refused here.
/// Errors: kNotFound, kCorruption, kInvalidArgument (names the tensor or the
/// key, what was found and what is expected), kUnsupported (architecture or
/// device), kInternal.
[[nodiscard]] Result<std::unique_ptr<View>> make_cnn_view(
    const ModelFolder& model, const DeviceOptions& device);

/// Class scores of a CNN view, for checking weights against photographs.
/// @return (images, classes) logits, unscaled
/// Errors: as View::extract; kUnsupported when the view has no classifier.
[[nodiscard]] Result<Matrix> cnn_logits(View& view,
                                        const std::vector<Image>& images);

}  // namespace shoal
