#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/views/view.h"

namespace shoal {

/// Views that need no weights (TL paper section 4.1), all at fixed sizes:
///  "rp"     raw grey pixels, 32 x 32 = 1,024 values in [0, 1]
///  "gabor"  energy of a Gabor bank (scales x orientations), mean and
///           deviation per cell
///  "hog"    histogram of oriented gradients
///  "color"  joint colour histogram with soft binning, per cell
/// Errors: kNotFound for another name, listing the known ones.
[[nodiscard]] Result<std::unique_ptr<View>> make_handcrafted_view(
    std::string_view name);

/// The names above.
[[nodiscard]] std::vector<std::string_view> handcrafted_view_names();

/// "rp_pca": raw pixels projected on principal components. The basis is
/// learned once from example images and then fixed: it is the view's weights.
class RawPixelPca {
 public:
  static constexpr int kDim = 64;
  /// Input size of the view.
  static constexpr int kSide = 32;

  /// Learns the basis. @param images  any sizes, at least 2 * kDim of them
  /// Errors: kInvalidArgument for too few.
  [[nodiscard]] static Result<std::unique_ptr<View>> fit(
      const std::vector<Image>& images);
  /// Writes the basis of a view made by fit() as safetensors.
  [[nodiscard]] static Result<void> save(const View& view,
                                         const std::filesystem::path& file);
  [[nodiscard]] static Result<std::unique_ptr<View>> load(
      const std::filesystem::path& file);
};

}  // namespace shoal
