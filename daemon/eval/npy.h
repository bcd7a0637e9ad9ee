#pragma once

#include <cstdint>
#include <filesystem>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal::eval {

/// Writes `values` as a NumPy file (format 1.0, little-endian float32, C
/// order, shape (n, d)) that is there whole or not at all.
/// Errors: kIo.
[[nodiscard]] Result<void> write_npy(const std::filesystem::path& path,
                                     MatrixView values);

/// Reads what write_npy or NumPy wrote. Nothing is allocated before the
/// file's size has been compared with its shape.
/// @param max_bytes  most that the file may have
/// Errors: kNotFound, kIo; kUnsupported for another type, order or number of
/// dimensions; kCorruption for a file that is none or has another size than
/// its header says; kResourceExhausted over `max_bytes`.
[[nodiscard]] Result<Matrix> read_npy(const std::filesystem::path& path,
                                      std::uint64_t max_bytes);

}  // namespace shoal::eval
