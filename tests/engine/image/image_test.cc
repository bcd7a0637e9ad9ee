#include "engine/image/image.h"

#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "common/file.h"
#include "tests/engine/image/image_files.h"
#include "tests/support/data.h"

namespace shoal {
namespace {

using test::largest_difference;
using test::sample_image;

Image decoded(const std::string& bytes) {
  auto image = decode_image(bytes, {});
  EXPECT_TRUE(image) << image.error().message;
  return image ? image.value() : Image{};
}

std::vector<int> pixel(const Image& image, int x, int y) {
  const auto at = static_cast<std::size_t>(y * image.width + x) * 3;
  return {image.rgb.at(at), image.rgb.at(at + 1), image.rgb.at(at + 2)};
}

std::vector<int> near(int red, int green, int blue) {
  return {red, green, blue};
}

/// Every value of both within `tolerance`.
void expect_pixel(const Image& image, int x, int y, std::vector<int> expected,
                  int tolerance) {
  const std::vector<int> found = pixel(image, x, y);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(found[i], expected[i], tolerance) << "channel " << i;
  }
}

/// The stored form that EXIF `orientation` turns into `upright`.
Image stored_for(const Image& upright, int orientation) {
  Image stored;
  stored.width = orientation >= 5 ? upright.height : upright.width;
  stored.height = orientation >= 5 ? upright.width : upright.height;
  stored.rgb.resize(upright.rgb.size());
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x) {
      const int right = upright.width - 1 - x;
      const int bottom = upright.height - 1 - y;
      int column = x;
      int row = y;
      switch (orientation) {
        case 2:
          column = right;
          break;
        case 3:
          column = right;
          row = bottom;
          break;
        case 4:
          row = bottom;
          break;
        case 5:
          column = y;
          row = x;
          break;
        case 6:
          column = y;
          row = right;
          break;
        case 7:
          column = bottom;
          row = right;
          break;
        case 8:
          column = bottom;
          row = x;
          break;
        default:
          break;
      }
      for (int channel = 0; channel < 3; ++channel) {
        stored.rgb[static_cast<std::size_t>((row * stored.width + column) * 3 +
                                            channel)] =
            upright.rgb[static_cast<std::size_t>((y * upright.width + x) * 3 +
                                                 channel)];
      }
    }
  }
  return stored;
}

struct FormatCase {
  const char* extension;
  const char* format;
  int tolerance;
};

class EveryFormat : public testing::TestWithParam<FormatCase> {};

TEST_P(EveryFormat, IsRecognisedAndDecodedToTheSamePixels) {
  const FormatCase& c = GetParam();
  const Image image = sample_image(40, 24);
  const std::string bytes = test::encode(image, c.extension);
  const auto info = probe_image(bytes, {});
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info.value().format, c.format);
  EXPECT_EQ(info.value().width, 40U);
  EXPECT_EQ(info.value().height, 24U);
  EXPECT_LE(largest_difference(decoded(bytes), image), c.tolerance);
}

TEST_P(EveryFormat, GreyIsRepeatedOverTheChannels) {
  const FormatCase& c = GetParam();
  const Image image = decoded(test::encode_grey(40, 24, c.extension));
  ASSERT_EQ(image.rgb.size(), 40U * 24 * 3);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    EXPECT_NEAR(image.rgb[i], image.rgb[i + 1], c.tolerance / 8);
    EXPECT_NEAR(image.rgb[i], image.rgb[i + 2], c.tolerance / 8);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat,
                         testing::Values(FormatCase{".jpg", "jpeg", 40},
                                         FormatCase{".png", "png", 0},
                                         FormatCase{".bmp", "bmp", 0},
                                         FormatCase{".tiff", "tiff", 0},
                                         FormatCase{".webp", "webp", 60}),
                         [](const auto& c) {
                           return std::string(c.param.format);
                         });

TEST(DecodeImage, ReadsProgressiveJpeg) {
  const Image image = sample_image(40, 24);
  EXPECT_LE(
      largest_difference(decoded(test::encode_progressive_jpeg(image)), image),
      40);
}

TEST(DecodeImage, ConvertsCmyk) {
  // Inverted: 255 is no ink. (255, 0, 0, 255) is full magenta and yellow.
  const Image red = decoded(test::encode_cmyk_jpeg({255, 0, 0, 255}, 32, 16));
  EXPECT_EQ(red.width, 32);
  EXPECT_EQ(red.height, 16);
  expect_pixel(red, 5, 5, near(255, 0, 0), 6);
  const Image dark =
      decoded(test::encode_cmyk_jpeg({255, 255, 255, 64}, 32, 16));
  expect_pixel(dark, 5, 5, near(64, 64, 64), 6);
}

TEST(DecodeImage, Scales16BitsTo8) {
  const Image image = decoded(test::encode_16_bit_png({65535, 257 * 100, 0}));
  EXPECT_EQ(pixel(image, 3, 3), near(255, 100, 0));
}

TEST(DecodeImage, PutsAlphaOnWhite) {
  for (const char* extension : {".png", ".webp"}) {
    const Image clear = decoded(test::encode_alpha({10, 20, 30, 0}, extension));
    expect_pixel(clear, 3, 3, near(255, 255, 255), 2);
    const Image opaque =
        decoded(test::encode_alpha({10, 20, 30, 255}, extension));
    expect_pixel(opaque, 3, 3, near(30, 20, 10), 6);
    const Image half = decoded(test::encode_alpha({0, 0, 0, 102}, extension));
    expect_pixel(half, 3, 3, near(153, 153, 153), 4);
  }
}

TEST(DecodeImage, PutsTheAlphaOfTiffOnWhite) {
  const Image half =
      decoded(test::encode_unassociated_alpha_tiff({200, 100, 0, 102}));
  // 0.4 * colour + 0.6 * white
  expect_pixel(half, 3, 3, near(233, 193, 153), 2);
}

TEST(DecodeImage, TurnsEveryExifOrientationUpright) {
  const Image upright = sample_image(40, 24);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool big_endian : {false, true}) {
      SCOPED_TRACE(orientation);
      const Image stored = stored_for(upright, orientation);
      const std::string block = test::exif_block(orientation, big_endian);
      const Image jpeg = decoded(test::encode_jpeg_with(
          stored, test::exif_segment(orientation, big_endian)));
      EXPECT_LE(largest_difference(jpeg, upright), 40);
      const Image png = decoded(test::with_png_chunk(
          test::encode(stored, ".png"), test::png_chunk("eXIf", block)));
      EXPECT_EQ(largest_difference(png, upright), 0);
      const Image webp = decoded(
          test::with_webp_exif(test::encode(stored, ".webp"), stored, block));
      EXPECT_LE(largest_difference(webp, upright), 60);
    }
  }
}

TEST(DecodeImage, AppliesTheOrientationTagOfTiff) {
  const Image upright = sample_image(40, 24);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const Image stored = stored_for(upright, orientation);
    EXPECT_EQ(
        largest_difference(
            decoded(test::encode_tiff_turned(stored, orientation)), upright),
        0);
  }
}

class Heif : public testing::TestWithParam<const char*> {};

TEST_P(Heif, IsRecognisedAndDecodedToTheSamePixels) {
  const Image image = sample_image(120, 88);
  const std::string bytes = test::encode_heif(image, GetParam());
  const auto info = probe_image(bytes, {});
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ("." + info.value().format, GetParam());
  EXPECT_EQ(info.value().width, 120U);
  EXPECT_EQ(info.value().height, 88U);
  EXPECT_LE(largest_difference(decoded(bytes), image), 60);
}

// The file's own rotation counts, and only once: the EXIF block that cameras
// add says the same.
TEST_P(Heif, IsTurnedUprightOnce) {
  const Image upright = sample_image(120, 88);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(orientation);
    const Image stored = stored_for(upright, orientation);
    for (const std::string& exif :
         {std::string(), test::exif_block(orientation, false)}) {
      const Image image =
          decoded(test::encode_heif(stored, GetParam(), orientation, exif));
      EXPECT_LE(largest_difference(image, upright), 60);
    }
  }
}

TEST_P(Heif, PutsAlphaOnWhite) {
  const Image clear =
      decoded(test::encode_heif_alpha({10, 20, 30, 0}, GetParam()));
  expect_pixel(clear, 30, 30, near(255, 255, 255), 3);
  const Image opaque =
      decoded(test::encode_heif_alpha({10, 20, 30, 255}, GetParam()));
  expect_pixel(opaque, 30, 30, near(10, 20, 30), 8);
  const Image half =
      decoded(test::encode_heif_alpha({0, 0, 0, 102}, GetParam()));
  expect_pixel(half, 30, 30, near(153, 153, 153), 6);
}

INSTANTIATE_TEST_SUITE_P(Formats, Heif, testing::Values(".heic", ".avif"),
                         [](const auto& c) {
                           return std::string(c.param).substr(1);
                         });

struct Reduction {
  int width;
  int height;
  int target;
  int divisor;
};

/// The smallest part whose shorter side is at least four times the target.
TEST(DecodeImage, ReducesAJpegByItsOwnSizeAndTheTarget) {
  for (const Reduction& c :
       {Reduction{1920, 2500, 224, 2}, Reduction{1919, 2500, 224, 1},
        Reduction{2501, 1921, 32, 2}, Reduction{2401, 2400, 300, 2},
        Reduction{2401, 2399, 300, 1}, Reduction{3840, 4001, 240, 4},
        Reduction{3839, 4001, 240, 2}, Reduction{7680, 7681, 16, 8},
        Reduction{960, 960, 16, 1}}) {
    const std::string jpeg =
        test::encode(sample_image(c.width, c.height), ".jpg");
    const auto image = decode_image(jpeg, {}, {c.target, c.target / 2});
    ASSERT_TRUE(image);
    const auto scaled = [&](int side) {
      return (side + c.divisor - 1) / c.divisor;
    };
    EXPECT_EQ(image.value().width, scaled(c.width)) << c.width;
    EXPECT_EQ(image.value().height, scaled(c.height)) << c.height;
  }
}

TEST(DecodeImage, ReducesATurnedJpegUpright) {
  const Image upright = sample_image(1920, 2400);
  const Image expected = resize_image(upright, 960, 1200);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string jpeg =
        test::encode_jpeg_with(stored_for(upright, orientation),
                               test::exif_segment(orientation, true));
    const auto image = decode_image(jpeg, {}, {224, 224});
    ASSERT_TRUE(image);
    EXPECT_LE(largest_difference(image.value(), expected), 40) << orientation;
  }
}

TEST(DecodeImage, ReducesNothingButJpeg) {
  const Image image = sample_image(1920, 1930);
  for (const char* extension : {".png", ".webp", ".bmp"}) {
    const auto found =
        decode_image(test::encode(image, extension), {}, {224, 224});
    ASSERT_TRUE(found);
    EXPECT_EQ(found.value().width, 1920) << extension;
  }
}

// What a view gets must not depend on which other views there are.
TEST(DecodeAtSizes, GivesEachSizeWhatItAloneWouldGive) {
  const std::vector<std::pair<int, int>> sizes = {
      {32, 32}, {224, 224}, {400, 300}, {1200, 1200}, {64, 64}, {224, 224}};
  for (const auto& [width, height] : std::vector<std::pair<int, int>>{
           {4000, 3900}, {1900, 2800}, {300, 200}}) {
    const std::string jpeg = test::encode_jpeg_with(
        sample_image(width, height), test::exif_segment(6, false));
    const auto together = decode_at_sizes(jpeg, {}, sizes);
    ASSERT_TRUE(together);
    ASSERT_EQ(together.value().size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const Image& found = *together.value()[i];
      EXPECT_EQ(found.width, sizes[i].first);
      EXPECT_EQ(found.height, sizes[i].second);
      const auto alone = decode_at_sizes(jpeg, {}, {sizes[i]});
      EXPECT_EQ(found.rgb, alone.value().front()->rgb);
      const auto image =
          decode_image(jpeg, {}, {sizes[i].first, sizes[i].second});
      EXPECT_EQ(
          found.rgb,
          resize_image(image.value(), sizes[i].first, sizes[i].second).rgb);
    }
  }
}

TEST(DecodeAtSizes, SaysWhyBytesAreNoImage) {
  const auto sized = decode_at_sizes("text", {}, {{32, 32}});
  ASSERT_FALSE(sized);
  EXPECT_EQ(sized.error().problem, ImageProblem::kNotAnImage);
}

TEST(DecodeImage, IgnoresAnOrientationOutsideOneToEight) {
  const Image image = sample_image(40, 24);
  for (const int orientation : {0, 9, 300}) {
    const Image jpeg = decoded(
        test::encode_jpeg_with(image, test::exif_segment(orientation, false)));
    EXPECT_LE(largest_difference(jpeg, image), 40);
  }
}

TEST(DecodeImage, TakesTheFirstFrameOfAnAnimation) {
  const std::vector<std::array<std::uint8_t, 3>> frames = {
      {200, 10, 20}, {0, 255, 0}, {0, 0, 255}};
  for (const std::string& bytes : {test::animated_gif(frames, 12, 8),
                                   test::animated_webp(frames, 12, 8)}) {
    const Image image = decoded(bytes);
    EXPECT_EQ(image.width, 12);
    EXPECT_EQ(image.height, 8);
    EXPECT_EQ(pixel(image, 0, 0), near(200, 10, 20));
    EXPECT_EQ(pixel(image, 11, 7), near(200, 10, 20));
  }
}

TEST(DecodeImage, PlacesAGifFrameOnItsCanvas) {
  for (const bool interlaced : {false, true}) {
    SCOPED_TRACE(interlaced);
    const Image image = decoded(test::gif_with_transparency(interlaced));
    ASSERT_EQ(image.width, 8);
    ASSERT_EQ(image.height, 8);
    EXPECT_EQ(pixel(image, 0, 0), near(255, 255, 255));  // outside the frame
    EXPECT_EQ(pixel(image, 2, 3), near(255, 255, 255));  // transparent
    for (int y = 0; y < 6; ++y) {
      EXPECT_EQ(pixel(image, 3, y + 1), near(10 * y, 10 * y, 10 * y));
    }
    EXPECT_EQ(pixel(image, 3, 7), near(255, 255, 255));
  }
}

// The strictness about damage must not hit files as cameras and sites make
// them.
TEST(DecodeImage, TakesAllSharedPhotographs) {
  SHOAL_REQUIRE_DATA("caltech101-20");
  int files = 0;
  for (const char* folder : {"caltech101-20", "photos"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             test::shared_data() / folder)) {
      const auto extension = entry.path().extension();
      if (extension != ".jpg" && extension != ".png") continue;
      const auto bytes = read_file(entry.path(), 1 << 24);
      ASSERT_TRUE(bytes);
      const auto image = decode_image(bytes.value(), {});
      EXPECT_TRUE(image) << entry.path() << ": " << image.error().message;
      ++files;
    }
  }
  EXPECT_GT(files, 1000);
}

TEST(ResizeImage, GivesTheAskedSizeInEveryDirection) {
  const Image image = sample_image(40, 24);
  for (const auto& [width, height] :
       std::vector<std::pair<int, int>>{{20, 12},
                                        {80, 48},
                                        {80, 12},
                                        {20, 48},
                                        {40, 24},
                                        {1, 1},
                                        {224, 7}}) {
    const Image resized = resize_image(image, width, height);
    EXPECT_EQ(resized.width, width);
    EXPECT_EQ(resized.height, height);
    EXPECT_EQ(resized.rgb.size(), static_cast<std::size_t>(width * height * 3));
  }
  EXPECT_EQ(resize_image(image, 40, 24).rgb, image.rgb);
}

TEST(ResizeImage, AveragesOverTheAreaWhenShrinking) {
  // Black and white columns: without averaging one of the two would win.
  Image stripes;
  stripes.width = 64;
  stripes.height = 64;
  for (int i = 0; i < 64 * 64; ++i) {
    stripes.rgb.insert(stripes.rgb.end(), 3,
                       static_cast<std::uint8_t>(i % 2 == 0 ? 0 : 255));
  }
  for (const auto& [width, height] :
       std::vector<std::pair<int, int>>{{16, 16}, {16, 64}, {16, 128}}) {
    const Image resized = resize_image(stripes, width, height);
    for (const std::uint8_t value : resized.rgb) EXPECT_NEAR(value, 127.5, 1);
  }
}

TEST(ResizeImage, ShrinksAsOpenCvDoesByArea) {
  std::mt19937 random(1);
  for (const auto& [width, height] : std::vector<std::pair<int, int>>{
           {97, 61}, {300, 200}, {64, 64}, {5, 3}, {1, 1}, {1000, 2}}) {
    Image noise;
    noise.width = width;
    noise.height = height;
    for (int i = 0; i < width * height * 3; ++i) {
      noise.rgb.push_back(static_cast<std::uint8_t>(random() % 256));
    }
    for (int i = 0; i < 20; ++i) {
      const int to_width = 1 + static_cast<int>(random() % width);
      const int to_height = 1 + static_cast<int>(random() % height);
      cv::Mat expected;
      cv::resize(cv::Mat(height, width, CV_8UC3, noise.rgb.data()), expected,
                 {to_width, to_height}, 0, 0, cv::INTER_AREA);
      const Image shrunk = resize_image(noise, to_width, to_height);
      ASSERT_EQ(shrunk.rgb.size(), expected.total() * 3);
      int largest = 0;
      for (std::size_t at = 0; at < shrunk.rgb.size(); ++at) {
        largest =
            std::max(largest, std::abs(shrunk.rgb[at] - expected.data[at]));
      }
      // Sums in another order round ties the other way.
      EXPECT_LE(largest, 1) << width << " x " << height << " to " << to_width
                            << " x " << to_height;
    }
  }
}

TEST(EncodeJpeg, GivesAJpegOfTheSameImage) {
  const Image image = sample_image(40, 24);
  const auto bytes = encode_jpeg(image, 95);
  ASSERT_TRUE(bytes);
  EXPECT_LE(largest_difference(decoded(bytes.value()), image), 40);
  const auto small = encode_jpeg(image, 20);
  ASSERT_TRUE(small);
  EXPECT_LT(small.value().size(), bytes.value().size());
}

TEST(EncodeJpeg, RefusesNoPixelsAndQualityOutOfRange) {
  EXPECT_EQ(encode_jpeg(Image{}, 90).error().code, ErrorCode::kInvalidArgument);
  for (const int quality : {0, 101}) {
    EXPECT_EQ(encode_jpeg(sample_image(8, 8), quality).error().code,
              ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace shoal
