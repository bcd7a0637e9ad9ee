#pragma once

#include "engine/image/image.h"

namespace shoal {

/// How many changed forms of an image transfer learning knows: as it is,
/// mirrored, and its corners (4/5 of each side): top left, top right mirrored,
/// bottom left mirrored, bottom right.
inline constexpr int kImageVariants = 6;

/// Form `variant`, 0..kImageVariants-1, of a non-empty image, at the same size.
/// Always the same, so that what a frozen net makes of it can be kept.
/// Thread-safe.
[[nodiscard]] Image image_variant(const Image& image, int variant);

}  // namespace shoal
