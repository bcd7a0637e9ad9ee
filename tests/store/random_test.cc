#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "store/verify.h"
#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

/// What one image is in the model.
struct ModelImage {
  NewImage image;
  bool pending = true;
  std::string failure_code;
  std::optional<FixedLabel> fixed;
  std::set<ClusterId> must_not;
  std::vector<std::string> history;          ///< causes
  std::map<std::uint64_t, Vector> features;  ///< by slot
};

/// What one epoch with data is.
struct ModelEpoch {
  EpochRecord record;
  std::string model;
  std::map<ImageSeq, Label> labels;
  std::map<ImageSeq, Vector> embeddings;
  std::set<ClusterId> clusters;
};

constexpr std::uint32_t kDim = 6;

/// Does random changes to a store as a daemon would and to a model in memory,
/// and compares all reads.
class RandomOperations : public StoreFixture,
                         public ::testing::WithParamInterface<unsigned> {
 protected:
  RandomOperations() : random_(GetParam()) {
    epochs_[EpochId()].clusters.insert(ClusterId());
    reopen();
  }

  std::size_t below(std::size_t n) { return random_() % n; }
  bool chance(int percent) {
    return below(100) < static_cast<std::size_t>(percent);
  }
  Vector some_vector() {
    // Exact in fp16, so that it can be compared as it is.
    Vector vector(kDim);
    for (float& value : vector) {
      value = static_cast<float>(below(2'000)) / 8 - 100;
    }
    return vector;
  }
  std::optional<ImageSeq> some_image() {
    if (images_.empty()) return std::nullopt;
    auto it = images_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(below(images_.size())));
    return it->first;
  }
  ModelEpoch& current() { return epochs_.at(current_); }
  ClusterId some_cluster(const ModelEpoch& epoch) {
    auto it = epoch.clusters.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(below(epoch.clusters.size())));
    return *it;
  }
  Label some_label(const ModelEpoch& epoch, const ModelImage& image) {
    if (image.fixed.has_value()) {
      return {image.fixed->cluster, LabelState::kConfirmed, 1, 0};
    }
    ClusterId cluster = some_cluster(epoch);
    if (image.must_not.count(cluster) != 0) cluster = ClusterId();
    const auto state =
        cluster.valid() ? LabelState::kAssigned : LabelState::kUnassigned;
    return {cluster, state, static_cast<float>(below(100)) / 100, 2.5F};
  }

  void reopen() {
    open();
    slots_.clear();
    for (const char* name : {"hog", "gabor"}) {
      slots_.push_back(store->open_view({name, "none", "ab", kDim}).value());
    }
  }

  // ---- building a batch and the model together
  void set_label(StoreBatch& batch, EpochId id, ImageSeq seq, Label label) {
    ModelEpoch& epoch = epochs_.at(id);
    const auto found = epoch.labels.find(seq);
    std::optional<Label> before;
    if (found != epoch.labels.end()) before = found->second;
    batch.put_label(id, seq, before, label);
    epoch.labels[seq] = label;
  }
  void set_embedding(StoreBatch& batch, EpochId id, ImageSeq seq) {
    if (!id.valid()) return;
    const Vector embedding = some_vector();
    batch.put_embedding(id, seq, embedding);
    epochs_.at(id).embeddings[seq] = embedding;
  }
  void add_history(StoreBatch& batch, ImageSeq seq, const std::string& cause) {
    HistoryRecord record;
    record.cause = cause;
    record.epoch = current_;
    batch.add_history(seq, record);
    images_.at(seq).history.push_back(cause);
  }
  /// Writes the sizes that follow from the labels.
  void put_clusters(StoreBatch& batch, EpochId id) {
    const ModelEpoch& epoch = epochs_.at(id);
    for (const ClusterId cluster : epoch.clusters) {
      batch.put_cluster(id, cluster_record(epoch, cluster));
    }
  }
  static ClusterRecord cluster_record(const ModelEpoch& epoch,
                                      ClusterId cluster) {
    ClusterRecord record;
    record.id = cluster;
    for (const auto& [seq, label] : epoch.labels) {
      if (label.cluster != cluster) continue;
      ++record.size;
      if (label.state == LabelState::kConfirmed) ++record.confirmed;
    }
    return record;
  }

  // ---- operations
  void put_group() {
    std::vector<NewImage> group;
    std::vector<PutOutcome::Kind> expected;
    std::map<std::string, NewImage> known;
    for (const auto& [seq, image] : images_) {
      known.emplace(image.image.id.str(), image.image);
    }
    const auto count = 1 + below(12);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string id = "i" + std::to_string(below(600));
      const auto variant = static_cast<unsigned>(chance(10) ? 1 : 0);
      NewImage image = make_image(id, 1 + below(3) * 1'500, variant);
      const auto [same, is_new] = known.emplace(id, image);
      if (!is_new && chance(50)) image = same->second;
      expected.push_back(is_new ? PutOutcome::Kind::kStored
                                : (same->second.digest == image.digest
                                       ? PutOutcome::Kind::kDuplicate
                                       : PutOutcome::Kind::kConflict));
      group.push_back(std::move(image));
    }
    const auto outcomes = store->put_images(group).value();
    ASSERT_EQ(outcomes.size(), group.size());
    for (std::size_t i = 0; i < group.size(); ++i) {
      ASSERT_EQ(outcomes[i].kind, expected[i]) << group[i].id.str();
      if (expected[i] == PutOutcome::Kind::kStored) {
        ASSERT_EQ(outcomes[i].seq.value(), ++last_seq_);
        images_[outcomes[i].seq].image = group[i];
        ++stored_;
      } else {
        ASSERT_EQ(images_.at(outcomes[i].seq).image.id, group[i].id);
      }
    }
  }

  void process_pending() {
    const auto pending = store->pending(ImageSeq(), 1 + below(20)).value();
    auto batch = store->new_batch();
    for (const ImageSeq seq : pending) {
      ModelImage& image = images_.at(seq);
      for (const ViewSlot slot : slots_) {
        if (chance(10)) continue;
        image.features[slot.value()] = some_vector();
        batch->put_features(slot, seq, image.features[slot.value()]);
      }
      set_label(*batch, current_, seq, some_label(current(), image));
      set_embedding(*batch, current_, seq);
      add_history(*batch, seq, "arrival");
      if (chance(5)) {
        ImageRecord record = *store->images({seq}).value()[0];
        record.failure_code = image.failure_code = "decode_failed";
        batch->put_image(record);
      }
      batch->remove_pending(seq);
      image.pending = false;
      ++totals_.completed;
    }
    put_clusters(*batch, current_);
    batch->put_label_totals(totals_);
    commit(std::move(batch));
  }

  void relabel() {
    const auto seq = some_image();
    if (!seq || images_.at(*seq).pending) return;
    auto batch = store->new_batch();
    // Twice in one batch: the later one wins.
    for (int i = 0; i < 2; ++i) {
      set_label(*batch, current_, *seq,
                some_label(current(), images_.at(*seq)));
    }
    add_history(*batch, *seq, "move");
    put_clusters(*batch, current_);
    commit(std::move(batch));
  }

  void confirm_or_release() {
    const auto seq = some_image();
    if (!seq || images_.at(*seq).pending) return;
    ModelImage& image = images_.at(*seq);
    auto batch = store->new_batch();
    const ClusterId cluster = some_cluster(current());
    if (image.fixed.has_value()) {
      image.fixed.reset();
      batch->remove_fixed(*seq);
    } else if (cluster.valid() && image.must_not.count(cluster) == 0) {
      CorrectionRecord correction;
      correction.seq = CorrectionSeq(totals_.last_correction.value() + 1);
      totals_.last_correction = correction.seq;
      correction.changes = {{*seq, {}}};
      correction.cluster = cluster;
      batch->put_correction(correction);
      image.fixed = FixedLabel{cluster, FixedBy::kPerson, correction.seq, {}};
      batch->put_fixed(*seq, *image.fixed);
    }
    set_label(*batch, current_, *seq, some_label(current(), image));
    put_clusters(*batch, current_);
    batch->put_label_totals(totals_);
    commit(std::move(batch));
  }

  void reject_from_cluster() {
    const auto seq = some_image();
    if (!seq) return;
    ModelImage& image = images_.at(*seq);
    const auto label = current().labels.find(*seq);
    const bool is_labelled = label != current().labels.end();
    ClusterId cluster(1 + below(5));
    if (is_labelled && label->second.cluster.valid() && chance(50)) {
      cluster = label->second.cluster;
    }
    if (image.fixed.has_value() && image.fixed->cluster == cluster) return;
    auto batch = store->new_batch();
    if (image.must_not.erase(cluster) > 0) {
      batch->remove_must_not(*seq, cluster);
    } else {
      image.must_not.insert(cluster);
      batch->put_must_not(*seq, cluster);
      if (is_labelled && label->second.cluster == cluster) {
        set_label(*batch, current_, *seq, some_label(current(), image));
        put_clusters(*batch, current_);
      }
    }
    commit(std::move(batch));
  }

  void remove_some_image() {
    const auto seq = some_image();
    if (!seq) return;
    auto batch = store->new_batch();
    for (auto& [id, epoch] : epochs_) {
      const auto label = epoch.labels.find(*seq);
      if (label != epoch.labels.end()) {
        batch->remove_label(id, *seq, label->second);
        epoch.labels.erase(label);
        put_clusters(*batch, id);
      }
      if (epoch.embeddings.erase(*seq) > 0) batch->remove_embedding(id, *seq);
    }
    batch->remove_image(*store->images({*seq}).value()[0]);
    ++totals_.deleted;
    if (images_.at(*seq).pending) ++totals_.deleted_pending;
    images_.erase(*seq);
    batch->put_label_totals(totals_);
    commit(std::move(batch));
  }

  /// A run: staged in one batch, published, held or abandoned in the next.
  void make_epoch() {
    const EpochId id(totals_.last_epoch.value() + 1);
    totals_.last_epoch = id;
    ModelEpoch& epoch = epochs_[id];
    epoch.record.id = id;
    epoch.record.parent = current_;
    epoch.record.embedding_dim = kDim;
    epoch.model = std::string(below(3'000), 'm') + std::to_string(id.value());
    epoch.clusters = {ClusterId()};
    for (const auto& [seq, image] : images_) {
      if (image.fixed.has_value()) epoch.clusters.insert(image.fixed->cluster);
    }
    auto batch = store->new_batch();
    for (int i = 0; i < 3; ++i) {
      const ClusterId cluster(totals_.last_cluster.value() + 1);
      totals_.last_cluster = cluster;
      epoch.clusters.insert(cluster);
      LineageRecord lineage;
      lineage.cluster = cluster;
      lineage.others = {ClusterId(1)};
      batch->add_lineage(lineage);
      lineage_.push_back(cluster);
    }
    for (const auto& [seq, image] : images_) {
      if (image.pending) continue;
      set_label(*batch, id, seq, some_label(epoch, image));
      set_embedding(*batch, id, seq);
    }
    put_clusters(*batch, id);
    batch->put_epoch(epoch.record);
    batch->put_epoch_model(id, epoch.model);
    batch->put_label_totals(totals_);
    commit(std::move(batch));

    batch = store->new_batch();
    if (chance(70)) {
      epoch.record.status = EpochStatus::kPublished;
      batch->set_current_epoch(id);
      current_ = id;
    } else if (chance(50)) {
      epoch.record.status = EpochStatus::kHeld;
    } else {
      epoch.record.status = EpochStatus::kFailed;
      batch->drop_epoch_data(id);
    }
    batch->put_epoch(epoch.record);
    records_[id] = epoch.record;
    if (epoch.record.status == EpochStatus::kFailed) epochs_.erase(id);
    commit(std::move(batch));
  }

  void drop_epoch() {
    auto it = epochs_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(below(epochs_.size())));
    const EpochId id = it->first;
    if (id == current_) return;
    auto batch = store->new_batch();
    batch->drop_epoch_data(id);
    if (id.valid()) {
      records_[id].status = EpochStatus::kDropped;
      batch->put_epoch(records_[id]);
    }
    epochs_.erase(it);
    commit(std::move(batch));
  }

  void name_cluster() {
    const ClusterId cluster = some_cluster(current());
    if (!cluster.valid()) return;
    auto batch = store->new_batch();
    names_[cluster] = "name " + std::to_string(below(100));
    batch->put_cluster_name(cluster, names_[cluster]);
    commit(std::move(batch));
  }

  void reject_input() {
    RejectedRecord record;
    record.id = std::to_string(++rejected_);
    ASSERT_TRUE(store->add_rejected(record).has_value());
  }

  // ---- comparing
  /// Some part of the pending marks, by its bounds and by its length.
  void compare_pending_part(const std::vector<ImageSeq>& pending) {
    const ImageSeq after(below(80));
    const ImageSeq up_to(below(80));
    const std::size_t limit = 1 + below(20);
    std::vector<ImageSeq> part;
    for (const ImageSeq seq : pending) {
      if (after < seq && !(up_to < seq) && part.size() < limit) {
        part.push_back(seq);
      }
    }
    ASSERT_EQ(store->pending_up_to(after, up_to, limit).value(), part);
  }

  void compare() {
    std::vector<ImageSeq> seqs;
    std::vector<ImageSeq> pending;
    for (const auto& [seq, image] : images_) {
      seqs.push_back(seq);
      if (image.pending) pending.push_back(seq);
    }
    ASSERT_EQ(store->arrivals(ImageSeq(), 60'000).value(), seqs);
    ASSERT_EQ(store->pending(ImageSeq(), 60'000).value(), pending);
    compare_pending_part(pending);
    ASSERT_EQ(store->ingest_totals().value().stored, stored_);
    ASSERT_EQ(store->label_totals().value().completed, totals_.completed);
    ASSERT_EQ(store->label_totals().value().deleted, totals_.deleted);
    const auto records = store->images(seqs).value();
    const auto fixed = store->fixed(seqs).value();
    const auto must_not = store->must_not(seqs).value();
    std::size_t fixed_count = 0;
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      const ModelImage& image = images_.at(seqs[i]);
      ASSERT_EQ(records[i]->id, image.image.id);
      ASSERT_EQ(records[i]->digest, image.image.digest);
      ASSERT_EQ(records[i]->failure_code, image.failure_code);
      ASSERT_EQ(store->find(image.image.id).value(), seqs[i]);
      ASSERT_EQ(store->image_bytes(seqs[i]).value(), image.image.bytes);
      ASSERT_EQ(fixed[i].has_value(), image.fixed.has_value());
      if (fixed[i].has_value()) {
        ++fixed_count;
        ASSERT_EQ(fixed[i]->cluster, image.fixed->cluster);
      }
      ASSERT_EQ(must_not[i], std::vector<ClusterId>(image.must_not.begin(),
                                                    image.must_not.end()));
      std::vector<std::string> causes;
      const auto history = store->history(seqs[i], 60'000).value();
      for (const auto& record : history) {
        causes.push_back(record.cause);
      }
      ASSERT_EQ(causes, image.history);
    }
    ASSERT_EQ(store->fixed_after(ImageSeq(), 60'000).value().size(),
              fixed_count);
    for (const ViewSlot slot : slots_) {
      compare_rows(store->features(slot, seqs).value(), seqs,
                   [&](ImageSeq seq) {
                     const auto& features = images_.at(seq).features;
                     const auto found = features.find(slot.value());
                     return found == features.end() ? nullptr : &found->second;
                   });
    }
    ASSERT_EQ(store->current_epoch().value(), current_);
    ASSERT_EQ(store->epochs().value().size(), records_.size());
    for (const auto& [id, record] : records_) {
      ASSERT_EQ(store->epoch(id).value().status, record.status);
      if (epochs_.count(id) == 0) {
        ASSERT_TRUE(store->clusters(id).value().empty());
        ASSERT_FALSE(store->epoch_model(id).has_value());
      }
    }
    for (const auto& [id, epoch] : epochs_) compare_epoch(id, epoch, seqs);
    ASSERT_EQ(store->cluster_names().value(), names_);
    std::vector<ClusterId> lineage;
    const auto log = store->lineage(0, 60'000).value();
    for (const auto& record : log) {
      lineage.push_back(record.cluster);
      ASSERT_EQ(record.seq, lineage.size());
    }
    ASSERT_EQ(lineage, lineage_);
    ASSERT_EQ(store->corrections(CorrectionSeq(), 60'000).value().size(),
              totals_.last_correction.value());
    ASSERT_EQ(store->rejected_total(), rejected_);
  }

  void compare_epoch(EpochId id, const ModelEpoch& epoch,
                     const std::vector<ImageSeq>& seqs) {
    const auto labels = store->labels(id, seqs).value();
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      const auto found = epoch.labels.find(seqs[i]);
      ASSERT_EQ(labels[i].has_value(), found != epoch.labels.end());
      if (labels[i].has_value()) {
        ASSERT_EQ(*labels[i], found->second);
      }
    }
    for (const ClusterId cluster : epoch.clusters) {
      std::vector<ImageSeq> expected;
      for (const auto& [seq, label] : epoch.labels) {
        if (label.cluster == cluster) expected.push_back(seq);
      }
      std::vector<ImageSeq> members;
      const auto listed =
          store->members(id, cluster, ImageSeq(), 60'000).value();
      for (const auto& member : listed) {
        members.push_back(member.seq);
        ASSERT_EQ(member.state, epoch.labels.at(member.seq).state);
      }
      ASSERT_EQ(members, expected);
    }
    if (!id.valid()) return;
    ASSERT_EQ(store->epoch_model(id).value(), epoch.model);
    ASSERT_EQ(store->clusters(id).value().size(), epoch.clusters.size());
    compare_rows(store->embeddings(id, seqs).value(), seqs, [&](ImageSeq seq) {
      const auto found = epoch.embeddings.find(seq);
      return found == epoch.embeddings.end() ? nullptr : &found->second;
    });
  }

  template <typename Expected>
  static void compare_rows(const Matrix& rows,
                           const std::vector<ImageSeq>& seqs,
                           const Expected& expected) {
    ASSERT_EQ(rows.rows(), static_cast<Eigen::Index>(seqs.size()));
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      const Vector row = rows.row(static_cast<Eigen::Index>(i)).transpose();
      const Vector* const vector = expected(seqs[i]);
      if (vector == nullptr) {
        ASSERT_TRUE(row.array().isNaN().all());
      } else {
        ASSERT_EQ(row, *vector);
      }
    }
  }

  std::mt19937 random_;
  std::vector<ViewSlot> slots_;
  std::map<ImageSeq, ModelImage> images_;
  std::map<EpochId, ModelEpoch> epochs_;  ///< with data
  std::map<EpochId, EpochRecord> records_;
  std::map<ClusterId, std::string> names_;
  std::vector<ClusterId> lineage_;
  LabelTotals totals_;
  EpochId current_;
  std::uint64_t stored_ = 0;
  std::uint64_t last_seq_ = 0;
  std::uint64_t rejected_ = 0;
};

TEST_P(RandomOperations, AgreeWithAModelInMemory) {
  for (int step = 0; step < 500; ++step) {
    const auto dice = below(100);
    if (dice < 25) {
      put_group();
    } else if (dice < 45) {
      process_pending();
    } else if (dice < 55) {
      relabel();
    } else if (dice < 65) {
      confirm_or_release();
    } else if (dice < 72) {
      reject_from_cluster();
    } else if (dice < 80) {
      remove_some_image();
    } else if (dice < 86) {
      make_epoch();
    } else if (dice < 90) {
      drop_epoch();
    } else if (dice < 94) {
      name_cluster();
    } else if (dice < 98) {
      reject_input();
    } else {
      reopen();
    }
    if (HasFatalFailure()) return;
    if (step % 50 == 49) compare();
    ASSERT_FALSE(HasFatalFailure()) << "after step " << step;
  }
  store.reset();
  const auto report = verify_store(folder()).value();
  EXPECT_TRUE(report.clean()) << report.violations.front();
  EXPECT_EQ(report.images, images_.size());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations,
                         ::testing::Values(1U, 2U, 3U, 4U));

}  // namespace
}  // namespace shoal::test
