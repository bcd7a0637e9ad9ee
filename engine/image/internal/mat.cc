#include "engine/image/internal/mat.h"

#include <algorithm>

#include "common/check.h"

namespace shoal::internal {

Image from_mat(const cv::Mat& rgb) {
  SHOAL_CHECK(rgb.type() == CV_8UC3, "pixels are 8-bit RGB");
  Image image;
  image.width = rgb.cols;
  image.height = rgb.rows;
  const auto row_bytes = static_cast<std::size_t>(rgb.cols) * 3;
  image.rgb.resize(row_bytes * static_cast<std::size_t>(rgb.rows));
  for (int y = 0; y < rgb.rows; ++y) {
    std::copy_n(rgb.ptr(y), row_bytes,
                image.rgb.data() + static_cast<std::size_t>(y) * row_bytes);
  }
  return image;
}

// EXIF 2.3, tag 274: where row 0 and column 0 of the stored image belong.
Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1) return image;
  constexpr int kAroundBoth = -1;
  constexpr int kUpsideDown = 0;
  constexpr int kLeftRight = 1;
  const cv::Mat stored = as_mat(image);
  cv::Mat upright = stored;
  if (orientation >= 5) cv::transpose(stored, upright);
  cv::Mat turned;
  switch (orientation) {
    case 2:
    case 6:
      cv::flip(upright, turned, kLeftRight);
      break;
    case 3:
    case 7:
      cv::flip(upright, turned, kAroundBoth);
      break;
    case 4:
    case 8:
      cv::flip(upright, turned, kUpsideDown);
      break;
    default:
      turned = upright;
      break;
  }
  return from_mat(turned);
}

}  // namespace shoal::internal
