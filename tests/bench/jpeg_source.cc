#include "tests/bench/jpeg_source.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "common/file.h"
#include "engine/image/image.h"

namespace shoal::bench {
namespace {

constexpr int kPictures = 64;
constexpr int kQuality = 85;
constexpr std::uint64_t kMaxFileBytes = 64 << 20;
/// Photographs of this quality take about this much.
constexpr double kPixelsPerByte = 4;

/// Waves of colour under noise of the given strength.
Image texture(int width, int height, std::uint32_t seed, double noise) {
  std::minstd_rand random(seed);
  std::uniform_real_distribution<double> frequency(-0.15, 0.15);
  std::uniform_real_distribution<double> phase(0, 6.28);
  std::normal_distribution<double> grain(0, noise);
  double fx[3];
  double fy[3];
  double start[3];
  for (int c = 0; c < 3; ++c) {
    fx[c] = frequency(random);
    fy[c] = frequency(random);
    start[c] = phase(random);
  }
  Image image;
  image.width = width;
  image.height = height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double speck = grain(random);
      for (int c = 0; c < 3; ++c) {
        const double wave = std::sin(fx[c] * x + fy[c] * y + start[c]);
        image.rgb.push_back(static_cast<std::uint8_t>(
            std::clamp(128 + 80 * wave + speck, 0.0, 255.0)));
      }
    }
  }
  return image;
}

/// A JPEG of about `bytes`, found by the strength of its noise.
Result<std::string> picture(std::size_t bytes, std::uint32_t seed) {
  const double pixels = static_cast<double>(bytes) * kPixelsPerByte;
  const int width = static_cast<int>(std::sqrt(pixels * 4 / 3));
  const int height = width * 3 / 4;
  double low = 0;
  double high = 100;
  for (int step = 0; step < 12; ++step) {
    const double noise = (low + high) / 2;
    SHOAL_TRY(jpeg, encode_jpeg(texture(width, height, seed, noise), kQuality));
    const double ratio =
        static_cast<double>(jpeg.size()) / static_cast<double>(bytes);
    if (std::abs(ratio - 1) < 0.05) return std::move(jpeg);
    (ratio < 1 ? low : high) = noise;
  }
  return invalid_argument("no JPEG of " + std::to_string(bytes) +
                          " bytes can be made; 2,000 or more can");
}

}  // namespace

Result<JpegSource> JpegSource::make(std::size_t bytes) {
  JpegSource source;
  source.run_ = std::to_string(std::random_device{}());
  for (std::uint32_t i = 1; i <= kPictures; ++i) {
    SHOAL_TRY(jpeg, picture(bytes, i));
    source.pictures_.push_back(std::move(jpeg));
  }
  return source;
}

Result<JpegSource> JpegSource::read(const std::filesystem::path& folder) {
  JpegSource source;
  source.run_ = std::to_string(std::random_device{}());
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(folder, error), end;
       !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".jpg") paths.push_back(entry->path());
  }
  if (error) {
    return io_error("list " + folder.string() + ": " + error.message());
  }
  if (paths.empty()) {
    return not_found(folder.string() + " has no .jpg file");
  }
  std::sort(paths.begin(), paths.end());
  std::shuffle(paths.begin(), paths.end(), std::minstd_rand(1));
  for (const auto& path : paths) {
    SHOAL_TRY(jpeg, read_file(path, kMaxFileBytes));
    source.pictures_.push_back(std::move(jpeg));
  }
  return source;
}

std::string JpegSource::id(std::uint64_t number) const {
  return "load-" + run_ + "/" + std::to_string(number);
}

std::string JpegSource::file(std::uint64_t number) const {
  const std::string& picture = pictures_[number % pictures_.size()];
  const std::string comment = id(number);
  // Start of image, then a COM segment: marker, length with itself, text.
  std::string file = picture.substr(0, 2);
  file.reserve(picture.size() + comment.size() + 4);
  const std::size_t length = comment.size() + 2;
  file += {'\xFF', '\xFE', static_cast<char>(length >> 8U),
           static_cast<char>(length & 0xFFU)};
  file += comment;
  file.append(picture, 2, std::string::npos);
  return file;
}

}  // namespace shoal::bench
