#pragma once

#include <opencv2/core.hpp>

#include "engine/image/image.h"

namespace shoal::internal {

/// The pixels of `image`, borrowed. OpenCV has no read-only Mat.
inline cv::Mat as_mat(const Image& image) {
  return {image.height, image.width, CV_8UC3,
          const_cast<std::uint8_t*>(image.rgb.data())};
}

/// A copy of `rgb`, which must be CV_8UC3.
Image from_mat(const cv::Mat& rgb);

/// `image` turned upright: undoes EXIF orientation 1..8.
Image apply_orientation(Image image, int orientation);

}  // namespace shoal::internal
