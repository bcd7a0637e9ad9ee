#pragma once

#include <string_view>

#include "engine/image/image.h"

namespace shoal::internal {

/// What the decoders need to know beyond ImageInfo.
struct Probe {
  ImageInfo info;
  int orientation = 1;  ///< EXIF, 1..8
};

/// As probe_image.
ImageResult<Probe> probe(std::string_view bytes, const ImageLimits& limits);

/// kTooManyPixels (kBroken for a zero side) unless the size is allowed.
ImageResult<void> check_size(std::string_view format, std::uint64_t width,
                             std::uint64_t height, const ImageLimits& limits);

}  // namespace shoal::internal
