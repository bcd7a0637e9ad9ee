#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace shoal {

/// A folder with model.json and its weights file: one CNN view. See
/// docs/views.md for the JSON's keys.
struct ModelFolder {
  std::filesystem::path folder;
  std::string name;          ///< the view's name: [a-z0-9_.-]+
  std::string architecture;  ///< resnet50, mobilenet_v1, ..., torchscript
  /// The architecture's own switches ("variant" in the JSON), as JSON text;
  /// each architecture refuses keys and values that it does not know.
  std::string variant = "{}";
  std::filesystem::path weights;  ///< absolute
  int input_width = 0;            ///< pixels
  int input_height = 0;           ///< pixels
  bool bgr = false;               ///< channel order of the input
  /// input = (value - mean) * scale / std per channel, values 0..255
  float scale = 1;
  std::array<float, 3> mean{};
  std::array<float, 3> std{1, 1, 1};
  int feature_dim = 0;
  /// Logit index of ImageNet's class 0.
  int class_offset = 0;
  std::string source;
  std::string licence;
};

/// Reads and checks model.json. Errors: kNotFound, kIo, kInvalidArgument
/// naming file, key, what was found and what is expected.
[[nodiscard]] Result<ModelFolder> read_model_folder(
    const std::filesystem::path& folder);

/// The same from the JSON text (weights are not looked at).
[[nodiscard]] Result<ModelFolder> parse_model_json(
    std::string_view text, const std::filesystem::path& folder);

/// Folders below `folder` that hold a model.json, by name.
/// Errors: kNotFound, kIo.
[[nodiscard]] Result<std::vector<std::filesystem::path>> list_model_folders(
    const std::filesystem::path& folder);

}  // namespace shoal
