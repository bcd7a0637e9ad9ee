#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "daemon/eval/dataset.h"
#include "engine/views/cnn.h"
#include "engine/views/view.h"

namespace shoal::eval {

/// A view that is made when its turn comes: one net at a time is in memory.
struct ViewRequest {
  std::string name;
  /// Takes little beside decoding: such views share one pass over the images.
  bool light = false;
  /// What the view's hashes do not cover and yet decides its values.
  std::string variant;
  std::function<Result<std::unique_ptr<View>>()> make;
  bool net = false;  ///< one of a model folder
};

/// A view of an image's own pixels / 255, row by row; RGB in turn, or one
/// channel. Only for images that all have that size: no daemon has it.
[[nodiscard]] std::unique_ptr<View> make_pixels_view(const PixelShape& shape);

/// The views called `names`: handcrafted ones, "rp_pca" with a basis of the
/// dataset's own images (at most 2,000, evenly from all), "pixels", and folders
/// below `models`. No names: every handcrafted view but rp_pca and every folder
/// of `models`.
/// @param models  may be empty: no nets
/// @param dataset  of "pixels" and "rp_pca"; must outlive the requests
/// Errors: kNotFound naming what is not there and what is; kInvalidArgument
/// for a name that comes twice.
[[nodiscard]] Result<std::vector<ViewRequest>> find_views(
    const std::vector<std::string>& names, const std::filesystem::path& models,
    const DeviceOptions& device, const Dataset& dataset);

}  // namespace shoal::eval
