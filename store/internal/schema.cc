#include "store/internal/schema.h"

#include <algorithm>
#include <string>

#include "store/internal/codec.h"
#include "store/internal/database.h"

namespace shoal::internal {
namespace {

Result<void> record_version(Database& database, std::uint64_t version) {
  rocksdb::WriteBatch batch;
  batch
      .Put(database.family(Family::kMeta), std::string(kSchemaKey),
           encode_number(version))
      .PermitUncheckedError();
  return database.write(batch, Durability::kSynced);
}

/// The version recorded; a store without images and without a version was
/// only just made.
Result<std::uint64_t> current_version(Database& database,
                                      std::uint64_t target) {
  SHOAL_TRY(recorded, database.get(database.family(Family::kMeta), kSchemaKey));
  if (recorded.has_value()) return decode_number(*recorded);
  bool has_images = false;
  SHOAL_TRY(database.scan(
      database.family(Family::kImages), "", "", Database::Direction::kForward,
      [&](std::string_view, std::string_view) -> Result<bool> {
        has_images = true;
        return false;
      }));
  if (has_images) return corruption("its schema version is missing");
  if (!database.read_only()) {
    SHOAL_TRY(record_version(database, target));
  }
  return target;
}

}  // namespace

const std::vector<Migration>& migrations() {
  static const std::vector<Migration> steps;
  return steps;
}

Result<void> migrate(Database& database, const std::vector<Migration>& steps,
                     std::uint64_t target) {
  SHOAL_TRY(recorded, current_version(database, target));
  std::uint64_t version = recorded;
  if (version > target) {
    return failed_precondition("its schema version " + std::to_string(version) +
                               " is newer than this program's " +
                               std::to_string(target) +
                               "; use a newer program");
  }
  while (version < target) {
    if (database.read_only()) {
      return failed_precondition(
          "its schema version " + std::to_string(version) +
          " is older than this program's; open it for writing once");
    }
    const auto step = std::find_if(
        steps.begin(), steps.end(),
        [&](const Migration& known) { return known.from == version; });
    if (step == steps.end()) {
      return failed_precondition(
          "this program knows no way from schema "
          "version " +
          std::to_string(version));
    }
    SHOAL_TRY(step->apply(database));
    ++version;
    SHOAL_TRY(record_version(database, version));
  }
  return ok();
}

}  // namespace shoal::internal
