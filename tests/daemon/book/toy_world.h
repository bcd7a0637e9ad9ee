#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/file.h"
#include "daemon/book/cluster_book.h"
#include "engine/refine/refinement.h"
#include "store/store.h"
#include "store/verify.h"

namespace shoal::test {

/// Features held in memory, as a run sees them.
class MemoryFeatures : public FeatureSource {
 public:
  MemoryFeatures(std::vector<EmbeddingInput> inputs, Matrix rows)
      : inputs_(std::move(inputs)), rows_(std::move(rows)) {}
  [[nodiscard]] const std::vector<EmbeddingInput>& inputs() const override {
    return inputs_;
  }
  [[nodiscard]] std::size_t size() const override {
    return static_cast<std::size_t>(rows_.rows());
  }
  Result<std::vector<Matrix>> read(
      const std::vector<std::size_t>& rows) override {
    Matrix part(static_cast<Eigen::Index>(rows.size()), rows_.cols());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      part.row(static_cast<Eigen::Index>(i)) =
          rows_.row(static_cast<Eigen::Index>(rows[i]));
    }
    return std::vector<Matrix>{std::move(part)};
  }

 private:
  std::vector<EmbeddingInput> inputs_;
  Matrix rows_;
};

/// A ClusterBook on a store in a temporary folder, fed with points of a few
/// well-separated kinds instead of pictures.
class ToyWorld {
 public:
  static constexpr int kDim = 12;

  explicit ToyWorld(std::uint64_t seed = 1)
      : folder_(TemporaryFolder::create("shoal-book-test").value()),
        random_(seed) {
    open();
  }

  void open() {
    book_.reset();
    store_.reset();
    StoreOptions options;
    options.folder = folder_.path() / "store";
    options.cache_bytes = 16 << 20;
    options.write_buffer_bytes = 4 << 20;
    store_ = open_rocksdb_store(options).value();
    ActiveView view;
    view.key = {"toy", "none", "0", kDim};
    view.slot = store_->open_view(view.key).value();
    ClusterBook::Options book_options;
    book_options.keep_epochs = 3;
    book_ = ClusterBook::open(
                *store_, {view}, book_options,
                [this](Event event) { events.push_back(std::move(event)); },
                nullptr)
                .value();
  }

  ClusterBook& book() { return *book_; }
  Store& store() { return *store_; }
  std::mt19937_64& random() { return random_; }

  /// A point of kind `kind`: a spike in its own direction, and noise.
  Vector point(int kind) {
    std::normal_distribution<float> noise(0, 0.05F);
    Vector x(kDim);
    for (int i = 0; i < kDim; ++i) x(i) = noise(random_);
    x(kind % kDim) += 1;
    return x;
  }

  /// Stores an image without settling it.
  ImageSeq put(const std::string& name, int kind) {
    NewImage image;
    image.id = ImageId::parse(name).value();
    image.bytes = "bytes of " + name;
    image.digest = sha256(image.bytes);
    image.format = "png";
    image.received_at = now();
    const ImageSeq seq = store_->put_images({image}).value().front().seq;
    kinds[name] = kind;
    features_[seq] = point(kind);
    return seq;
  }
  Label settle(ImageSeq seq) {
    Arrival arrival;
    arrival.seq = seq;
    arrival.features = {features_.at(seq)};
    return book_->arrive({arrival}).value().front().label;
  }
  Label add(const std::string& name, int kind) {
    return settle(put(name, kind));
  }
  /// `each` images of each of `kinds` kinds, named "kind-number".
  void add_kinds(int kinds_count, int each, int first = 0) {
    for (int kind = 0; kind < kinds_count; ++kind) {
      for (int i = first; i < first + each; ++i) {
        add(std::to_string(kind) + "-" + std::to_string(i), kind);
      }
    }
  }

  [[nodiscard]] ImageSeq seq(const std::string& name) const {
    return store_->find(ImageId::parse(name).value()).value().value();
  }
  [[nodiscard]] Label label(const std::string& name) const {
    const EpochId epoch = store_->current_epoch().value();
    return store_->labels(epoch, {seq(name)}).value().front().value();
  }
  /// Labels of all images that have one, by name.
  [[nodiscard]] std::map<std::string, Label> labels() const {
    std::map<std::string, Label> all;
    const EpochId epoch = store_->current_epoch().value();
    for (const auto& [name, kind] : kinds) {
      const auto found = store_->find(ImageId::parse(name).value()).value();
      if (!found) continue;
      const auto label = store_->labels(epoch, {*found}).value().front();
      if (label) all[name] = *label;
    }
    return all;
  }

  /// Leaves an image out of what learn() sees.
  void hide(const std::string& name) { hidden_.insert(seq(name)); }

  /// Learns as shoal-refine does, from what the store holds now.
  Candidate learn(int clusters, std::vector<ImageSeq>* seqs) {
    const EpochId epoch = store_->current_epoch().value();
    seqs->clear();
    const auto there = store_->arrivals(ImageSeq{}, 10'000).value();
    for (const ImageSeq s : there) {
      if (hidden_.count(s) != 0) continue;
      if (store_->labels(epoch, {s}).value().front()) seqs->push_back(s);
    }
    const auto view = book_->views().front();
    Matrix rows = store_->features(view.slot, *seqs).value();
    MemoryFeatures features({{view.key.text(), kDim}}, std::move(rows));
    std::vector<RowConstraint> constraints;
    const auto labels = store_->labels(epoch, *seqs).value();
    const auto fixed = store_->fixed(*seqs).value();
    const auto must_not = store_->must_not(*seqs).value();
    for (std::size_t i = 0; i < seqs->size(); ++i) {
      RowConstraint constraint;
      if (fixed[i]) constraint.fixed = fixed[i]->cluster;
      constraint.must_not = must_not[i];
      constraint.previous = labels[i]->cluster;
      constraints.push_back(constraint);
    }
    EarlierEpoch earlier;
    for (const auto& [id, cluster] : book_->current().clusters()) {
      earlier.clusters.push_back(id);
    }
    RefinementOptions options;
    options.clusters = clusters;
    options.seed = 7;
    options.confirmation = {confirm_share_, 0, 1};
    const auto method = make_refinement_method("km").value();
    return run_refinement(*method, features, constraints, earlier, options, {})
        .value();
  }

  /// Rows of `candidate` as the refinery stages them.
  static std::vector<StagedRow> rows_of(const Candidate& candidate,
                                        const std::vector<ImageSeq>& seqs,
                                        const std::vector<ClusterId>& ids) {
    std::vector<StagedRow> rows;
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      StagedRow row;
      row.seq = seqs[i];
      if (candidate.labels[i] >= 0) {
        row.label.cluster = ids[static_cast<std::size_t>(candidate.labels[i])];
        row.label.state = candidate.confirmed[i] != 0 ? LabelState::kConfirmed
                                                      : LabelState::kAssigned;
      }
      row.label.confidence = candidate.confidences[i];
      row.label.distance = candidate.distances[i];
      row.embedding =
          candidate.embeddings.row(static_cast<Eigen::Index>(i)).transpose();
      rows.push_back(std::move(row));
    }
    return rows;
  }

  /// Runs from now on confirm this share of each cluster's open images.
  void confirm(double share) { confirm_share_ = share; }

  /// A whole run: learn, stage, publish. @return its epoch
  EpochId refine(int clusters) {
    const EpochId run = book_->begin_run("km", "test").value();
    std::vector<ImageSeq> seqs;
    const Candidate candidate = learn(clusters, &seqs);
    const auto ids = book_->begin_staging(run, candidate).value();
    EXPECT_TRUE(book_->stage(rows_of(candidate, seqs, ids)).has_value());
    EXPECT_TRUE(book_->finish_staging(true, "").has_value());
    while (!book_->note_moves(16).value()) {
    }
    while (!book_->drop_an_old_epoch().value()) {
    }
    return run;
  }

  /// A rollback, or the publishing of a held epoch.
  Result<void> activate(EpochId epoch) {
    SHOAL_TRY(book_->begin_activation(epoch));
    for (bool done = false; !done;) {
      SHOAL_TRY(end, book_->catch_up(3));
      done = end;
    }
    SHOAL_TRY(book_->finish_staging(true, ""));
    for (bool done = false; !done;) {
      SHOAL_TRY(end, book_->note_moves(16));
      done = end;
    }
    return ok();
  }

  CorrectionOutcome correct(CorrectionKind kind,
                            const std::vector<std::string>& names,
                            ClusterId cluster = {}, ClusterId other = {}) {
    auto outcome = book_->correct(request(kind, names, cluster, other));
    EXPECT_TRUE(outcome.has_value())
        << (outcome ? "" : outcome.error().message);
    return outcome ? outcome.value() : CorrectionOutcome{};
  }
  static CorrectionRequest request(CorrectionKind kind,
                                   const std::vector<std::string>& names,
                                   ClusterId cluster = {},
                                   ClusterId other = {}) {
    CorrectionRequest request;
    request.kind = kind;
    for (const std::string& name : names) {
      request.images.push_back(ImageId::parse(name).value());
    }
    request.cluster = cluster;
    request.other = other;
    return request;
  }

  /// Walks a checkpoint of the store and lists what is wrong with it.
  std::vector<std::string> violations() {
    const auto copy = folder_.path() / ("check" + std::to_string(++checks_));
    const auto made = store_->checkpoint(copy);
    if (!made) return {made.error().message};
    const auto report = verify_store(copy);
    std::filesystem::remove_all(copy);
    if (!report) return {report.error().message};
    return report.value().violations;
  }

  std::map<std::string, int> kinds;  ///< name -> kind of every image put
  std::vector<Event> events;

 private:
  TemporaryFolder folder_;
  std::mt19937_64 random_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ClusterBook> book_;
  std::map<ImageSeq, Vector> features_;
  std::set<ImageSeq> hidden_;
  int checks_ = 0;
  double confirm_share_ = 0;
};

}  // namespace shoal::test
