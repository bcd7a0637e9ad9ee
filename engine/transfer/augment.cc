#include "engine/transfer/augment.h"

#include <algorithm>

#include "common/check.h"

namespace shoal {
namespace {

struct Window {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

Image cut(const Image& image, const Window& window, bool mirrored) {
  Image out{window.width, window.height, {}};
  out.rgb.resize(static_cast<std::size_t>(3) *
                 static_cast<std::size_t>(window.width) *
                 static_cast<std::size_t>(window.height));
  std::uint8_t* target = out.rgb.data();
  for (int y = 0; y < window.height; ++y) {
    for (int x = 0; x < window.width; ++x) {
      const int from = window.x + (mirrored ? window.width - 1 - x : x);
      const std::uint8_t* source =
          image.rgb.data() +
          3 * (static_cast<std::ptrdiff_t>(window.y + y) * image.width + from);
      target = std::copy_n(source, 3, target);
    }
  }
  return out;
}

}  // namespace

Image image_variant(const Image& image, int variant) {
  SHOAL_CHECK(variant >= 0 && variant < kImageVariants, "a known variant");
  if (variant == 0) return image;
  if (variant == 1) return cut(image, {0, 0, image.width, image.height}, true);
  const int corner = variant - 2;
  Window window;
  window.width = std::max(1, image.width * 4 / 5);
  window.height = std::max(1, image.height * 4 / 5);
  window.x = corner % 2 == 1 ? image.width - window.width : 0;
  window.y = corner / 2 == 1 ? image.height - window.height : 0;
  const bool mirrored = corner == 1 || corner == 2;
  return resize_image(cut(image, window, mirrored), image.width, image.height);
}

}  // namespace shoal
