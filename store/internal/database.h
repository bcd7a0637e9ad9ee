#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "common/mutex.h"
#include "common/result.h"
#include "store/records.h"
#include "store/store.h"

namespace shoal::internal {

/// The column families that every store has; those of views come on top.
enum class Family : std::uint8_t {
  kMeta,
  kImages,
  kIds,
  kArrivals,
  kBytes,
  kPending,
  kLabels,
  kMembers,
  kEmbeddings,
  kClusters,
  kEpochs,
  kModels,
  kLineage,
  kCorrections,
  kFixed,
  kMustNot,
  kHistory,
  kNames,
  kRejected,
};
inline constexpr std::size_t kFamilies = 19;

/// The families keyed by epoch first: what an epoch's data is.
inline constexpr std::array kEpochFamilies = {
    Family::kLabels, Family::kMembers, Family::kEmbeddings, Family::kClusters,
    Family::kModels};

/// Keys of Family::kMeta.
inline constexpr std::string_view kSchemaKey = "schema";
inline constexpr std::string_view kOpensKey = "opens";
inline constexpr std::string_view kCurrentEpochKey = "current_epoch";
inline constexpr std::string_view kIngestTotalsKey = "ingest_totals";
inline constexpr std::string_view kLabelTotalsKey = "label_totals";

/// A status that is not ok as an Error. `doing` is what failed, with names.
[[nodiscard]] Error to_error(const rocksdb::Status& status,
                             std::string_view doing);

/// A RocksDB folder: its options, column families, lock, schema and the way
/// back from a full disk. Knows keys and values only as bytes.
/// Thread-safe.
class Database {
 public:
  using Handle = rocksdb::ColumnFamilyHandle;
  struct View {
    ViewKey key;
    Handle* handle = nullptr;
  };

  /// Errors: as open_rocksdb_store.
  static Result<std::unique_ptr<Database>> open(const StoreOptions& options);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  Database(Database&&) = delete;
  Database& operator=(Database&&) = delete;
  ~Database();

  [[nodiscard]] bool read_only() const { return options_.read_only; }
  [[nodiscard]] Handle* family(Family family) const {
    return families_[static_cast<std::size_t>(family)];
  }

  /// Finds or makes the family of a view version; its position is permanent
  /// for this object.
  /// Errors: kFailedPrecondition when it would have to be made and the store
  /// is read-only.
  Result<std::size_t> open_view(const ViewKey& key);
  [[nodiscard]] View view(std::size_t position) const;
  [[nodiscard]] std::vector<View> views() const;

  [[nodiscard]] Result<std::optional<std::string>> get(
      Handle* family, std::string_view key) const;

  /// Looks up key_at(0) .. key_at(count - 1) and calls found(i, value) for
  /// those that exist, i ascending.
  [[nodiscard]] Result<void> multi_get(
      Handle* family, std::size_t count,
      const std::function<std::string(std::size_t)>& key_at,
      const std::function<Result<void>(std::size_t, std::string_view)>& found)
      const;

  /// Calls visit(key, value) for the keys in [first, end), in order, until it
  /// returns false. An empty `end` is no bound.
  enum class Direction { kForward, kBackward };
  [[nodiscard]] Result<void> scan(
      Handle* family, const std::string& first, const std::string& end,
      Direction direction,
      const std::function<Result<bool>(std::string_view, std::string_view)>&
          visit) const;

  /// Applies the batch. After kStorageFull all writes fail
  /// with it until a few seconds after space has been freed.
  Result<void> write(rocksdb::WriteBatch& batch, Durability durability);

  /// Forces everything written so far to disk.
  Result<void> sync();
  Result<void> checkpoint(const std::filesystem::path& folder);

  [[nodiscard]] std::map<std::string, double> statistics() const;

 private:
  explicit Database(const StoreOptions& options);
  Result<void> open_families();
  [[nodiscard]] std::string doing(std::string_view what) const;

  const StoreOptions options_;
  const std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<Handle*, kFamilies> families_{};
  /// Families of a later schema or of unknown use: only held to be closed.
  std::vector<Handle*> unknown_;
  /// A mutex because views are registered and used by different threads.
  mutable Mutex views_mutex_;
  std::vector<View> views_ SHOAL_GUARDED_BY(views_mutex_);
};

}  // namespace shoal::internal
