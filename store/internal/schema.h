#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace shoal::internal {

class Database;

/// The layout that this program reads and writes: docs/store_format.md.
inline constexpr std::uint64_t kSchemaVersion = 1;

/// One step forward: turns a store of version `from` into one of `from` + 1.
/// It must be repeatable, because a crash in the middle runs it again.
struct Migration {
  std::uint64_t from = 0;
  Result<void> (*apply)(Database& database) = nullptr;
};

/// The steps that this program knows, ascending.
[[nodiscard]] const std::vector<Migration>& migrations();

/// Brings the store from the version it has to `target`, one step of `steps`
/// at a time, recording each.
/// Errors: kFailedPrecondition when it is newer than `target`, or older and
/// the store is read-only or a step is missing.
[[nodiscard]] Result<void> migrate(Database& database,
                                   const std::vector<Migration>& steps,
                                   std::uint64_t target);

}  // namespace shoal::internal
