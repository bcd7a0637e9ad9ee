#include "store/internal/database.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <system_error>
#include <unistd.h>

#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_buffer_manager.h>

#include "common/check.h"
#include "store/internal/codec.h"
#include "store/internal/schema.h"

namespace shoal::internal {
namespace {

constexpr std::array<const char*, kFamilies> kFamilyNames = {
    "default",  "images",  "ids",     "arrivals",    "bytes",
    "pending",  "labels",  "members", "embeddings",  "clusters",
    "epochs",   "models",  "lineage", "corrections", "fixed",
    "must_not", "history", "names",   "rejected"};
constexpr std::string_view kViewPrefix = "view:";

/// Fewer than the usual limit of 1,024 descriptors of a process, which also
/// needs some for its sockets.
constexpr int kMaxOpenFiles = 512;
constexpr std::uint64_t kManifestBytes = 64ULL << 20;
constexpr std::size_t kMultiGetChunk = 256;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

/// RocksDB's own log lines, dropped: what fails reaches our callers as errors.
/// Its log file would lie on the store's disk, and RocksDB 7.8 ends the process
/// when it logs again after a line that a full disk refused.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

rocksdb::DBOptions database_options(
    const StoreOptions& options, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::DBOptions db;
  db.create_if_missing = !options.read_only;
  db.create_missing_column_families = !options.read_only;
  db.max_background_jobs = 2;
  db.max_open_files = kMaxOpenFiles;
  db.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(
      options.write_buffer_bytes, cache);
  // Bounds what a crash leaves to be replayed at start-up. More than the
  // memtables take, or idle families would be flushed for their log's sake
  // each time that the busy ones fill up.
  db.max_total_wal_size = 2 * options.write_buffer_bytes;
  // A log file that was synced and is gone or short is told at start-up
  // instead of silently taken for the end of the data.
  db.track_and_verify_wals_in_manifest = true;
  db.bytes_per_sync = 1ULL << 20;
  // Reads must not wait for the deletion of obsolete files.
  db.avoid_unnecessary_blocking_io = true;
  db.skip_stats_update_on_db_open = true;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.info_log = std::make_shared<NoLog>();
  db.max_manifest_file_size = kManifestBytes;
  return db;
}

rocksdb::ColumnFamilyOptions small_family_options(
    const StoreOptions& options, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;

  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.compression = rocksdb::kLZ4Compression;
  family.level_compaction_dynamic_level_bytes = true;
  family.write_buffer_size = options.write_buffer_bytes / 16;
  // There are many families and most are nearly idle.
  family.arena_block_size = 64 << 10;
  return family;
}

rocksdb::ColumnFamilyOptions family_options(
    std::string_view name, const StoreOptions& options,
    const std::shared_ptr<rocksdb::Cache>& cache) {
  auto family = small_family_options(options, cache);
  const bool is_view = name.substr(0, kViewPrefix.size()) == kViewPrefix;
  if (is_view || name == "bytes" || name == "embeddings") {
    family.write_buffer_size =
        options.write_buffer_bytes / (name == "bytes" ? 2 : 4);
    family.arena_block_size = 1 << 20;
  }
  if (name == "bytes" || name == "models") {
    family.enable_blob_files = true;
    family.min_blob_size = 1024;
    family.blob_cache = cache;
    // Images come already compressed.
    family.blob_compression_type = rocksdb::kNoCompression;
    family.enable_blob_garbage_collection = true;
    family.blob_garbage_collection_age_cutoff = 0.5;
    family.blob_garbage_collection_force_threshold = 0.5;
  }
  if (name == "pending") {
    // A queue: without this the marks already taken away are walked over
    // again and again to find the first that is left.
    family.table_properties_collector_factories.push_back(
        rocksdb::NewCompactOnDeletionCollectorFactory(16384, 8192));
  }
  return family;
}

bool is_locked(const rocksdb::Status& status) {
  // RocksDB has no code of its own for this.
  const std::string text = status.ToString();
  return status.IsIOError() &&
         (text.find("While lock file") != std::string::npos ||
          text.find("lock hold by current process") != std::string::npos);
}

/// Finds what is wrong with the folder before RocksDB does, which would say
/// it less clearly or, without CURRENT, start afresh over existing data.
Result<void> check_folder(const StoreOptions& options) {
  namespace fs = std::filesystem;
  const fs::path& folder = options.folder;
  std::error_code error;
  if (!options.read_only) fs::create_directories(folder, error);
  std::error_code status_error;
  const auto status = fs::status(folder, status_error);
  if (fs::exists(status) && !fs::is_directory(status)) {
    return io_error(folder.string() + " is a file, not a folder");
  }
  if (!error && !fs::exists(status)) error = status_error;
  if (error && error != std::errc::no_such_file_or_directory) {
    const bool denied = error == std::errc::permission_denied;
    return Error{denied ? ErrorCode::kPermissionDenied : ErrorCode::kIo,
                 std::string(options.read_only ? "read " : "create ") +
                     folder.string() + ": " + error.message()};
  }
  if (!fs::exists(status)) return not_found("no folder " + folder.string());
  const int needed = options.read_only ? R_OK | X_OK : R_OK | W_OK | X_OK;
  if (::access(folder.c_str(), needed) != 0) {
    const int number = errno;
    auto refused =
        errno_error(std::string(options.read_only ? "read " : "write in ") +
                        folder.string(),
                    number);
    if (number == EACCES) refused.code = ErrorCode::kPermissionDenied;
    return refused;
  }
  if (fs::exists(folder / "CURRENT", error)) return ok();
  if (options.read_only) return not_found("no store in " + folder.string());
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const auto extension = it->path().extension();
    if (extension == ".sst" || extension == ".blob" || extension == ".log") {
      return corruption(folder.string() + " holds " +
                        it->path().filename().string() +
                        " but no CURRENT: files of a store are missing");
    }
  }
  if (error)
    return io_error("list " + folder.string() + ": " + error.message());
  return ok();
}

/// The inverse of ViewKey::text().
std::optional<ViewKey> parse_view(std::string_view text) {
  std::array<std::string, 4> parts;
  std::size_t part = 0;
  for (const char c : text) {
    if (c != '@') {
      parts[part].push_back(c);
    } else if (++part == parts.size()) {
      return std::nullopt;
    }
  }
  const std::string& dim = parts[3];
  if (dim.empty() || dim.size() > 9 ||
      dim.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  ViewKey key{parts[0], parts[1], parts[2],
              static_cast<std::uint32_t>(std::stoul(dim))};
  if (key.text() != text) return std::nullopt;
  return key;
}

Result<void> check_view(const ViewKey& key) {
  static constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyz0123456789_.-";
  for (const auto* part :
       {&key.name, &key.weights_hash, &key.preprocessing_hash}) {
    if (part->empty() || part->find_first_not_of(kAllowed) != part->npos) {
      return invalid_argument("view key " + key.text() +
                              ": each part is made of a-z 0-9 _ . -");
    }
  }
  if (!parse_view(key.text()).has_value() || key.dim == 0) {
    return invalid_argument("view key " + key.text() + ": bad dimension");
  }
  return ok();
}

}  // namespace

Error to_error(const rocksdb::Status& status, std::string_view doing) {
  const std::string text = std::string(doing) + ": ";
  if (status.IsNoSpace()) {
    return storage_full(text + "the disk is full; free some space (" +
                        status.ToString() + ")");
  }
  if (status.IsCorruption()) return corruption(text + status.ToString());
  if (status.IsNotFound()) return not_found(text + status.ToString());
  if (status.IsIOError()) {
    // RocksDB keeps the system's error only as text.
    const bool denied =
        status.ToString().find("Permission denied") != std::string::npos;
    return Error{denied ? ErrorCode::kPermissionDenied : ErrorCode::kIo,
                 text + status.ToString()};
  }
  if (status.IsBusy() || status.IsTimedOut() || status.IsTryAgain() ||
      status.IsShutdownInProgress()) {
    return unavailable(text + status.ToString());
  }
  return internal_error(text + status.ToString());
}

Database::Database(const StoreOptions& options)
    : options_(options),
      cache_(rocksdb::NewLRUCache(options.cache_bytes, -1, false, 0.5)) {}

std::string Database::doing(std::string_view what) const {
  return std::string(what) + " store " + options_.folder.string();
}

Result<std::unique_ptr<Database>> Database::open(const StoreOptions& options) {
  std::unique_ptr<Database> database(new Database(options));
  const std::string context = database->doing("open");
  if (auto usable = check_folder(options); !usable) {
    return usable.error().within(context);
  }
  SHOAL_TRY(database->open_families());
  if (auto done = migrate(*database, migrations(), kSchemaVersion); !done) {
    return done.error().within(context);
  }
  return database;
}

Result<void> Database::open_families() {
  const auto db_options = database_options(options_, cache_);
  const std::string folder = options_.folder.string();
  std::vector<std::string> names;
  if (std::filesystem::exists(options_.folder / "CURRENT")) {
    const auto listed =
        rocksdb::DB::ListColumnFamilies(db_options, folder, &names);
    if (!listed.ok()) return to_error(listed, doing("open"));
  }
  for (const char* name : kFamilyNames) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    if (options_.read_only) {
      return failed_precondition(doing("open") + ": it has no column family " +
                                 name + "; open it for writing once");
    }
    names.emplace_back(name);
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(names.size());
  for (const auto& name : names) {
    descriptors.emplace_back(name, family_options(name, options_, cache_));
  }
  std::vector<Handle*> handles;
  rocksdb::DB* db = nullptr;
  const auto opened =
      options_.read_only
          ? rocksdb::DB::OpenForReadOnly(db_options, folder, descriptors,
                                         &handles, &db)
          : rocksdb::DB::Open(db_options, folder, descriptors, &handles, &db);
  if (is_locked(opened)) {
    return failed_precondition(doing("open") +
                               ": another daemon has this folder open (" +
                               opened.ToString() + ")");
  }
  if (!opened.ok()) return to_error(opened, doing("open"));
  db_.reset(db);
  const MutexLock lock(views_mutex_);
  for (Handle* handle : handles) {
    const std::string& name = handle->GetName();
    const auto* const known =
        std::find(kFamilyNames.begin(), kFamilyNames.end(), name);
    std::optional<ViewKey> view;
    if (name.rfind(kViewPrefix, 0) == 0) {
      view = parse_view(std::string_view(name).substr(kViewPrefix.size()));
    }
    if (known != kFamilyNames.end()) {
      families_[static_cast<std::size_t>(known - kFamilyNames.begin())] =
          handle;
    } else if (view.has_value()) {
      views_.push_back(View{*std::move(view), handle});
    } else {
      unknown_.push_back(handle);
    }
  }
  return ok();
}

Database::~Database() {
  if (db_ == nullptr) return;
  // An error cannot be reported from here, and nothing acknowledged depends
  // on it: what was promised to be on disk was forced there at that time.
  if (!options_.read_only) static_cast<void>(sync());
  const auto release = [&](Handle* handle) {
    if (handle != nullptr) {
      db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
  };
  for (Handle* handle : families_) release(handle);
  for (Handle* handle : unknown_) release(handle);
  {
    const MutexLock lock(views_mutex_);
    for (const View& view : views_) release(view.handle);
  }
  db_->Close().PermitUncheckedError();
}

Result<std::size_t> Database::open_view(const ViewKey& key) {
  SHOAL_TRY(check_view(key));
  const std::string text = key.text();
  const MutexLock lock(views_mutex_);
  for (std::size_t i = 0; i < views_.size(); ++i) {
    if (views_[i].key.text() == text) return i;
  }
  if (options_.read_only) {
    return failed_precondition(doing("read-only") + " has no view " + text);
  }
  const std::string name = std::string(kViewPrefix) + text;
  Handle* handle = nullptr;
  const auto made = db_->CreateColumnFamily(
      family_options(name, options_, cache_), name, &handle);
  if (!made.ok()) return to_error(made, doing("add view " + text + " to"));
  views_.push_back(View{key, handle});
  return views_.size() - 1;
}

Database::View Database::view(std::size_t position) const {
  const MutexLock lock(views_mutex_);
  SHOAL_CHECK(position < views_.size(), "a view slot of another store");
  return views_[position];
}

std::vector<Database::View> Database::views() const {
  const MutexLock lock(views_mutex_);
  return views_;
}

Result<std::optional<std::string>> Database::get(Handle* family,
                                                 std::string_view key) const {
  std::string value;
  const auto status =
      db_->Get(rocksdb::ReadOptions(), family, slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return to_error(status, doing("read"));
  return std::optional<std::string>(std::move(value));
}

Result<void> Database::multi_get(
    Handle* family, std::size_t count,
    const std::function<std::string(std::size_t)>& key_at,
    const std::function<Result<void>(std::size_t, std::string_view)>& found)
    const {
  rocksdb::ReadOptions options;
  // Bulk reads are for runs over everything: they would push out what queries
  // need.
  options.fill_cache = count <= kMultiGetChunk;
  std::vector<std::string> keys;
  std::vector<rocksdb::Slice> slices;
  // In chunks because values found stay pinned in the cache until then.
  for (std::size_t first = 0; first < count; first += kMultiGetChunk) {
    const std::size_t n = std::min(kMultiGetChunk, count - first);
    keys.clear();
    slices.clear();
    for (std::size_t i = 0; i < n; ++i) keys.push_back(key_at(first + i));
    for (const auto& key : keys) slices.emplace_back(key);
    std::vector<rocksdb::PinnableSlice> values(n);
    std::vector<rocksdb::Status> statuses(n);
    db_->MultiGet(options, family, n, slices.data(), values.data(),
                  statuses.data());
    for (std::size_t i = 0; i < n; ++i) {
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return to_error(statuses[i], doing("read"));
      SHOAL_TRY(found(first + i, {values[i].data(), values[i].size()}));
    }
  }
  return ok();
}

Result<void> Database::scan(
    Handle* family, const std::string& first, const std::string& end,
    Direction direction,
    const std::function<Result<bool>(std::string_view, std::string_view)>&
        visit) const {
  const rocksdb::Slice lower(first);
  const rocksdb::Slice upper(end);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &lower;
  if (!end.empty()) options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> it(
      db_->NewIterator(options, family));
  const bool forward = direction == Direction::kForward;
  forward ? it->SeekToFirst() : it->SeekToLast();
  while (it->Valid()) {
    SHOAL_TRY(go_on, visit({it->key().data(), it->key().size()},
                           {it->value().data(), it->value().size()}));
    if (!go_on) return ok();
    forward ? it->Next() : it->Prev();
  }
  if (!it->status().ok()) return to_error(it->status(), doing("read"));
  return ok();
}

Result<void> Database::write(rocksdb::WriteBatch& batch,
                             Durability durability) {
  if (options_.read_only) {
    return failed_precondition(doing("write to") + ": opened read-only");
  }
  rocksdb::WriteOptions options;
  options.sync = durability == Durability::kSynced;
  // After a full disk RocksDB refuses all writes, looks for free space every
  // five seconds, and goes on by itself once there is some. (DB::Resume()
  // answers "busy" while it does.)
  const auto status = db_->Write(options, &batch);
  if (!status.ok()) return to_error(status, doing("write to"));
  return ok();
}

Result<void> Database::sync() {
  // By way of a write, because that is refused after an error, where
  // DB::SyncWAL() would go on with the failed file.
  rocksdb::WriteBatch nothing;
  nothing.PutLogData("").PermitUncheckedError();
  return write(nothing, Durability::kSynced);
}

Result<void> Database::checkpoint(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder, error)) {
    return already_exists("checkpoint: " + folder.string() + " exists");
  }
  rocksdb::Checkpoint* made = nullptr;
  auto status = rocksdb::Checkpoint::Create(db_.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(folder.string());
  if (!status.ok()) {
    return to_error(status, doing("checkpoint to " + folder.string() + " of"));
  }
  return ok();
}

std::map<std::string, double> Database::statistics() const {
  std::map<std::string, double> values;
  values["cache_capacity_bytes"] = static_cast<double>(cache_->GetCapacity());
  values["cache_used_bytes"] = static_cast<double>(cache_->GetUsage());
  values["cache_pinned_bytes"] = static_cast<double>(cache_->GetPinnedUsage());
  struct Property {
    const char* name;
    const char* property;
    bool per_family;
  };
  static constexpr std::array<Property, 9> kProperties = {{
      {"memtable_bytes", "rocksdb.size-all-mem-tables", true},
      {"table_reader_bytes", "rocksdb.estimate-table-readers-mem", true},
      {"table_file_bytes", "rocksdb.total-sst-files-size", true},
      {"blob_file_bytes", "rocksdb.total-blob-file-size", true},
      {"pending_compaction_bytes", "rocksdb.estimate-pending-compaction-bytes",
       true},
      {"running_flushes", "rocksdb.num-running-flushes", false},
      {"running_compactions", "rocksdb.num-running-compactions", false},
      {"background_errors", "rocksdb.background-errors", false},
      {"write_stopped", "rocksdb.is-write-stopped", false},
  }};
  for (const Property& known : kProperties) {
    std::uint64_t value = 0;
    const bool read =
        known.per_family ? db_->GetAggregatedIntProperty(known.property, &value)
                         : db_->GetIntProperty(known.property, &value);
    if (read) values[known.name] = static_cast<double>(value);
  }
  return values;
}

}  // namespace shoal::internal
