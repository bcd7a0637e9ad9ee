#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>
#include <zlib.h>

#include "common/matrix.h"

namespace shoal::test {

/// MNIST images as rows of 784 values in [0, 1], and which digit each shows.
struct Digits {
  Matrix images;
  std::vector<int> truth;
};

/// The bytes of a gzipped IDX file after its header. Throws where it cannot
/// be read.
inline std::string idx_bytes(const std::filesystem::path& path,
                             std::size_t header) {
  const gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot read " + path.string());
  std::string bytes;
  std::vector<char> buffer(1 << 16);
  for (int count = 0;
       (count = gzread(file, buffer.data(),
                       static_cast<unsigned>(buffer.size()))) > 0;) {
    bytes.append(buffer.data(), static_cast<std::size_t>(count));
  }
  gzclose(file);
  return bytes.substr(header);
}

/// The first `limit` of the test images in `folder` (t10k-*.gz).
inline Digits read_digits(const std::filesystem::path& folder, int limit) {
  const std::string pixels =
      idx_bytes(folder / "t10k-images-idx3-ubyte.gz", 16);
  const std::string labels = idx_bytes(folder / "t10k-labels-idx1-ubyte.gz", 8);
  const auto n = std::min(static_cast<std::size_t>(limit), labels.size());
  Digits digits{Matrix(static_cast<Eigen::Index>(n), 784), {}};
  for (std::size_t i = 0; i < n * 784; ++i) {
    digits.images.data()[i] =
        static_cast<float>(static_cast<std::uint8_t>(pixels[i])) / 255.0F;
  }
  digits.truth.assign(labels.begin(),
                      labels.begin() + static_cast<std::ptrdiff_t>(n));
  return digits;
}

}  // namespace shoal::test
