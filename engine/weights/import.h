#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/views/model_folder.h"

namespace shoal {

/// How a net's input is made from pixels.
enum class Preprocessing {
  kTorch,      ///< RGB, ImageNet's mean and deviation (torchvision, timm)
  kInception,  ///< RGB, -1 to 1 (TensorFlow's Inception and MobileNet)
  kCaffe,      ///< BGR, ImageNet's mean subtracted, 0 to 255 (VGG, ResNet)
};

/// "torch", "inception" or "caffe"; errors: kInvalidArgument.
[[nodiscard]] Result<Preprocessing> parse_preprocessing(std::string_view name);

struct ImportOptions {
  std::string name;  ///< of the view and its folder; empty: the architecture
  /// None: what the release was trained with, as far as the file tells.
  std::optional<Preprocessing> preprocessing;
  std::string source;   ///< empty: the file's name
  std::string licence;  ///< empty: "not stated"
  bool force = false;   ///< replace a folder of the same name
};

struct ImportedModel {
  ModelFolder model;
  std::uint64_t parameters = 0;  ///< values in its tensors
};

/// Architectures that import_weights knows releases of, by name.
[[nodiscard]] std::vector<std::string_view> importable_architectures();

/// Makes the model folder `models`/NAME from a weights file that others
/// published (WeightsFile): weights.safetensors and a model.json with the
/// release's preprocessing, epsilon and padding; classes and width are read
/// from the tensors. The net is built and run on one image before the folder
/// appears under its name, so a failed import leaves nothing.
/// Errors: as WeightsFile::open and make_cnn_view; kAlreadyExists when there
/// is such a folder; kUnsupported for an architecture without known releases.
[[nodiscard]] Result<ImportedModel> import_weights(
    const std::filesystem::path& file, const std::string& architecture,
    const std::filesystem::path& models, const ImportOptions& options);

}  // namespace shoal
