#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"

namespace shoal::bench {

/// JPEG files without end: a few different textured pictures, and in each file
/// a comment with its number, so that no two files are equal and making one
/// costs next to nothing. Immutable, thread-safe.
class JpegSource {
 public:
  /// @param bytes  size of every file, to within a twentieth
  static Result<JpegSource> make(std::size_t bytes);

  /// The JPEG files below `folder`, in turn, instead of textured pictures.
  static Result<JpegSource> read(const std::filesystem::path& folder);

  /// File number `number` of this run.
  [[nodiscard]] std::string file(std::uint64_t number) const;
  /// An id that goes with it.
  [[nodiscard]] std::string id(std::uint64_t number) const;

 private:
  JpegSource() = default;

  std::string run_;  ///< told apart from other runs against one daemon
  std::vector<std::string> pictures_;
};

}  // namespace shoal::bench
