#include "engine/image/image.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <new>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "common/check.h"
#include "engine/image/internal/decoders.h"
#include "engine/image/internal/mat.h"
#include "engine/image/internal/probe.h"
#include "engine/image/internal/shrink.h"

namespace shoal {
namespace {

/// Below this a target counts as this, so that the usual views share one
/// decoding.
constexpr std::uint32_t kLeastTargetSide = 240;  ///< pixels
/// Sides of what is decoded, per side of the target.
constexpr std::uint32_t kOversampling = 4;

/// What the sides of a JPEG are divided by when it is decoded for `target`.
std::uint32_t divisor_for(const ImageInfo& info, DecodeTarget target) {
  if (info.format != "jpeg" || target.width <= 0 || target.height <= 0) {
    return 1;
  }
  const auto longer =
      static_cast<std::uint32_t>(std::max(target.width, target.height));
  const std::uint32_t least =
      kOversampling * std::max(longer, kLeastTargetSide);
  for (const std::uint32_t divisor : {8U, 4U, 2U}) {
    if (std::min(info.width, info.height) / divisor >= least) return divisor;
  }
  return 1;
}

ImageResult<Image> decode_stored(std::string_view bytes, const ImageInfo& info,
                                 std::uint32_t divisor,
                                 const ImageLimits& limits) {
  const std::string& format = info.format;
  if (format == "jpeg") {
    return internal::decode_jpeg(bytes, static_cast<int>(divisor));
  }
  if (format == "webp") return internal::decode_webp(bytes);
  if (format == "gif") return internal::decode_gif(bytes, limits);
  if (format == "heic" || format == "avif") {
    return internal::decode_heif(bytes, limits);
  }
  // libtiff multiplies 8-bit colours with their alpha.
  return internal::decode_opencv(bytes, format == "tiff");
}

ImageResult<Image> decode_probed(std::string_view bytes,
                                 const internal::Probe& probed,
                                 std::uint32_t divisor,
                                 const ImageLimits& limits) {
  try {
    SHOAL_TRY(stored, decode_stored(bytes, probed.info, divisor, limits));
    // The header's size was judged; a decoder that found another is not
    // trusted. (Height and width may be swapped by a TIFF's or HEIC's own
    // rotation.)
    const auto scaled = [&](std::uint32_t side) {
      return (side + divisor - 1) / divisor;
    };
    const auto expected =
        std::minmax({scaled(probed.info.width), scaled(probed.info.height)});
    const auto found = std::minmax({static_cast<std::uint32_t>(stored.width),
                                    static_cast<std::uint32_t>(stored.height)});
    if (found != expected) {
      return ImageError{ImageProblem::kBroken,
                        "the decoded size differs from the header's"};
    }
    return internal::apply_orientation(std::move(stored), probed.orientation);
  } catch (const cv::Exception& error) {
    return ImageError{ImageProblem::kBroken, error.err};
  } catch (const std::bad_alloc&) {
    return ImageError{ImageProblem::kTooManyPixels,
                      "no memory for the decoded pixels"};
  }
}

}  // namespace

std::string_view to_string(ImageProblem problem) {
  switch (problem) {
    case ImageProblem::kEmpty:
      return "empty_image";
    case ImageProblem::kNotAnImage:
      return "not_an_image";
    case ImageProblem::kUnsupportedFormat:
      return "unsupported_format";
    case ImageProblem::kTruncated:
      return "truncated_image";
    case ImageProblem::kTooManyPixels:
      return "too_many_pixels";
    case ImageProblem::kBroken:
      return "broken_image";
  }
  return "broken_image";
}

ImageResult<ImageInfo> probe_image(std::string_view bytes,
                                   const ImageLimits& limits) {
  SHOAL_TRY(probed, internal::probe(bytes, limits));
  return std::move(probed.info);
}

ImageResult<Image> decode_image(std::string_view bytes,
                                const ImageLimits& limits,
                                DecodeTarget target) {
  SHOAL_TRY(probed, internal::probe(bytes, limits));
  return decode_probed(bytes, probed, divisor_for(probed.info, target), limits);
}

ImageResult<SizedImage> decode_at_sizes(
    std::string_view bytes, const ImageLimits& limits,
    const std::vector<std::pair<int, int>>& sizes) {
  SHOAL_TRY(probed, internal::probe(bytes, limits));
  std::map<std::uint32_t, Image> decoded;  // by divisor
  SizedImage result;
  for (const auto& [width, height] : sizes) {
    const std::uint32_t divisor =
        divisor_for(probed.info, DecodeTarget{width, height});
    auto found = decoded.find(divisor);
    if (found == decoded.end()) {
      SHOAL_TRY(image, decode_probed(bytes, probed, divisor, limits));
      found = decoded.emplace(divisor, std::move(image)).first;
    }
    result.push_back(std::make_shared<const Image>(
        resize_image(found->second, width, height)));
  }
  return result;
}

Image resize_image(const Image& image, int width, int height) {
  SHOAL_CHECK(width > 0 && height > 0 && image.width > 0 && image.height > 0,
              "sizes are positive");
  if (image.width == width && image.height == height) return image;
  // Area averaging works only where no side grows, so the shrinking sides go
  // first.
  const int smaller_width = std::min(width, image.width);
  const int smaller_height = std::min(height, image.height);
  Image shrunk;
  const bool shrinks =
      smaller_width != image.width || smaller_height != image.height;
  if (shrinks) {
    shrunk = internal::shrink(image, smaller_width, smaller_height);
  }
  if (smaller_width == width && smaller_height == height) return shrunk;
  Image resized;
  resized.width = width;
  resized.height = height;
  resized.rgb.resize(static_cast<std::size_t>(width) *
                     static_cast<std::size_t>(height) * 3);
  cv::Mat target = internal::as_mat(resized);
  cv::resize(internal::as_mat(shrinks ? shrunk : image), target, target.size(),
             0, 0, cv::INTER_LINEAR);
  return resized;
}

Result<std::string> encode_jpeg(const Image& image, int quality) {
  if (image.width <= 0 || image.height <= 0 || quality < 1 || quality > 100) {
    return invalid_argument(
        "encode_jpeg takes an image with pixels and a quality of 1 to 100");
  }
  try {
    cv::Mat bgr;
    cv::cvtColor(internal::as_mat(image), bgr, cv::COLOR_RGB2BGR);
    std::vector<std::uint8_t> bytes;
    if (!cv::imencode(".jpg", bgr, bytes,
                      {cv::IMWRITE_JPEG_QUALITY, quality})) {
      return internal_error("the JPEG encoder failed");
    }
    return std::string(bytes.begin(), bytes.end());
  } catch (const cv::Exception& error) {
    return internal_error("the JPEG encoder failed: " + error.err);
  }
}

}  // namespace shoal
