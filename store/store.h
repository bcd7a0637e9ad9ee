#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/matrix.h"
#include "common/result.h"
#include "store/records.h"

namespace shoal {

/// A registered view version: the key under which features are kept.
using ViewSlot = NumericId<struct ViewSlotTag>;

/// Changes that take effect together or not at all. Built by one thread, then
/// given to Store::commit. Later operations of a batch win over earlier ones
/// on the same key.
class StoreBatch {
 public:
  virtual ~StoreBatch() = default;

  /// `features`: (d) of the view, any finite float; kept as fp16 (values
  /// beyond fp16's range are clamped).
  virtual void put_features(ViewSlot view, ImageSeq seq,
                            const Eigen::Ref<const Vector>& features) = 0;
  /// `embedding`: (embedding_dim) of the epoch's record; kept as fp16 too.
  virtual void put_embedding(EpochId epoch, ImageSeq seq,
                             const Eigen::Ref<const Vector>& embedding) = 0;
  virtual void remove_embedding(EpochId epoch, ImageSeq seq) = 0;

  /// Sets the image's label in `epoch` and moves it in the members index.
  /// `before` must be the label that the store holds now.
  virtual void put_label(EpochId epoch, ImageSeq seq,
                         const std::optional<Label>& before,
                         const Label& after) = 0;
  virtual void remove_label(EpochId epoch, ImageSeq seq,
                            const Label& before) = 0;
  virtual void add_history(ImageSeq seq, const HistoryRecord& record) = 0;
  /// Takes the image's pending mark away: its processing has come to an end.
  virtual void remove_pending(ImageSeq seq) = 0;
  /// Replaces the record (same seq and id).
  virtual void put_image(const ImageRecord& record) = 0;
  /// Removes the record, the id, the bytes, the pending mark, the features of
  /// every view, the history, the fixed label and the rejections. Labels and
  /// embeddings are removed epoch by epoch by the caller.
  virtual void remove_image(const ImageRecord& record) = 0;

  virtual void put_cluster(EpochId epoch, const ClusterRecord& record) = 0;
  virtual void remove_cluster(EpochId epoch, ClusterId cluster) = 0;
  virtual void put_cluster_name(ClusterId cluster, std::string_view name) = 0;

  virtual void put_epoch(const EpochRecord& record) = 0;
  virtual void put_epoch_model(EpochId epoch, std::string_view model) = 0;
  /// The pointer: which epoch answers queries.
  virtual void set_current_epoch(EpochId epoch) = 0;
  /// Removes labels, members, embeddings, clusters and model of `epoch`; the
  /// record stays.
  virtual void drop_epoch_data(EpochId epoch) = 0;

  virtual void add_lineage(const LineageRecord& record) = 0;
  virtual void put_correction(const CorrectionRecord& record) = 0;
  virtual void put_fixed(ImageSeq seq, const FixedLabel& fixed) = 0;
  virtual void remove_fixed(ImageSeq seq) = 0;
  /// A person said: not in this cluster.
  virtual void put_must_not(ImageSeq seq, ClusterId cluster) = 0;
  virtual void remove_must_not(ImageSeq seq, ClusterId cluster) = 0;

  virtual void put_label_totals(const LabelTotals& totals) = 0;
};

enum class Durability {
  /// In the write-ahead log, not yet forced to disk: lost only if the machine
  /// (not the process) dies. For changes that pending marks bring back.
  kBuffered,
  /// Forced to disk before commit returns.
  kSynced,
};

/// What became of one image of Store::put_images.
struct PutOutcome {
  enum class Kind {
    kStored,
    kDuplicate,  ///< same id, same bytes: `seq` is the one stored before
    kConflict,   ///< same id, other bytes: nothing was changed
  };
  Kind kind = Kind::kStored;
  ImageSeq seq;
};

/// Everything durable. Calls are keyed and batched and none walks over all
/// data, so that a networked key-value store can stand in.
///
/// All reads see committed state. A list call's "after" bound is exclusive
/// and its result ascending, so a loop with the last element as the next
/// bound pages through everything; limits are at most kMaxListLimit
/// (kInvalidArgument above it).
///
/// Errors of every call: kIo for the disk; kStorageFull when it is full
/// (changes go through again within seconds of freeing space); kCorruption
/// when bytes do not decode. Of every change to a read-only store:
/// kFailedPrecondition.
/// Thread-safe; put_images and each totals record have one calling thread.
class Store {
 public:
  static constexpr std::size_t kMaxListLimit = 65'536;

  virtual ~Store() = default;

  // ---- images
  /// Stores the images with pending marks in one synced batch, in order.
  /// Duplicates, also within `images`, are told and not stored again.
  /// Thread: one.
  virtual Result<std::vector<PutOutcome>> put_images(
      const std::vector<NewImage>& images) = 0;
  [[nodiscard]] virtual Result<std::optional<ImageSeq>> find(
      const ImageId& id) const = 0;
  /// Per seq the record, or nothing where there is none.
  [[nodiscard]] virtual Result<std::vector<std::optional<ImageRecord>>> images(
      const std::vector<ImageSeq>& seqs) const = 0;
  /// Errors: kNotFound.
  [[nodiscard]] virtual Result<std::string> image_bytes(ImageSeq seq) const = 0;
  [[nodiscard]] virtual Result<std::vector<ImageSeq>> pending(
      ImageSeq after, std::size_t limit) const = 0;
  /// As pending, of the images up to and with `up_to`. Marks that were taken
  /// away beyond it cost nothing.
  [[nodiscard]] virtual Result<std::vector<ImageSeq>> pending_up_to(
      ImageSeq after, ImageSeq up_to, std::size_t limit) const = 0;
  /// Seqs of the images that exist.
  [[nodiscard]] virtual Result<std::vector<ImageSeq>> arrivals(
      ImageSeq after, std::size_t limit) const = 0;

  // ---- views and features
  /// Registers a view version, or finds it. Thread-safe.
  /// Errors: kInvalidArgument when a part of the key is empty or has other
  /// characters than [a-z0-9_.-]; kFailedPrecondition when it would have to
  /// be registered in a read-only store.
  virtual Result<ViewSlot> open_view(const ViewKey& key) = 0;
  /// Every version that has been registered.
  [[nodiscard]] virtual std::vector<ViewKey> views() const = 0;
  /// Row i is the features of seqs[i]; a row of NaN where there are none.
  [[nodiscard]] virtual Result<Matrix> features(
      ViewSlot view, const std::vector<ImageSeq>& seqs) const = 0;

  // ---- epochs
  [[nodiscard]] virtual Result<EpochId> current_epoch() const = 0;
  [[nodiscard]] virtual Result<std::vector<EpochRecord>> epochs() const = 0;
  /// Errors: kNotFound.
  [[nodiscard]] virtual Result<EpochRecord> epoch(EpochId epoch) const = 0;
  /// Errors: kNotFound.
  [[nodiscard]] virtual Result<std::string> epoch_model(
      EpochId epoch) const = 0;
  /// All clusters of an epoch, the pool (id 0) included when it has a record.
  [[nodiscard]] virtual Result<std::vector<ClusterRecord>> clusters(
      EpochId epoch) const = 0;
  [[nodiscard]] virtual Result<std::vector<std::optional<Label>>> labels(
      EpochId epoch, const std::vector<ImageSeq>& seqs) const = 0;
  [[nodiscard]] virtual Result<std::vector<Member>> members(
      EpochId epoch, ClusterId cluster, ImageSeq after,
      std::size_t limit) const = 0;
  /// Row i is the embedding of seqs[i]; a row of NaN where there is none. As
  /// wide as the epoch's record says. Errors: kNotFound without a record.
  [[nodiscard]] virtual Result<Matrix> embeddings(
      EpochId epoch, const std::vector<ImageSeq>& seqs) const = 0;

  // ---- people
  [[nodiscard]] virtual Result<std::map<ClusterId, std::string>> cluster_names()
      const = 0;
  /// The last `limit` changes of the image's label, the oldest of them first.
  [[nodiscard]] virtual Result<std::vector<HistoryRecord>> history(
      ImageSeq seq, std::size_t limit) const = 0;
  /// Lineage records with a seq above `after`.
  [[nodiscard]] virtual Result<std::vector<LineageRecord>> lineage(
      std::uint64_t after, std::size_t limit) const = 0;
  [[nodiscard]] virtual Result<std::vector<CorrectionRecord>> corrections(
      CorrectionSeq after, std::size_t limit) const = 0;
  [[nodiscard]] virtual Result<std::vector<std::optional<FixedLabel>>> fixed(
      const std::vector<ImageSeq>& seqs) const = 0;
  /// Images with a fixed label, by seq.
  [[nodiscard]] virtual Result<std::vector<std::pair<ImageSeq, FixedLabel>>>
  fixed_after(ImageSeq after, std::size_t limit) const = 0;
  [[nodiscard]] virtual Result<std::vector<std::vector<ClusterId>>> must_not(
      const std::vector<ImageSeq>& seqs) const = 0;

  // ---- rejected input
  /// Appends to a ring of the last kRejectedKept; not synced. Thread-safe.
  static constexpr std::uint64_t kRejectedKept = 1'000;
  virtual Result<void> add_rejected(const RejectedRecord& record) = 0;
  /// The newest first.
  [[nodiscard]] virtual Result<std::vector<RejectedRecord>> rejected(
      std::size_t limit) const = 0;
  /// How many there ever were.
  [[nodiscard]] virtual std::uint64_t rejected_total() const = 0;

  // ---- totals
  [[nodiscard]] virtual Result<IngestTotals> ingest_totals() const = 0;
  [[nodiscard]] virtual Result<LabelTotals> label_totals() const = 0;

  // ---- changes
  [[nodiscard]] virtual std::unique_ptr<StoreBatch> new_batch() const = 0;
  /// An empty batch with kSynced forces to disk all that was committed before.
  virtual Result<void> commit(std::unique_ptr<StoreBatch> batch,
                              Durability durability) = 0;

  // ---- upkeep
  /// A consistent copy in `folder` (which must not exist), made online; hard
  /// links where the file system allows.
  virtual Result<void> checkpoint(const std::filesystem::path& folder) = 0;
  /// Engine counters for metrics: name -> value (bytes, counts).
  [[nodiscard]] virtual std::map<std::string, double> statistics() const = 0;
};

struct StoreOptions {
  std::filesystem::path folder;
  /// One cache for blocks and blobs of all column families, memtables charged
  /// to it: the store's memory bound.
  std::uint64_t cache_bytes = 256ULL << 20;
  /// Part of `cache_bytes` that memtables may take.
  std::uint64_t write_buffer_bytes = 64ULL << 20;
  bool read_only = false;  ///< for a checkpoint that nobody writes to
};

/// Opens the RocksDB store in `options.folder`, making it when absent.
/// Errors: kFailedPrecondition when another process has it open or its schema
/// is newer than this program; kPermissionDenied or kIo for the folder;
/// kCorruption for damaged or missing files; kNotFound when a read-only one is
/// absent.
Result<std::unique_ptr<Store>> open_rocksdb_store(const StoreOptions& options);

}  // namespace shoal
