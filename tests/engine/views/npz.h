#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/matrix.h"
#include "engine/image/image.h"

namespace shoal::test {

/// One array of a NumPy file.
struct NpyArray {
  std::string type;  ///< NumPy's descr: "<f4", "|u1"
  std::vector<std::size_t> shape;
  std::string bytes;
};

/// Reads a .npz (zip of .npy, stored or deflated, C order). A file that is
/// not one fails the test and gives an empty map.
std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path);

/// (n, d) float32 as a matrix.
Matrix as_matrix(const NpyArray& array);
/// (n, 3, h, w) uint8 RGB as images.
std::vector<Image> as_images(const NpyArray& array);

}  // namespace shoal::test
