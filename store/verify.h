#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"

namespace shoal {

/// What a walk over a whole store found.
struct VerifyReport {
  static constexpr std::size_t kMaxListed = 1'000;

  std::uint64_t images = 0;
  std::uint64_t image_bytes = 0;  ///< bytes, read and hashed
  std::uint64_t pending = 0;
  std::uint64_t features = 0;  ///< vectors, over all views
  std::uint64_t labels = 0;    ///< over all epochs
  std::uint64_t epochs = 0;    ///< records
  /// One sentence each; the first kMaxListed of them.
  std::vector<std::string> violations;
  std::uint64_t violation_count = 0;

  [[nodiscard]] bool clean() const { return violation_count == 0; }
};

/// Opens the store in `folder` read-only, reads everything and checks what
/// must always hold (docs/store_format.md, "Invariants"). A value that does
/// not decode is a violation, not an error. Run it on a checkpoint or while no
/// daemon has the store open.
/// Errors: as open_rocksdb_store read-only; kIo when reading fails.
/// Cost: reads all bytes; memory for a few numbers per image.
[[nodiscard]] Result<VerifyReport> verify_store(
    const std::filesystem::path& folder);

}  // namespace shoal
