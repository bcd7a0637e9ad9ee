#include <algorithm>
#include <limits>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "engine/image/internal/decoders.h"
#include "engine/image/internal/mat.h"

namespace shoal::internal {
ImageResult<Image> decode_opencv(std::string_view bytes, bool premultiplied) {
  if (bytes.size() > std::numeric_limits<int>::max()) {
    return ImageError{ImageProblem::kUnsupportedFormat,
                      "image files over 2 GiB are not decoded"};
  }
  const cv::Mat encoded(1, static_cast<int>(bytes.size()), CV_8UC1,
                        const_cast<char*>(bytes.data()));
  cv::Mat decoded;
  try {
    // Unchanged keeps alpha and leaves EXIF rotation to us.
    decoded = cv::imdecode(encoded, cv::IMREAD_UNCHANGED);
  } catch (const cv::Exception& error) {
    return ImageError{ImageProblem::kBroken, error.err};
  }
  if (decoded.empty()) {
    return ImageError{ImageProblem::kBroken, "the image data do not decode"};
  }
  if (decoded.depth() == CV_16U) {
    decoded.convertTo(decoded, CV_8U, 1.0 / 257);
  }
  if (decoded.depth() != CV_8U) {
    return ImageError{ImageProblem::kUnsupportedFormat,
                      "samples other than 8 and 16 bit integers are not "
                      "decoded"};
  }
  cv::Mat rgb;
  switch (decoded.channels()) {
    case 1:
      cv::cvtColor(decoded, rgb, cv::COLOR_GRAY2RGB);
      return from_mat(rgb);
    case 3:
      cv::cvtColor(decoded, rgb, cv::COLOR_BGR2RGB);
      return from_mat(rgb);
    case 4:
      break;
    default:
      return ImageError{ImageProblem::kUnsupportedFormat,
                        "images of " + std::to_string(decoded.channels()) +
                            " channels are not decoded"};
  }
  cv::Mat rgba;
  cv::cvtColor(decoded, rgba, cv::COLOR_BGRA2RGBA);
  if (!premultiplied) {
    return image_over_white(rgba.ptr(), rgba.cols, rgba.rows);
  }
  Image image;
  image.width = rgba.cols;
  image.height = rgba.rows;
  image.rgb.reserve(rgba.total() * 3);
  const std::uint8_t* pixel = rgba.ptr();
  for (std::size_t i = 0; i < rgba.total(); ++i, pixel += 4) {
    for (int channel = 0; channel < 3; ++channel) {
      image.rgb.push_back(static_cast<std::uint8_t>(
          std::min(255, pixel[channel] + 255 - pixel[3])));
    }
  }
  return image;
}

Image image_over_white(const std::uint8_t* rgba, int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  const std::size_t pixels =
      static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  image.rgb.resize(pixels * 3);
  std::uint8_t* target = image.rgb.data();
  for (std::size_t i = 0; i < pixels; ++i, rgba += 4, target += 3) {
    target[0] = over_white(rgba[0], rgba[3]);
    target[1] = over_white(rgba[1], rgba[3]);
    target[2] = over_white(rgba[2], rgba[3]);
  }
  return image;
}

}  // namespace shoal::internal
