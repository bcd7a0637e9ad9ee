#include "engine/transfer/augment.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

/// Red says the column, green the row.
Image coordinates(int width, int height) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(x));
      image.rgb.push_back(static_cast<std::uint8_t>(y));
      image.rgb.push_back(7);
    }
  }
  return image;
}

std::uint8_t at(const Image& image, int x, int y, int channel) {
  return image
      .rgb[static_cast<std::size_t>(3 * (y * image.width + x) + channel)];
}

TEST(ImageVariant, TheFirstIsTheImageAndTheSecondItsMirrorImage) {
  const Image image = coordinates(30, 20);
  EXPECT_EQ(image_variant(image, 0).rgb, image.rgb);
  const Image mirrored = image_variant(image, 1);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 30; ++x) {
      ASSERT_EQ(at(mirrored, x, y, 0), 29 - x);
      ASSERT_EQ(at(mirrored, x, y, 1), y);
      ASSERT_EQ(at(mirrored, x, y, 2), 7);
    }
  }
}

/// The window of `image` at (left, top), mirrored or not, at `image`'s size.
Image crop(const Image& image, int left, int top, int width, int height,
           bool mirrored) {
  Image cut{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int from = left + (mirrored ? width - 1 - x : x);
      for (int c = 0; c < 3; ++c) {
        cut.rgb.push_back(at(image, from, top + y, c));
      }
    }
  }
  return resize_image(cut, image.width, image.height);
}

TEST(ImageVariant, TheOthersAreTheCornersTwoOfThemMirrored) {
  const Image image = coordinates(100, 50);
  EXPECT_EQ(image_variant(image, 2).rgb, crop(image, 0, 0, 80, 40, false).rgb);
  EXPECT_EQ(image_variant(image, 3).rgb, crop(image, 20, 0, 80, 40, true).rgb);
  EXPECT_EQ(image_variant(image, 4).rgb, crop(image, 0, 10, 80, 40, true).rgb);
  EXPECT_EQ(image_variant(image, 5).rgb,
            crop(image, 20, 10, 80, 40, false).rgb);
}

TEST(ImageVariant, EveryOneHasTheImagesSize) {
  const Image image = coordinates(33, 17);
  for (int variant = 0; variant < kImageVariants; ++variant) {
    const Image changed = image_variant(image, variant);
    EXPECT_EQ(changed.width, 33);
    EXPECT_EQ(changed.height, 17);
    EXPECT_EQ(changed.rgb.size(), image.rgb.size());
  }
}

TEST(ImageVariant, TinyImagesStayImages) {
  const Image dot = coordinates(1, 1);
  for (int variant = 0; variant < kImageVariants; ++variant) {
    EXPECT_EQ(image_variant(dot, variant).rgb, dot.rgb);
  }
}

}  // namespace
}  // namespace shoal
