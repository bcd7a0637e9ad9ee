#pragma once

#include <cstdint>
#include <string_view>

#include "engine/image/image.h"

namespace shoal::internal {

/// A coded picture is whole blocks: it may have up to so many pixels a side
/// more than are shown.
constexpr std::uint32_t kHeifBlockSide = 64;

/// "heic" or "avif" when the bytes begin with a file type box of such a
/// brand (ISO 23008-12 annex B, AVIF 1.1 section 6); empty: they do not.
std::string_view heif_format(std::string_view bytes);

/// Checks a HEIF file before libheif reads it: its boxes lie inside the bytes
/// and are those of a still image, and neither a coded picture's own size
/// (HEVC and AV1 sequence headers) nor that of a grid or overlay is over the
/// limits. libheif compares only sizes that the container states, while its
/// decoders take memory for those that the coded data state.
ImageResult<void> check_heif_boxes(std::string_view bytes,
                                   const ImageLimits& limits);

}  // namespace shoal::internal
