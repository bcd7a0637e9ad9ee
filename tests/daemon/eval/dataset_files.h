#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shoal::test {

/// Writes `bytes`, making the folders above.
void put_file(const std::filesystem::path& path, const std::string& bytes);

/// A JPEG of waves that differ with `seed`.
std::string jpeg_of(int width, int height, int seed);

/// An IDX file of unsigned bytes.
std::string idx_of(const std::vector<std::uint32_t>& shape,
                   const std::string& values);
std::string gzip_of(const std::string& bytes);

}  // namespace shoal::test
