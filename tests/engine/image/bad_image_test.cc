#include <cstdlib>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/image/image.h"
#include "tests/engine/image/image_files.h"

namespace shoal {
namespace {

using test::sample_image;

/// What decode_image says of bytes that must not decode.
ImageProblem problem_of(const std::string& bytes) {
  const auto image = decode_image(bytes, {});
  EXPECT_FALSE(image) << "decoded " << bytes.size() << " bytes";
  if (image) return ImageProblem::kEmpty;
  EXPECT_FALSE(image.error().message.empty());
  return image.error().problem;
}

struct Sample {
  std::string name;
  std::string bytes;
};

std::vector<Sample> valid_samples() {
  const Image image = sample_image(48, 40);
  const std::vector<std::array<std::uint8_t, 3>> frames = {{9, 9, 9},
                                                           {0, 255, 0}};
  return {
      {"jpeg", test::encode(image, ".jpg")},
      {"progressive", test::encode_progressive_jpeg(image)},
      {"cmyk", test::encode_cmyk_jpeg({9, 99, 9, 200}, 24, 24)},
      {"rotated", test::encode_jpeg_with(image, test::exif_segment(6, true))},
      {"png", test::encode(image, ".png")},
      {"png16", test::encode_16_bit_png({1, 2, 3})},
      {"bmp", test::encode(image, ".bmp")},
      {"tiff", test::encode(image, ".tiff")},
      {"webp", test::encode(image, ".webp")},
      {"heic", test::encode_heif(image, ".heic")},
      {"avif", test::encode_heif(image, ".avif")},
      {"gif", test::animated_gif(frames, 24, 16)},
      {"gif with transparency", test::gif_with_transparency(true)},
      {"animated webp", test::animated_webp(frames, 24, 16)}};
}

/// A file of `format` whose header alone claims width x height.
std::string header_only(const std::string& format, std::uint32_t width,
                        std::uint32_t height) {
  const auto be = [](std::uint32_t value, int bytes) {
    std::string out;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
      out.push_back(static_cast<char>(value >> shift & 0xff));
    }
    return out;
  };
  const auto le = [&](std::uint32_t value, int bytes) {
    std::string out = be(value, bytes);
    return std::string(out.rbegin(), out.rend());
  };
  if (format == "png") {
    return "\x89PNG\r\n\x1a\n" +
           test::png_chunk("IHDR", be(width, 4) + be(height, 4) +
                                       std::string("\x08\x02\0\0\0", 5));
  }
  if (format == "jpeg") {
    return std::string("\xff\xd8\xff\xc0\x00\x11\x08", 7) + be(height, 2) +
           be(width, 2) +
           std::string("\x03\x01\x22\0\x02\x11\x01\x03\x11\x01", 10);
  }
  if (format == "gif") {
    return "GIF89a" + le(width, 2) + le(height, 2) + std::string(3, '\0');
  }
  if (format == "bmp") {
    return "BM" + le(54, 4) + le(0, 4) + le(54, 4) + le(40, 4) + le(width, 4) +
           le(height, 4) + le(1, 2) + le(24, 2) + std::string(24, '\0');
  }
  if (format == "webp") {
    return "RIFF" + le(22, 4) + "WEBPVP8X" + le(10, 4) + le(0, 4) +
           le(width - 1, 3) + le(height - 1, 3);
  }
  // tiff: a directory of width and height
  const auto entry = [&](std::uint32_t tag, std::uint32_t value) {
    return le(tag, 2) + le(4, 2) + le(1, 4) + le(value, 4);
  };
  return std::string("II*\0", 4) + le(8, 4) + le(2, 2) + entry(256, width) +
         entry(257, height) + le(0, 4);
}

TEST(BadImage, NoBytesAreEmpty) {
  EXPECT_EQ(problem_of(""), ImageProblem::kEmpty);
}

TEST(BadImage, OtherFilesAreNotImages) {
  for (const std::string& bytes :
       {std::string("hello, I am a text"), std::string("%PDF-1.7\n"),
        std::string(1000, '\0'), std::string("\xff\xd8"), std::string("B"),
        std::string("BMW is no bitmap"), std::string("RIFF\x10\0\0\0WAVEfmt "),
        std::string("\0\0\0\x18"
                    "ftypisom\0\0\0\0",
                    16)}) {
    EXPECT_EQ(problem_of(bytes), ImageProblem::kNotAnImage) << bytes;
  }
}

TEST(BadImage, KnownFormatsThatAreNotDecodedAreNamed) {
  for (const auto& [bytes, name] :
       std::vector<std::pair<std::string, std::string>>{
           {"\xff\x0a and so on", "JPEG XL"},
           {std::string("\0\0\0\x0cjP  \r\n", 10), "JPEG 2000"},
           {"8BPS and so on", "Photoshop"},
           {"<svg xmlns=", "SVG"},
           {"P6\n1 1\n255\nabc", "PNM"}}) {
    const auto image = decode_image(bytes, {});
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().problem, ImageProblem::kUnsupportedFormat);
    EXPECT_THAT(image.error().message, testing::HasSubstr(name));
  }
}

TEST(BadImage, AHugeHeaderIsRefusedBeforeAnythingElse) {
  for (const char* format : {"png", "jpeg", "gif", "bmp", "webp", "tiff"}) {
    SCOPED_TRACE(format);
    const std::string bytes = header_only(format, 60'000, 60'000);
    EXPECT_EQ(problem_of(bytes), ImageProblem::kTooManyPixels);
    const auto info = probe_image(bytes, {});
    ASSERT_FALSE(info);
    EXPECT_THAT(info.error().message, testing::HasSubstr("60000 x 60000"));
  }
}

TEST(BadImage, LimitsHoldForSidesAndPixels) {
  const std::string png = test::encode(sample_image(40, 24), ".png");
  EXPECT_TRUE(decode_image(png, {40 * 24, 40}));
  EXPECT_EQ(decode_image(png, {40 * 24 - 1, 40}).error().problem,
            ImageProblem::kTooManyPixels);
  EXPECT_EQ(decode_image(png, {40 * 24, 39}).error().problem,
            ImageProblem::kTooManyPixels);
}

/// `bytes` with the width in its first image spatial extents box changed.
std::string heif_of_width(std::string bytes, std::uint32_t width) {
  const std::size_t at = bytes.find("ispe") + 8;
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[at + i] = static_cast<char>(width >> (24 - 8 * i) & 0xff);
  }
  return bytes;
}

TEST(BadImage, AHeifOfHugeSizeIsRefusedBeforeDecoding) {
  for (const char* extension : {".heic", ".avif"}) {
    SCOPED_TRACE(extension);
    const std::string bytes =
        test::encode_heif(sample_image(64, 64), extension);
    const std::string huge = heif_of_width(bytes, 60'000);
    EXPECT_EQ(problem_of(huge), ImageProblem::kTooManyPixels);
    EXPECT_THAT(probe_image(huge, {}).error().message,
                testing::HasSubstr("60000 x 64"));
    EXPECT_EQ(problem_of(heif_of_width(bytes, 0)), ImageProblem::kBroken);
    EXPECT_EQ(problem_of(heif_of_width(bytes, 72)), ImageProblem::kBroken);
    EXPECT_EQ(decode_image(bytes, {64 * 64 - 1, 64}).error().problem,
              ImageProblem::kTooManyPixels);
  }
}

// The container may lie about the size; what decoders take memory for is what
// the coded data say.
TEST(BadImage, AHeifWhoseDataAreLargerThanItSaysIsRefusedBeforeDecoding) {
  for (const char* extension : {".heic", ".avif"}) {
    SCOPED_TRACE(extension);
    for (const int side : {512, 1000}) {
      std::string bytes =
          test::encode_heif(sample_image(side, side), extension);
      for (std::size_t at = bytes.find("ispe"); at != std::string::npos;
           at = bytes.find("ispe", at + 1)) {
        bytes.replace(at + 8, 8, std::string("\0\0\0\x40\0\0\0\x40", 8));
      }
      const auto info = probe_image(bytes, {64 * 64, 64});
      ASSERT_FALSE(info);
      EXPECT_EQ(info.error().problem, ImageProblem::kTooManyPixels);
      EXPECT_THAT(info.error().message, testing::HasSubstr("coded HEIF"));
      EXPECT_EQ(problem_of(bytes), ImageProblem::kBroken);
    }
  }
}

TEST(BadImage, AHeifOfExactlyTheLimitIsDecoded) {
  for (const char* extension : {".heic", ".avif"}) {
    for (const int side : {64, 72, 100, 333}) {
      const auto pixels = static_cast<std::uint64_t>(side * side);
      const auto image =
          decode_image(test::encode_heif(sample_image(side, side), extension),
                       {pixels, static_cast<std::uint32_t>(side)});
      EXPECT_TRUE(image) << side << ": " << image.error().message;
    }
  }
}

// libdav1d would lose memory over it.
TEST(BadImage, AHeifItemWithoutDataIsTruncated) {
  for (const char* extension : {".heic", ".avif"}) {
    std::string bytes = test::encode_heif(sample_image(64, 64), extension);
    const std::size_t data_bytes =
        bytes.size() - (bytes.find("mdat") + std::string_view("mdat").size());
    std::string length;
    for (int shift = 24; shift >= 0; shift -= 8) {
      length.push_back(static_cast<char>(data_bytes >> shift & 0xff));
    }
    // The item's only extent ends the iloc box.
    const std::size_t at = bytes.find(length, bytes.find("iloc"));
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at, 4, 4, '\0');
    EXPECT_EQ(problem_of(bytes), ImageProblem::kTruncated) << extension;
  }
}

TEST(BadImage, AHeifOfNothingButItsHeaderIsTruncated) {
  for (const char* brand : {"heic", "mif1", "avif"}) {
    const std::string bytes =
        std::string("\0\0\0\x10", 4) + "ftyp" + brand + std::string(4, '\0');
    EXPECT_EQ(problem_of(bytes), ImageProblem::kTruncated) << brand;
  }
}

TEST(BadImage, AHeifSequenceWithoutAStillIsNotDecoded) {
  EXPECT_EQ(problem_of(std::string("\0\0\0\x10"
                                   "ftypmsf1\0\0\0\0\0\0\0\x08"
                                   "moov",
                                   24)),
            ImageProblem::kUnsupportedFormat);
}

TEST(BadImage, NoSideIsZero) {
  for (const char* format : {"png", "jpeg", "gif", "bmp", "tiff"}) {
    EXPECT_EQ(problem_of(header_only(format, 0, 10)), ImageProblem::kBroken)
        << format;
  }
}

TEST(BadImage, EveryCutIsFoundBeforeDecoding) {
  for (const Sample& sample : valid_samples()) {
    SCOPED_TRACE(sample.name);
    ASSERT_TRUE(decode_image(sample.bytes, {}));
    // At least the signature is left; the last byte may be padding.
    for (std::size_t size = 12; size + 1 < sample.bytes.size(); ++size) {
      const auto cut = decode_image(sample.bytes.substr(0, size), {});
      ASSERT_FALSE(cut) << "cut to " << size << " of " << sample.bytes.size();
      ASSERT_EQ(cut.error().problem, ImageProblem::kTruncated)
          << "cut to " << size << ": " << cut.error().message;
    }
  }
}

TEST(BadImage, JpegDataCutBeforeTheEndMarkerAreAnErrorNotGreyPixels) {
  const Image image = sample_image(200, 160);
  for (std::string bytes :
       {test::encode(image, ".jpg"), test::encode_progressive_jpeg(image)}) {
    bytes.resize(bytes.size() * 2 / 3);
    bytes += "\xff\xd9";
    EXPECT_EQ(problem_of(bytes), ImageProblem::kTruncated);
  }
}

TEST(BadImage, JpegOf12BitsIsNotDecoded) {
  std::string bytes = test::encode(sample_image(16, 16), ".jpg");
  const std::size_t frame = bytes.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  bytes[frame + 4] = 12;
  EXPECT_EQ(problem_of(bytes), ImageProblem::kUnsupportedFormat);
}

TEST(BadImage, AWrongPngChecksumIsBroken) {
  std::string bytes = test::encode(sample_image(16, 16), ".png");
  bytes[bytes.find("IDAT") + 10] ^= 1;
  EXPECT_EQ(problem_of(bytes), ImageProblem::kBroken);
}

TEST(BadImage, ATiffOfFloatingPointIsNotDecoded) {
  EXPECT_EQ(problem_of(test::encode_float_tiff()),
            ImageProblem::kUnsupportedFormat);
}

TEST(BadImage, ProblemsHaveTheWireProtocolsNames) {
  EXPECT_EQ(to_string(ImageProblem::kEmpty), "empty_image");
  EXPECT_EQ(to_string(ImageProblem::kNotAnImage), "not_an_image");
  EXPECT_EQ(to_string(ImageProblem::kUnsupportedFormat), "unsupported_format");
  EXPECT_EQ(to_string(ImageProblem::kTruncated), "truncated_image");
  EXPECT_EQ(to_string(ImageProblem::kTooManyPixels), "too_many_pixels");
  EXPECT_EQ(to_string(ImageProblem::kBroken), "broken_image");
}

/// Either an image within the limits with all its pixels, or a reason.
void expect_sound(const std::string& bytes, const ImageLimits& limits) {
  const auto image = decode_image(bytes, limits);
  if (!image) {
    EXPECT_FALSE(image.error().message.empty());
    return;
  }
  const Image& found = image.value();
  EXPECT_GT(found.width, 0);
  EXPECT_GT(found.height, 0);
  EXPECT_EQ(found.rgb.size(), static_cast<std::size_t>(found.width) *
                                  static_cast<std::size_t>(found.height) * 3);
  EXPECT_LE(found.rgb.size(), limits.max_pixels * 3);
}

TEST(BadImage, RandomChangesNeverDoHarm) {
  std::mt19937 random(20231);
  const ImageLimits limits{250'000, 2'000};
  for (const Sample& sample : valid_samples()) {
    SCOPED_TRACE(sample.name);
    for (int round = 0; round < 300; ++round) {
      std::string bytes = sample.bytes;
      const int changes = 1 + static_cast<int>(random() % 8);
      for (int i = 0; i < changes; ++i) {
        // Half of the changes hit the header.
        const std::size_t range = random() % 2 == 0
                                      ? std::min<std::size_t>(bytes.size(), 64)
                                      : bytes.size();
        bytes[random() % range] = static_cast<char>(random());
      }
      if (random() % 4 == 0) bytes.resize(1 + random() % bytes.size());
      expect_sound(bytes, limits);
    }
  }
}

TEST(BadImage, RandomBytesAfterASignatureNeverDoHarm) {
  std::mt19937 random(7);
  const ImageLimits limits{250'000, 2'000};
  for (const Sample& sample : valid_samples()) {
    SCOPED_TRACE(sample.name);
    for (int round = 0; round < 100; ++round) {
      std::string bytes = sample.bytes.substr(0, 12);
      const std::size_t size = random() % 400;
      while (bytes.size() < size) bytes.push_back(static_cast<char>(random()));
      expect_sound(bytes, limits);
    }
  }
}

}  // namespace
}  // namespace shoal
