#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal {

/// The whole file. Errors: kNotFound, kIo; kResourceExhausted when it is
/// larger than `max_bytes`.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::uint64_t max_bytes);

/// Replaces the file by `bytes` so that after a crash it holds either the old
/// or the new content: temporary file, fsync, rename, fsync of the folder.
[[nodiscard]] Result<void> write_file_atomically(
    const std::filesystem::path& path, std::string_view bytes);

/// A temporary folder that is removed, with all in it, at the end of its
/// scope. Owner-thread.
class TemporaryFolder {
 public:
  /// Makes a fresh folder named `prefix`-XXXXXX under the system's folder for
  /// temporary files.
  static Result<TemporaryFolder> create(std::string_view prefix);
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path)
      : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace shoal
