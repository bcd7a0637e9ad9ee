#include <algorithm>
#include <cstddef>
#include <libheif/heif.h>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "engine/image/internal/decoders.h"
#include "engine/image/internal/heif_boxes.h"
#include "engine/image/internal/probe.h"

namespace shoal::internal {
namespace {

struct FreeHeif {
  void operator()(heif_context* context) const { heif_context_free(context); }
  void operator()(heif_image_handle* handle) const {
    heif_image_handle_release(handle);
  }
  void operator()(heif_image* image) const { heif_image_release(image); }
  void operator()(heif_decoding_options* options) const {
    heif_decoding_options_free(options);
  }
};
template <typename T>
using Owned = std::unique_ptr<T, FreeHeif>;

/// An open file and its primary image. The handle ends first.
struct OpenHeif {
  Owned<heif_context> context;
  Owned<heif_image_handle> handle;
};

ImageError translated(const heif_error& error) {
  ImageProblem problem = ImageProblem::kBroken;
  if (error.subcode == heif_suberror_End_of_data) {
    problem = ImageProblem::kTruncated;
  } else if (error.code == heif_error_Unsupported_feature ||
             error.code == heif_error_Unsupported_filetype) {
    problem = ImageProblem::kUnsupportedFormat;
  } else if (error.code == heif_error_Memory_allocation_error) {
    problem = ImageProblem::kTooManyPixels;
  }
  return {problem, std::string("HEIF: ") + error.message};
}

/// @param max_side  a larger image in the file, tiles included, is an error
ImageResult<OpenHeif> open_heif(std::string_view bytes, int max_side) {
  OpenHeif file;
  file.context.reset(heif_context_alloc());
  if (file.context == nullptr) throw std::bad_alloc();
  heif_context_set_maximum_image_size_limit(file.context.get(), max_side);
  heif_error error = heif_context_read_from_memory_without_copy(
      file.context.get(), bytes.data(), bytes.size(), nullptr);
  if (error.code != heif_error_Ok) return translated(error);
  heif_image_handle* handle = nullptr;
  error = heif_context_get_primary_image_handle(file.context.get(), &handle);
  if (error.code != heif_error_Ok) return translated(error);
  file.handle.reset(handle);
  return file;
}

/// `rgba` rows of `stride` bytes over white. @param premultiplied  the alpha
/// is in the colours already
Image rgba_over_white(const std::uint8_t* rgba, int stride, int width,
                      int height, bool premultiplied) {
  Image image;
  image.width = width;
  image.height = height;
  image.rgb.reserve(static_cast<std::size_t>(width) *
                    static_cast<std::size_t>(height) * 3);
  for (int y = 0; y < height; ++y) {
    const std::uint8_t* pixel = rgba + std::ptrdiff_t{y} * stride;
    for (int x = 0; x < width; ++x, pixel += 4) {
      for (int channel = 0; channel < 3; ++channel) {
        image.rgb.push_back(premultiplied
                                ? static_cast<std::uint8_t>(std::min(
                                      255, pixel[channel] + 255 - pixel[3]))
                                : over_white(pixel[channel], pixel[3]));
      }
    }
  }
  return image;
}

Image copied(const std::uint8_t* rgb, int stride, int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  const std::size_t row_bytes = static_cast<std::size_t>(width) * 3;
  image.rgb.reserve(row_bytes * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) {
    const std::uint8_t* row = rgb + std::ptrdiff_t{y} * stride;
    image.rgb.insert(image.rgb.end(), row, row + row_bytes);
  }
  return image;
}

}  // namespace

ImageResult<HeifSizes> heif_sizes(std::string_view bytes) {
  try {
    SHOAL_TRY(file, open_heif(bytes, std::numeric_limits<int>::max()));
    const heif_image_handle* handle = file.handle.get();
    return HeifSizes{heif_image_handle_get_ispe_width(handle),
                     heif_image_handle_get_ispe_height(handle),
                     heif_image_handle_get_width(handle),
                     heif_image_handle_get_height(handle)};
  } catch (const std::bad_alloc&) {
    return ImageError{ImageProblem::kTooManyPixels,
                      "no memory for the image's description"};
  }
}

ImageResult<Image> decode_heif(std::string_view bytes,
                               const ImageLimits& limits) {
  constexpr std::uint32_t kMostLimit = 1U << 30;
  SHOAL_TRY(
      file,
      open_heif(bytes, static_cast<int>(std::min(limits.max_side, kMostLimit) +
                                        kHeifBlockSide)));
  const bool alpha =
      heif_image_handle_has_alpha_channel(file.handle.get()) != 0;
  const Owned<heif_decoding_options> options(heif_decoding_options_alloc());
  if (options == nullptr) throw std::bad_alloc();
  options->convert_hdr_to_8bit = 1;
  options->strict_decoding = 1;
  heif_image* decoded = nullptr;
  const heif_error error = heif_decode_image(
      file.handle.get(), &decoded, heif_colorspace_RGB,
      alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB,
      options.get());
  const Owned<heif_image> pixels(decoded);
  if (error.code != heif_error_Ok) return translated(error);
  int stride = 0;
  const std::uint8_t* plane = heif_image_get_plane_readonly(
      pixels.get(), heif_channel_interleaved, &stride);
  const int width =
      heif_image_get_width(pixels.get(), heif_channel_interleaved);
  const int height =
      heif_image_get_height(pixels.get(), heif_channel_interleaved);
  if (plane == nullptr || width <= 0 || height <= 0) {
    return ImageError{ImageProblem::kBroken, "HEIF: no pixels"};
  }
  SHOAL_TRY(check_size("heif", static_cast<std::uint64_t>(width),
                       static_cast<std::uint64_t>(height), limits));
  if (!alpha) return copied(plane, stride, width, height);
  return rgba_over_white(
      plane, stride, width, height,
      heif_image_handle_is_premultiplied_alpha(file.handle.get()) != 0);
}

}  // namespace shoal::internal
