#include "daemon/eval/idx.h"

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <zlib.h>

namespace shoal::eval {
namespace {

constexpr std::uint64_t kMaxBytes = 4ULL << 30;
constexpr std::uint32_t kUnsignedBytes = 0x08;
constexpr int kMaxSide = 30'000;  ///< pixels

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

/// The file's content, decompressed where it is compressed.
Result<std::string> read_gzip(const std::filesystem::path& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, CloseGzip> file(gzopen(path.c_str(), "rb"));
  if (file == nullptr) {
    if (errno == ENOENT) return not_found("no file " + path.string());
    return errno_error("open " + path.string(), errno);
  }
  std::string bytes;
  std::array<char, 1 << 16> buffer{};
  for (;;) {
    const int count = gzread(file.get(), buffer.data(), buffer.size());
    if (count == 0) break;
    if (count < 0) {
      return corruption(path.string() + ": the gzip data do not decompress");
    }
    bytes.append(buffer.data(), static_cast<std::size_t>(count));
    if (bytes.size() > kMaxBytes) {
      return resource_exhausted(path.string() + " holds more than 4 GiB");
    }
  }
  int error = Z_OK;
  gzerror(file.get(), &error);
  if (error != Z_OK) {
    return corruption(path.string() + ": the gzip data end too early");
  }
  return bytes;
}

struct IdxFile {
  std::vector<std::uint32_t> shape;
  std::string values;
};

/// http://yann.lecun.com/exdb/mnist: magic 0 0 type dimensions, then each
/// dimension's size and the values, big-endian.
Result<IdxFile> read_idx(const std::filesystem::path& path,
                         std::uint32_t dimensions) {
  SHOAL_TRY(bytes, read_gzip(path));
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
    }
    return value;
  };
  const std::size_t header_bytes = 4 + 4 * std::size_t{dimensions};
  if (bytes.size() < header_bytes ||
      number(0) != (kUnsignedBytes << 8 | dimensions)) {
    return corruption(path.string() + " is no IDX file of unsigned bytes in " +
                      std::to_string(dimensions) + " dimensions");
  }
  IdxFile file;
  std::uint64_t count = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    file.shape.push_back(number(4 + 4 * std::size_t{i}));
    // Within the limit, so that the product cannot overflow.
    count *= file.shape.back();
    if (count > kMaxBytes) break;
  }
  if (bytes.size() - header_bytes != count) {
    return corruption(path.string() + " has " +
                      std::to_string(bytes.size() - header_bytes) +
                      " values; its header promises " + std::to_string(count));
  }
  file.values = std::move(bytes).erase(0, header_bytes);
  return file;
}

}  // namespace

Result<IdxImages> read_idx_pair(const std::filesystem::path& images,
                                const std::filesystem::path& labels) {
  SHOAL_TRY(pixels, read_idx(images, 3));
  SHOAL_TRY(classes, read_idx(labels, 1));
  if (pixels.shape[0] != classes.shape[0]) {
    return corruption(images.string() + " has " +
                      std::to_string(pixels.shape[0]) + " images and " +
                      labels.string() + " " + std::to_string(classes.shape[0]) +
                      " labels");
  }
  if (pixels.shape[1] == 0 || pixels.shape[2] == 0 ||
      pixels.shape[1] > kMaxSide || pixels.shape[2] > kMaxSide) {
    return corruption(images.string() + " has images of " +
                      std::to_string(pixels.shape[2]) + " x " +
                      std::to_string(pixels.shape[1]) + " pixels");
  }
  IdxImages pair;
  pair.height = static_cast<int>(pixels.shape[1]);
  pair.width = static_cast<int>(pixels.shape[2]);
  pair.pixels = std::move(pixels.values);
  pair.labels.assign(classes.values.begin(), classes.values.end());
  return pair;
}

}  // namespace shoal::eval
