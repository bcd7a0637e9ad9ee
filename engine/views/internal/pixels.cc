#include "engine/views/internal/pixels.h"

#include <opencv2/imgproc.hpp>

namespace shoal::internal {

cv::Mat grey_float(const Image& image) {
  cv::Mat grey;
  cv::cvtColor(rgb_mat(image), grey, cv::COLOR_RGB2GRAY);
  cv::Mat scaled;
  grey.convertTo(scaled, CV_32F, 1.0 / 255);
  return scaled;
}

void raw_pixels(const Image& image, float* out) {
  cv::Mat target(kRawSide, kRawSide, CV_32F, out);
  grey_float(image).copyTo(target);
}

}  // namespace shoal::internal
