#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/image/image.h"

namespace shoal::internal {

// One decoder per library. Each takes bytes that probe() has accepted and
// gives the pixels as they are stored: EXIF rotation is not applied.
/// libjpeg. @param divisor  1, 2, 4 or 8: sides come divided by it, rounded up
ImageResult<Image> decode_jpeg(std::string_view bytes, int divisor);
ImageResult<Image> decode_webp(std::string_view bytes);  ///< libwebpdemux
ImageResult<Image> decode_gif(std::string_view bytes,
                              const ImageLimits& limits);  ///< giflib
/// What libheif says of the primary image before it decodes it.
struct HeifSizes {
  int stored_width = 0;   ///< pixels
  int stored_height = 0;  ///< pixels
  int width = 0;          ///< pixels, cropped and upright
  int height = 0;         ///< pixels, cropped and upright
};
ImageResult<HeifSizes> heif_sizes(std::string_view bytes);
/// HEIC and AVIF, by libheif: upright, since there rotation is a property of
/// the image itself.
ImageResult<Image> decode_heif(std::string_view bytes,
                               const ImageLimits& limits);
/// PNG, TIFF and BMP. `premultiplied`: alpha is already in the colours.
ImageResult<Image> decode_opencv(std::string_view bytes, bool premultiplied);

/// One straight-alpha sample over white, rounded.
inline std::uint8_t over_white(unsigned value, unsigned alpha) {
  return static_cast<std::uint8_t>((value * alpha + 255 * (255 - alpha) + 127) /
                                   255);
}

/// width * height RGBA pixels, straight alpha, over white.
Image image_over_white(const std::uint8_t* rgba, int width, int height);

}  // namespace shoal::internal
