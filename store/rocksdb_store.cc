#include <algorithm>
#include <atomic>
#include <limits>
#include <unordered_map>

#include <rocksdb/write_batch.h>

#include "common/check.h"
#include "common/mutex.h"
#include "store/internal/codec.h"
#include "store/internal/database.h"
#include "store/internal/keys.h"
#include "store/store.h"

namespace shoal {
namespace {

using internal::Database;
using internal::decode_halves;
using internal::encode;
using internal::encode_halves;
using internal::encode_number;
using internal::Family;
using internal::make_key;
using internal::split_key;
using internal::successor;
using Direction = internal::Database::Direction;

/// Numbers that batches take for the logs they append to. Thread-safe.
struct LogNumbers {
  std::atomic<std::uint64_t> next_history{0};
  std::atomic<std::uint64_t> next_lineage{1};
};

/// Slots are positions in the database's list of views, from 1.
std::size_t position_of(ViewSlot slot) {
  SHOAL_CHECK(slot.valid(), "an empty view slot");
  return static_cast<std::size_t>(slot.value() - 1);
}

class RocksBatch final : public StoreBatch {
 public:
  /// @param reserved_bytes  room made beforehand, so that bulk data is not
  ///   copied again and again while the batch grows
  RocksBatch(const Database& database, LogNumbers& numbers,
             std::size_t reserved_bytes = 0)
      : database_(database), numbers_(numbers), batch_(reserved_bytes) {}

  void put_features(ViewSlot view, ImageSeq seq,
                    const Eigen::Ref<const Vector>& features) override {
    const auto slot = database_.view(position_of(view));
    SHOAL_CHECK(features.size() == static_cast<Eigen::Index>(slot.key.dim),
                "features are not of the view's dimension");
    put(slot.handle, make_key(seq), encode_halves(features));
  }
  void put_embedding(EpochId epoch, ImageSeq seq,
                     const Eigen::Ref<const Vector>& embedding) override {
    put(Family::kEmbeddings, make_key(epoch, seq), encode_halves(embedding));
  }
  void remove_embedding(EpochId epoch, ImageSeq seq) override {
    remove(Family::kEmbeddings, make_key(epoch, seq));
  }

  void put_label(EpochId epoch, ImageSeq seq,
                 const std::optional<Label>& before,
                 const Label& after) override {
    if (before.has_value() && before->cluster != after.cluster) {
      remove(Family::kMembers, make_key(epoch, before->cluster, seq));
    }
    put(Family::kLabels, make_key(epoch, seq), encode(after));
    put(Family::kMembers, make_key(epoch, after.cluster, seq),
        encode(Member{seq, after.state, after.confidence}));
  }
  void remove_label(EpochId epoch, ImageSeq seq, const Label& before) override {
    remove(Family::kLabels, make_key(epoch, seq));
    remove(Family::kMembers, make_key(epoch, before.cluster, seq));
  }
  void add_history(ImageSeq seq, const HistoryRecord& record) override {
    put(Family::kHistory, make_key(seq, numbers_.next_history++),
        encode(record));
  }
  void remove_pending(ImageSeq seq) override {
    remove(Family::kPending, make_key(seq));
  }
  void put_image(const ImageRecord& record) override {
    put(Family::kImages, make_key(record.seq), encode(record));
  }
  void remove_image(const ImageRecord& record) override {
    const std::string key = make_key(record.seq);
    remove(Family::kIds, record.id.str());
    for (const Family family :
         {Family::kImages, Family::kArrivals, Family::kBytes, Family::kPending,
          Family::kFixed}) {
      remove(family, key);
    }
    for (const auto& view : database_.views()) {
      check(batch_.Delete(view.handle, key));
    }
    const std::string end = make_key(record.seq.value() + 1);
    remove_range(Family::kHistory, key, end);
    remove_range(Family::kMustNot, key, end);
  }

  void put_cluster(EpochId epoch, const ClusterRecord& record) override {
    put(Family::kClusters, make_key(epoch, record.id), encode(record));
  }
  void remove_cluster(EpochId epoch, ClusterId cluster) override {
    remove(Family::kClusters, make_key(epoch, cluster));
  }
  void put_cluster_name(ClusterId cluster, std::string_view name) override {
    put(Family::kNames, make_key(cluster), name);
  }

  void put_epoch(const EpochRecord& record) override {
    put(Family::kEpochs, make_key(record.id), encode(record));
  }
  void put_epoch_model(EpochId epoch, std::string_view model) override {
    put(Family::kModels, make_key(epoch), model);
  }
  void set_current_epoch(EpochId epoch) override {
    put(Family::kMeta, std::string(internal::kCurrentEpochKey),
        encode_number(epoch.value()));
  }
  void drop_epoch_data(EpochId epoch) override {
    const std::string begin = make_key(epoch);
    const std::string end = make_key(epoch.value() + 1);
    for (const Family family : internal::kEpochFamilies) {
      remove_range(family, begin, end);
    }
  }

  void add_lineage(const LineageRecord& record) override {
    put(Family::kLineage, make_key(numbers_.next_lineage++), encode(record));
  }
  void put_correction(const CorrectionRecord& record) override {
    put(Family::kCorrections, make_key(record.seq), encode(record));
  }
  void put_fixed(ImageSeq seq, const FixedLabel& fixed) override {
    put(Family::kFixed, make_key(seq), encode(fixed));
  }
  void remove_fixed(ImageSeq seq) override {
    remove(Family::kFixed, make_key(seq));
  }
  void put_must_not(ImageSeq seq, ClusterId cluster) override {
    put(Family::kMustNot, make_key(seq, cluster), "");
  }
  void remove_must_not(ImageSeq seq, ClusterId cluster) override {
    remove(Family::kMustNot, make_key(seq, cluster));
  }

  void put_label_totals(const LabelTotals& totals) override {
    put(Family::kMeta, std::string(internal::kLabelTotalsKey), encode(totals));
  }

  // ---- what only the store itself puts
  void put(Family family, const std::string& key, std::string_view value) {
    put(database_.family(family), key, value);
  }
  void remove(Family family, const std::string& key) {
    check(batch_.Delete(database_.family(family), key));
  }
  [[nodiscard]] rocksdb::WriteBatch& raw() { return batch_; }
  [[nodiscard]] const Database& database() const { return database_; }

 private:
  void put(Database::Handle* family, const std::string& key,
           std::string_view value) {
    check(batch_.Put(family, key, rocksdb::Slice(value.data(), value.size())));
  }
  void remove_range(Family family, const std::string& begin,
                    const std::string& end) {
    check(batch_.DeleteRange(database_.family(family), begin, end));
  }
  static void check(const rocksdb::Status& status) {
    SHOAL_CHECK(status.ok(), "a batch without a size limit takes everything");
  }

  const Database& database_;
  LogNumbers& numbers_;
  rocksdb::WriteBatch batch_;
};

Result<void> check_limit(std::size_t limit) {
  if (limit <= Store::kMaxListLimit) return ok();
  return invalid_argument("a list limit of " + std::to_string(limit) +
                          " is above " + std::to_string(Store::kMaxListLimit));
}

class RocksStore final : public Store {
 public:
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options) {
    SHOAL_TRY(database, Database::open(options));
    std::unique_ptr<RocksStore> store(new RocksStore(std::move(database)));
    if (auto read = store->read_numbers(); !read) {
      return read.error().within("open store " + options.folder.string());
    }
    return std::unique_ptr<Store>(std::move(store));
  }

  // ---- images
  Result<std::vector<PutOutcome>> put_images(
      const std::vector<NewImage>& images) override {
    SHOAL_TRY(outcomes, find_known(images));
    std::size_t expected_bytes = 0;
    for (const NewImage& image : images) {
      expected_bytes += image.bytes.size() + kRecordBytes;
    }
    RocksBatch batch(*database_, numbers_, expected_bytes);
    IngestTotals totals = ingest_totals_;
    struct InGroup {
      ImageSeq seq;
      const Sha256Digest* digest;
    };
    std::unordered_map<ImageId, InGroup> in_group;
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (outcomes[i].seq.valid()) continue;
      const NewImage& image = images[i];
      const ImageSeq next(totals.last_seq.value() + 1);
      const auto [same_id, is_new] =
          in_group.try_emplace(image.id, InGroup{next, &image.digest});
      outcomes[i].seq = same_id->second.seq;
      if (!is_new) {
        outcomes[i].kind = *same_id->second.digest == image.digest
                               ? PutOutcome::Kind::kDuplicate
                               : PutOutcome::Kind::kConflict;
        continue;
      }
      totals.last_seq = next;
      ++totals.stored;
      put_new(batch, next, image);
    }
    if (in_group.empty()) return outcomes;
    batch.put(Family::kMeta, std::string(internal::kIngestTotalsKey),
              encode(totals));
    SHOAL_TRY(database_->write(batch.raw(), Durability::kSynced));
    ingest_totals_ = totals;
    return outcomes;
  }

  Result<std::optional<ImageSeq>> find(const ImageId& id) const override {
    SHOAL_TRY(value, get(Family::kIds, id.str()));
    if (!value.has_value()) return std::optional<ImageSeq>();
    SHOAL_TRY(seq, internal::decode_number(*value));
    return std::optional<ImageSeq>(ImageSeq(seq));
  }

  Result<std::vector<std::optional<ImageRecord>>> images(
      const std::vector<ImageSeq>& seqs) const override {
    return look_up<ImageRecord>(Family::kImages, seqs, internal::decode_image);
  }

  Result<std::string> image_bytes(ImageSeq seq) const override {
    SHOAL_TRY(value, get(Family::kBytes, make_key(seq)));
    if (!value.has_value()) {
      return not_found("no bytes of image " + std::to_string(seq.value()));
    }
    return *std::move(value);
  }

  Result<std::vector<ImageSeq>> pending(ImageSeq after,
                                        std::size_t limit) const override {
    return seqs_after(Family::kPending, after, limit);
  }
  Result<std::vector<ImageSeq>> pending_up_to(
      ImageSeq after, ImageSeq up_to, std::size_t limit) const override {
    if (!(after < up_to)) return std::vector<ImageSeq>();
    return seqs_after(Family::kPending, after, limit,
                      successor(make_key(up_to)));
  }
  Result<std::vector<ImageSeq>> arrivals(ImageSeq after,
                                         std::size_t limit) const override {
    return seqs_after(Family::kArrivals, after, limit);
  }

  // ---- views and features
  Result<ViewSlot> open_view(const ViewKey& key) override {
    SHOAL_TRY(position, database_->open_view(key));
    return ViewSlot(position + 1);
  }
  [[nodiscard]] std::vector<ViewKey> views() const override {
    std::vector<ViewKey> keys;
    for (auto& view : database_->views()) keys.push_back(std::move(view.key));
    return keys;
  }
  Result<Matrix> features(ViewSlot view,
                          const std::vector<ImageSeq>& seqs) const override {
    const auto slot = database_->view(position_of(view));
    return vectors(slot.handle, slot.key.dim, seqs.size(),
                   [&](std::size_t i) { return make_key(seqs[i]); });
  }

  // ---- epochs
  [[nodiscard]] Result<EpochId> current_epoch() const override {
    SHOAL_TRY(value, get(Family::kMeta, internal::kCurrentEpochKey));
    if (!value.has_value()) return EpochId();
    SHOAL_TRY(number, internal::decode_number(*value));
    return EpochId(number);
  }
  Result<std::vector<EpochRecord>> epochs() const override {
    std::vector<EpochRecord> records;
    SHOAL_TRY(list<1>(Family::kEpochs, "", "", kNoLimit,
                      [&](const auto& key, auto value) -> Result<void> {
                        SHOAL_TRY(record, internal::decode_epoch(
                                              EpochId(key[0]), value));
                        records.push_back(std::move(record));
                        return ok();
                      }));
    return records;
  }
  Result<EpochRecord> epoch(EpochId epoch) const override {
    SHOAL_TRY(value, get(Family::kEpochs, make_key(epoch)));
    if (!value.has_value()) {
      return not_found("no epoch " + std::to_string(epoch.value()));
    }
    return internal::decode_epoch(epoch, *value);
  }
  Result<std::string> epoch_model(EpochId epoch) const override {
    SHOAL_TRY(value, get(Family::kModels, make_key(epoch)));
    if (!value.has_value()) {
      return not_found("no model of epoch " + std::to_string(epoch.value()));
    }
    return *std::move(value);
  }
  Result<std::vector<ClusterRecord>> clusters(EpochId epoch) const override {
    std::vector<ClusterRecord> records;
    SHOAL_TRY(list<2>(
        Family::kClusters, make_key(epoch), make_key(epoch.value() + 1),
        kNoLimit, [&](const auto& key, auto value) -> Result<void> {
          SHOAL_TRY(record, internal::decode_cluster(ClusterId(key[1]), value));
          records.push_back(std::move(record));
          return ok();
        }));
    return records;
  }
  Result<std::vector<std::optional<Label>>> labels(
      EpochId epoch, const std::vector<ImageSeq>& seqs) const override {
    std::vector<std::optional<Label>> labels(seqs.size());
    SHOAL_TRY(database_->multi_get(
        database_->family(Family::kLabels), seqs.size(),
        [&](std::size_t i) { return make_key(epoch, seqs[i]); },
        [&](std::size_t i, std::string_view value) -> Result<void> {
          SHOAL_TRY(label, internal::decode_label(value));
          labels[i] = label;
          return ok();
        }));
    return labels;
  }
  Result<std::vector<Member>> members(EpochId epoch, ClusterId cluster,
                                      ImageSeq after,
                                      std::size_t limit) const override {
    SHOAL_TRY(check_limit(limit));
    std::vector<Member> members;
    SHOAL_TRY(list<3>(
        Family::kMembers, successor(make_key(epoch, cluster, after)),
        make_key(epoch, cluster.value() + 1), limit,
        [&](const auto& key, auto value) -> Result<void> {
          SHOAL_TRY(member, internal::decode_member(ImageSeq(key[2]), value));
          members.push_back(member);
          return ok();
        }));
    return members;
  }
  Result<Matrix> embeddings(EpochId epoch,
                            const std::vector<ImageSeq>& seqs) const override {
    SHOAL_TRY(record, this->epoch(epoch));
    return vectors(database_->family(Family::kEmbeddings), record.embedding_dim,
                   seqs.size(),
                   [&](std::size_t i) { return make_key(epoch, seqs[i]); });
  }

  // ---- people
  Result<std::map<ClusterId, std::string>> cluster_names() const override {
    std::map<ClusterId, std::string> names;
    SHOAL_TRY(list<1>(Family::kNames, "", "", kNoLimit,
                      [&](const auto& key, auto value) -> Result<void> {
                        names[ClusterId(key[0])] = std::string(value);
                        return ok();
                      }));
    return names;
  }
  Result<std::vector<HistoryRecord>> history(ImageSeq seq,
                                             std::size_t limit) const override {
    SHOAL_TRY(check_limit(limit));
    std::vector<HistoryRecord> records;
    if (limit == 0) return records;
    SHOAL_TRY(database_->scan(
        database_->family(Family::kHistory), make_key(seq),
        make_key(seq.value() + 1), Direction::kBackward,
        [&](std::string_view, std::string_view value) -> Result<bool> {
          SHOAL_TRY(record, internal::decode_history(value));
          records.push_back(std::move(record));
          return records.size() < limit;
        }));
    std::reverse(records.begin(), records.end());
    return records;
  }
  Result<std::vector<LineageRecord>> lineage(std::uint64_t after,
                                             std::size_t limit) const override {
    SHOAL_TRY(check_limit(limit));
    std::vector<LineageRecord> records;
    SHOAL_TRY(list<1>(Family::kLineage, successor(make_key(after)), "", limit,
                      [&](const auto& key, auto value) -> Result<void> {
                        SHOAL_TRY(record,
                                  internal::decode_lineage(key[0], value));
                        records.push_back(std::move(record));
                        return ok();
                      }));
    return records;
  }
  Result<std::vector<CorrectionRecord>> corrections(
      CorrectionSeq after, std::size_t limit) const override {
    SHOAL_TRY(check_limit(limit));
    std::vector<CorrectionRecord> records;
    SHOAL_TRY(list<1>(Family::kCorrections, successor(make_key(after)), "",
                      limit, [&](const auto& key, auto value) -> Result<void> {
                        SHOAL_TRY(record, internal::decode_correction(
                                              CorrectionSeq(key[0]), value));
                        records.push_back(std::move(record));
                        return ok();
                      }));
    return records;
  }
  Result<std::vector<std::optional<FixedLabel>>> fixed(
      const std::vector<ImageSeq>& seqs) const override {
    return look_up<FixedLabel>(Family::kFixed, seqs,
                               [](ImageSeq, std::string_view value) {
                                 return internal::decode_fixed(value);
                               });
  }
  Result<std::vector<std::pair<ImageSeq, FixedLabel>>> fixed_after(
      ImageSeq after, std::size_t limit) const override {
    SHOAL_TRY(check_limit(limit));
    std::vector<std::pair<ImageSeq, FixedLabel>> found;
    SHOAL_TRY(list<1>(Family::kFixed, successor(make_key(after)), "", limit,
                      [&](const auto& key, auto value) -> Result<void> {
                        SHOAL_TRY(fixed, internal::decode_fixed(value));
                        found.emplace_back(ImageSeq(key[0]), fixed);
                        return ok();
                      }));
    return found;
  }
  Result<std::vector<std::vector<ClusterId>>> must_not(
      const std::vector<ImageSeq>& seqs) const override {
    std::vector<std::vector<ClusterId>> clusters(seqs.size());
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      SHOAL_TRY(list<2>(Family::kMustNot, make_key(seqs[i]),
                        make_key(seqs[i].value() + 1), kNoLimit,
                        [&](const auto& key, auto) -> Result<void> {
                          clusters[i].emplace_back(key[1]);
                          return ok();
                        }));
    }
    return clusters;
  }

  // ---- rejected input
  Result<void> add_rejected(const RejectedRecord& record) override {
    const MutexLock lock(rejected_mutex_);
    const std::uint64_t number = rejected_total_ + 1;
    RocksBatch batch(*database_, numbers_);
    batch.put(Family::kRejected, make_key(number), encode(record));
    if (number > kRejectedKept) {
      batch.remove(Family::kRejected, make_key(number - kRejectedKept));
    }
    SHOAL_TRY(database_->write(batch.raw(), Durability::kBuffered));
    rejected_total_ = number;
    return ok();
  }
  Result<std::vector<RejectedRecord>> rejected(
      std::size_t limit) const override {
    SHOAL_TRY(check_limit(limit));
    const std::uint64_t total = rejected_total();
    const auto count = static_cast<std::size_t>(
        std::min({std::uint64_t{limit}, total, kRejectedKept}));
    std::vector<RejectedRecord> records;
    SHOAL_TRY(database_->multi_get(
        database_->family(Family::kRejected), count,
        [&](std::size_t i) { return make_key(total - i); },
        [&](std::size_t i, std::string_view value) -> Result<void> {
          SHOAL_TRY(record, internal::decode_rejected(total - i, value));
          records.push_back(std::move(record));
          return ok();
        }));
    return records;
  }
  [[nodiscard]] std::uint64_t rejected_total() const override {
    const MutexLock lock(rejected_mutex_);
    return rejected_total_;
  }

  // ---- totals
  Result<IngestTotals> ingest_totals() const override {
    SHOAL_TRY(value, get(Family::kMeta, internal::kIngestTotalsKey));
    if (!value.has_value()) return IngestTotals();
    return internal::decode_ingest_totals(*value);
  }
  Result<LabelTotals> label_totals() const override {
    SHOAL_TRY(value, get(Family::kMeta, internal::kLabelTotalsKey));
    if (!value.has_value()) return LabelTotals();
    return internal::decode_label_totals(*value);
  }

  // ---- changes
  [[nodiscard]] std::unique_ptr<StoreBatch> new_batch() const override {
    return std::make_unique<RocksBatch>(*database_, numbers_);
  }
  Result<void> commit(std::unique_ptr<StoreBatch> batch,
                      Durability durability) override {
    auto* const own = dynamic_cast<RocksBatch*>(batch.get());
    SHOAL_CHECK(own != nullptr && &own->database() == database_.get(),
                "a batch of another store");
    if (own->raw().Count() > 0) {
      return database_->write(own->raw(), durability);
    }
    if (durability == Durability::kBuffered) return ok();
    return database_->sync();
  }

  // ---- upkeep
  Result<void> checkpoint(const std::filesystem::path& folder) override {
    return database_->checkpoint(folder);
  }
  [[nodiscard]] std::map<std::string, double> statistics() const override {
    return database_->statistics();
  }

 private:
  static constexpr std::size_t kNoLimit =
      std::numeric_limits<std::size_t>::max();
  /// History keys end with the number of the opening and, in the low bits, a
  /// count within it: rising for ever without a look at what is there.
  static constexpr unsigned kHistoryCountBits = 40;
  /// About what an image takes in a batch beside its bytes.
  static constexpr std::size_t kRecordBytes = 512;

  explicit RocksStore(std::unique_ptr<Database> database)
      : database_(std::move(database)) {}

  Result<void> read_numbers() {
    SHOAL_TRY(totals, ingest_totals());
    ingest_totals_ = totals;
    SHOAL_TRY(last_rejected, last_number(Family::kRejected));
    {
      const MutexLock lock(rejected_mutex_);
      rejected_total_ = last_rejected;
    }
    SHOAL_TRY(last_lineage, last_number(Family::kLineage));
    numbers_.next_lineage = last_lineage + 1;
    if (database_->read_only()) return ok();
    SHOAL_TRY(recorded, get(Family::kMeta, internal::kOpensKey));
    std::uint64_t opens = 0;
    if (recorded.has_value()) {
      SHOAL_TRY(before, internal::decode_number(*recorded));
      opens = before;
    }
    ++opens;
    numbers_.next_history = opens << kHistoryCountBits;
    RocksBatch batch(*database_, numbers_);
    batch.put(Family::kMeta, std::string(internal::kOpensKey),
              encode_number(opens));
    return database_->write(batch.raw(), Durability::kSynced);
  }

  /// The highest key of a family numbered from 1, or 0.
  Result<std::uint64_t> last_number(Family family) const {
    std::uint64_t last = 0;
    SHOAL_TRY(database_->scan(
        database_->family(family), "", "", Direction::kBackward,
        [&](std::string_view key, std::string_view) -> Result<bool> {
          SHOAL_TRY(numbers, split_key<1>(key));
          last = numbers[0];
          return false;
        }));
    return last;
  }

  /// Outcomes of the images whose id is stored already; the others' seq is
  /// none.
  Result<std::vector<PutOutcome>> find_known(
      const std::vector<NewImage>& images) const {
    std::vector<PutOutcome> outcomes(images.size());
    std::vector<std::size_t> known;
    std::vector<ImageSeq> seqs;
    SHOAL_TRY(database_->multi_get(
        database_->family(Family::kIds), images.size(),
        [&](std::size_t i) { return images[i].id.str(); },
        [&](std::size_t i, std::string_view value) -> Result<void> {
          SHOAL_TRY(seq, internal::decode_number(value));
          known.push_back(i);
          seqs.emplace_back(seq);
          return ok();
        }));
    SHOAL_TRY(records, this->images(seqs));
    for (std::size_t k = 0; k < known.size(); ++k) {
      const NewImage& image = images[known[k]];
      if (!records[k].has_value()) {
        return corruption("image id " + image.id.str() +
                          " names an image that has no record");
      }
      outcomes[known[k]].seq = seqs[k];
      outcomes[known[k]].kind = records[k]->digest == image.digest
                                    ? PutOutcome::Kind::kDuplicate
                                    : PutOutcome::Kind::kConflict;
    }
    return outcomes;
  }

  static void put_new(RocksBatch& batch, ImageSeq seq, const NewImage& image) {
    SHOAL_CHECK(!image.id.str().empty(), "an image without an id");
    ImageRecord record;
    record.seq = seq;
    record.id = image.id;
    record.digest = image.digest;
    record.size_bytes = image.bytes.size();
    record.format = image.format;
    record.width = image.width;
    record.height = image.height;
    record.source = image.source;
    record.captured_at = image.captured_at;
    record.received_at = image.received_at;
    record.meta = image.meta;
    const std::string key = make_key(seq);
    batch.put_image(record);
    batch.put(Family::kIds, image.id.str(), encode_number(seq.value()));
    batch.put(Family::kArrivals, key, "");
    batch.put(Family::kPending, key, "");
    batch.put(Family::kBytes, key, image.bytes);
  }

  Result<std::optional<std::string>> get(Family family,
                                         std::string_view key) const {
    return database_->get(database_->family(family), key);
  }

  /// Visits up to `limit` entries of [first, end) with keys of N numbers.
  template <std::size_t N, typename Visit>
  Result<void> list(Family family, const std::string& first,
                    const std::string& end, std::size_t limit,
                    Visit&& visit) const {
    std::size_t left = limit;
    if (left == 0) return ok();
    return database_->scan(
        database_->family(family), first, end, Direction::kForward,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
          SHOAL_TRY(numbers, split_key<N>(key));
          SHOAL_TRY(visit(numbers, value));
          return --left > 0;
        });
  }

  /// @param end  key before which to stop; "": none
  Result<std::vector<ImageSeq>> seqs_after(Family family, ImageSeq after,
                                           std::size_t limit,
                                           const std::string& end = "") const {
    SHOAL_TRY(check_limit(limit));
    std::vector<ImageSeq> seqs;
    SHOAL_TRY(list<1>(family, successor(make_key(after)), end, limit,
                      [&](const auto& key, auto) -> Result<void> {
                        seqs.emplace_back(key[0]);
                        return ok();
                      }));
    return seqs;
  }

  /// Per seq the decoded value of a family keyed by seq, or nothing.
  template <typename T, typename Decode>
  Result<std::vector<std::optional<T>>> look_up(
      Family family, const std::vector<ImageSeq>& seqs,
      const Decode& decode) const {
    std::vector<std::optional<T>> values(seqs.size());
    SHOAL_TRY(database_->multi_get(
        database_->family(family), seqs.size(),
        [&](std::size_t i) { return make_key(seqs[i]); },
        [&](std::size_t i, std::string_view bytes) -> Result<void> {
          SHOAL_TRY(value, decode(seqs[i], bytes));
          values[i] = std::move(value);
          return ok();
        }));
    return values;
  }

  /// (count, dim) of fp16 vectors; rows of NaN where there are none.
  template <typename KeyAt>
  Result<Matrix> vectors(Database::Handle* family, std::uint32_t dim,
                         std::size_t count, const KeyAt& key_at) const {
    Matrix rows = Matrix::Constant(static_cast<Eigen::Index>(count),
                                   static_cast<Eigen::Index>(dim),
                                   std::numeric_limits<float>::quiet_NaN());
    SHOAL_TRY(database_->multi_get(
        family, count, key_at, [&](std::size_t i, std::string_view value) {
          return decode_halves(value, rows.row(static_cast<Eigen::Index>(i)));
        }));
    return rows;
  }

  const std::unique_ptr<Database> database_;
  mutable LogNumbers numbers_;
  IngestTotals ingest_totals_;  ///< of put_images' thread
  /// A mutex because input is refused on several threads.
  mutable Mutex rejected_mutex_;
  std::uint64_t rejected_total_ SHOAL_GUARDED_BY(rejected_mutex_) = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> open_rocksdb_store(const StoreOptions& options) {
  return RocksStore::open(options);
}

}  // namespace shoal
