#pragma once

#include <opencv2/core.hpp>

#include "engine/image/image.h"

namespace shoal::internal {

/// Side and length of the raw-pixel vector.
constexpr int kRawSide = 32;
constexpr int kRawDim = kRawSide * kRawSide;

/// The pixels of `image`, borrowed. OpenCV has no read-only Mat.
inline cv::Mat rgb_mat(const Image& image) {
  return {image.height, image.width, CV_8UC3,
          const_cast<std::uint8_t*>(image.rgb.data())};
}

/// Grey (ITU-R BT.601 luma) as float32 in [0, 1].
cv::Mat grey_float(const Image& image);

/// Fills `out` with the kRawDim grey values of a kRawSide x kRawSide image.
void raw_pixels(const Image& image, float* out);

}  // namespace shoal::internal
