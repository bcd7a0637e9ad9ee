#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"

namespace shoal {

/// Decoded pixels: 8-bit RGB, interleaved, row-major, no padding, upright
/// (EXIF rotation applied). Value.
struct Image {
  int width = 0;                  ///< pixels
  int height = 0;                 ///< pixels
  std::vector<std::uint8_t> rgb;  ///< width * height * 3
};

/// What an image file says of itself, read from its header alone.
struct ImageInfo {
  std::string format;        ///< jpeg, png, webp, tiff, bmp, gif, heic, avif
  std::uint32_t width = 0;   ///< pixels, before rotation
  std::uint32_t height = 0;  ///< pixels, before rotation
};

/// What is too large to be decoded.
struct ImageLimits {
  std::uint64_t max_pixels = 100'000'000;
  std::uint32_t max_side = 30'000;  ///< pixels
};

/// Why bytes are not a usable image, as clients see it.
enum class ImageProblem {
  kEmpty,              ///< no bytes
  kNotAnImage,         ///< no known signature
  kUnsupportedFormat,  ///< known, but not decoded by this build
  kTruncated,          ///< ends before its own structure does
  kTooManyPixels,      ///< over ImageLimits
  kBroken,             ///< right signature, wrong content
};

/// "empty_image", "not_an_image", "unsupported_format", "truncated_image",
/// "too_many_pixels", "broken_image": the codes of the wire protocol.
[[nodiscard]] std::string_view to_string(ImageProblem problem);

struct ImageError {
  ImageProblem problem = ImageProblem::kBroken;
  std::string message;
};

template <typename T>
using ImageResult = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    T, ImageError, BOOST_OUTCOME_V2_NAMESPACE::policy::terminate>;

/// Recognises the format by its signature and reads width and height without
/// decoding; also finds files cut short, where the container tells (JPEG end
/// marker, PNG and RIFF lengths, ...). Cost: O(1) to O(bytes), no allocation
/// that depends on the claimed size. Thread-safe.
[[nodiscard]] ImageResult<ImageInfo> probe_image(std::string_view bytes,
                                                 const ImageLimits& limits);

/// The size to which a decoded image will be resized. None: all pixels count.
struct DecodeTarget {
  int width = 0;   ///< pixels; 0: none
  int height = 0;  ///< pixels; 0: none
};

/// Decodes to upright RGB. Grey is repeated, alpha is composited on white,
/// more than 8 bits are scaled to 8, CMYK is converted, of an animation the
/// first frame counts, of a HEIC or AVIF file the primary image. Probes
/// first, so limits hold before memory is taken.
///
/// With a target a JPEG may come at 1/2, 1/4 or 1/8 of its size: the smallest
/// whose shorter side is at least four times the target's longer side, taken
/// as 240 pixels or more. What is decoded so depends on the file and the target
/// alone.
/// Thread-safe.
[[nodiscard]] ImageResult<Image> decode_image(std::string_view bytes,
                                              const ImageLimits& limits,
                                              DecodeTarget target = {});

/// How decode_at_sizes makes pixels, as part of what a view's
/// preprocessing_hash covers.
inline constexpr std::string_view kPixelRecipe =
    "upright RGB; JPEG at 1/2, 1/4 or 1/8 while the shorter side is at least "
    "four times max(target, 240); area averages when shrinking, bilinear when "
    "enlarging";

/// One image resized to several sizes, in their order.
using SizedImage = std::vector<std::shared_ptr<const Image>>;

/// Decodes with each size (width, height) as the target and resizes to it:
/// the one way from a file to what views get. Each result is what its size
/// alone would give; sizes that need the same decoding share it.
/// Thread-safe.
[[nodiscard]] ImageResult<SizedImage> decode_at_sizes(
    std::string_view bytes, const ImageLimits& limits,
    const std::vector<std::pair<int, int>>& sizes);

/// Resizes to exactly width x height (aspect ratio is not kept): area
/// averaging when shrinking (anti-aliased), bilinear when enlarging.
/// Thread-safe.
[[nodiscard]] Image resize_image(const Image& image, int width, int height);

/// JPEG bytes of an image, `quality` 1..100. Thread-safe.
[[nodiscard]] Result<std::string> encode_jpeg(const Image& image, int quality);

}  // namespace shoal
