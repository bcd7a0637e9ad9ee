// What a view sees of a large JPEG that is decoded at a reduced size must be
// what it sees of the whole one.

#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "common/file.h"
#include "engine/image/image.h"
#include "engine/views/cnn.h"
#include "engine/views/handcrafted.h"
#include "engine/views/model_folder.h"
#include "tests/support/data.h"

namespace shoal {
namespace {

constexpr float kLeastCosine = 0.999F;
/// The shorter side at which a divisor just begins to be used, per divisor:
/// fewer pixels are never left.
constexpr int kShorterSide = 960;

std::vector<cv::Mat> photographs() {
  std::vector<cv::Mat> photos;
  for (const char* name : {"cat.png", "grace_hopper.png", "hot_dog.jpg",
                           "owl.jpg", "parrot.jpg", "sunflower.png"}) {
    const auto bytes =
        read_file(test::shared_data() / "photos" / name, 1 << 20);
    const Image image = decode_image(bytes.value(), {}).value();
    photos.push_back(cv::Mat(image.height, image.width, CV_8UC3,
                             const_cast<std::uint8_t*>(image.rgb.data()))
                         .clone());
  }
  return photos;
}

Image image_of(const cv::Mat& mat) {
  Image image;
  image.width = mat.cols;
  image.height = mat.rows;
  image.rgb.assign(mat.datastart, mat.dataend);
  return image;
}

/// The photograph enlarged so that its shorter side has `side` pixels.
cv::Mat enlarged(const cv::Mat& photo, int side) {
  const double factor =
      static_cast<double>(side) / std::min(photo.cols, photo.rows);
  cv::Mat large;
  cv::resize(photo, large,
             cv::Size(static_cast<int>(std::lround(photo.cols * factor)),
                      static_cast<int>(std::lround(photo.rows * factor))),
             0, 0, cv::INTER_CUBIC);
  return large;
}

/// side x side pixels covered with the photographs at their own size,
/// beginning with `first`: detail down to single pixels.
cv::Mat mosaic(const std::vector<cv::Mat>& photos, std::size_t first,
               int side) {
  cv::Mat large(side, side, CV_8UC3);
  std::size_t next = first;
  constexpr int kTile = 340;
  for (int y = 0; y < side; y += kTile) {
    for (int x = 0; x < side; x += kTile) {
      const cv::Size size(std::min(kTile, side - x), std::min(kTile, side - y));
      photos[next++ % photos.size()](cv::Rect({0, 0}, size))
          .copyTo(large(cv::Rect({x, y}, size)));
    }
  }
  return large;
}

float cosine(const Matrix& a, const Matrix& b) {
  return a.row(0).dot(b.row(0)) / (a.row(0).norm() * b.row(0).norm());
}

/// Views of up to 240 pixels, which all share one decoding.
std::vector<std::unique_ptr<View>> views() {
  std::vector<std::unique_ptr<View>> all;
  for (const std::string_view name : handcrafted_view_names()) {
    all.push_back(make_handcrafted_view(name).value());
  }
  const auto model =
      read_model_folder(test::shared_data() / "models/mobilenet_v2").value();
  all.push_back(make_cnn_view(model, {"cpu"}).value());
  return all;
}

TEST(ReducedDecoding, GivesTheFeaturesOfTheWholeImage) {
  SHOAL_REQUIRE_DATA("photos");
  SHOAL_REQUIRE_DATA("models/mobilenet_v2");
  const auto all = views();
  const std::vector<cv::Mat> photos = photographs();
  std::map<std::string, float> worst;
  for (const int divisor : {2, 4}) {
    for (std::size_t i = 0; i < 2 * photos.size(); ++i) {
      const bool tiled = i >= photos.size();
      const int side = kShorterSide * divisor;
      const cv::Mat large =
          tiled ? mosaic(photos, i, side) : enlarged(photos[i], side);
      const std::string jpeg = encode_jpeg(image_of(large), 90).value();
      const Image whole = decode_image(jpeg, {}).value();
      const Image reduced = decode_image(jpeg, {}, {224, 224}).value();
      ASSERT_EQ(std::min(reduced.width, reduced.height), kShorterSide);
      for (const auto& view : all) {
        const int width = view->spec().input_width;
        const int height = view->spec().input_height;
        const float same = cosine(
            view->extract({resize_image(whole, width, height)}).value(),
            view->extract({resize_image(reduced, width, height)}).value());
        const std::string kind =
            view->spec().name + (tiled ? " mosaic" : " enlarged");
        EXPECT_GE(same, kLeastCosine)
            << kind << " " << i % photos.size() << ", 1/" << divisor;
        const auto known = worst.emplace(kind, same).first;
        known->second = std::min(known->second, same);
      }
    }
  }
  for (const auto& [kind, same] : worst) {
    std::printf("worst cosine, %s: %.6f\n", kind.c_str(), same);
  }
}

}  // namespace
}  // namespace shoal
