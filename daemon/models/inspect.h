#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/image/image.h"

namespace shoal {

/// One line about a model folder: {name, folder, architecture, dim, width,
/// height, bytes, ok, error}. `ok` means that the net was built and run on an
/// image; else `error` says what is wrong and what is unknown is null.
[[nodiscard]] nlohmann::json summarize_model(
    const std::filesystem::path& folder);

/// What a model folder is: {name, folder, architecture, variant, layer, dim,
/// width, height, channels, scale, mean, std, parameters, classes, source,
/// licence}. `parameters` and `classes` are null where they are not known.
/// Then, for each image, {image, feature_norm, top}: the five classes with
/// the highest probabilities as {class, name, probability}; `class` counts
/// without the net's class_offset and `name` is null unless the net has
/// ImageNet's 1,000 classes; `top` is empty without a classifier.
/// @param images  files; none: one rendered picture, named "rendered"
/// Errors: as make_cnn_view; kNotFound, kInvalidArgument for an image.
[[nodiscard]] Result<std::vector<nlohmann::json>> inspect_model(
    const std::filesystem::path& folder,
    const std::vector<std::filesystem::path>& images);

/// A picture with edges, colours and shades: 256 x 256 pixels.
[[nodiscard]] Image rendered_picture();

/// The 1,000 class names of ILSVRC 2012, by class.
[[nodiscard]] std::vector<std::string> imagenet_class_names();

}  // namespace shoal
