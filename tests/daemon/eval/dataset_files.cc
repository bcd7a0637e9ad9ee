#include "tests/daemon/eval/dataset_files.h"

#include <cmath>
#include <fstream>
#include <zlib.h>

#include "engine/image/image.h"

namespace shoal::test {

void put_file(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string jpeg_of(int width, int height, int seed) {
  Image image;
  image.width = width;
  image.height = height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        const double wave = std::sin(0.1 * (seed + 1) * (x + 2 * y + channel));
        image.rgb.push_back(static_cast<std::uint8_t>(128 + 100 * wave));
      }
    }
  }
  return encode_jpeg(image, 90).value();
}

std::string idx_of(const std::vector<std::uint32_t>& shape,
                   const std::string& values) {
  std::string bytes("\0\0\x08", 3);
  bytes.push_back(static_cast<char>(shape.size()));
  for (const std::uint32_t size : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<char>(size >> shift & 0xff));
    }
  }
  return bytes + values;
}

std::string gzip_of(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace shoal::test
