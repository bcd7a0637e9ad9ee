#pragma once

#include <filesystem>
#include <string_view>

#include "common/result.h"

namespace shoal {

/// A file's bytes, memory-mapped read-only. The file must not be cut short
/// while it is mapped: replace files that may be mapped, never overwrite
/// them. Immutable, thread-safe.
class MappedFile {
 public:
  /// Errors: kNotFound, kIo (not a regular file, too).
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace shoal
