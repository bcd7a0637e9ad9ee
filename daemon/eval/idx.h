#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"

namespace shoal::eval {

/// Grey images of one size with a label each: an IDX pair, as MNIST has it.
struct IdxImages {
  int width = 0;                     ///< pixels
  int height = 0;                    ///< pixels
  std::string pixels;                ///< n * height * width, 8 bits each
  std::vector<std::uint8_t> labels;  ///< n
};

/// Reads a pair of IDX files, plain or compressed by gzip, of up to 4 GiB.
/// Errors: kNotFound, kIo; kCorruption when a file is no IDX file of unsigned
/// bytes in the expected number of dimensions, does not have the bytes that
/// its header promises, or the counts differ; kResourceExhausted.
[[nodiscard]] Result<IdxImages> read_idx_pair(
    const std::filesystem::path& images, const std::filesystem::path& labels);

}  // namespace shoal::eval
