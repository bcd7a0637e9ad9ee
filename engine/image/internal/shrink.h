#pragma once

#include "engine/image/image.h"

namespace shoal::internal {

/// `image` at a size that is nowhere larger: each pixel is the average of the
/// area it covers, rounded to nearest. The same average as OpenCV's INTER_AREA
/// to a rounding error, several times as fast where sides do not divide.
/// @param width, height  1..image.width, 1..image.height
[[nodiscard]] Image shrink(const Image& image, int width, int height);

}  // namespace shoal::internal
