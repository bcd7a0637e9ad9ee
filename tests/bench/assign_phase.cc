#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "common/file.h"
#include "daemon/book/cluster_book.h"
#include "engine/online/embedding_model.h"
#include "store/store.h"
#include "tests/bench/phases.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kClusters = 1'000;
constexpr int kEmbeddingDim = 64;
constexpr int kTrainingRows = 400;
constexpr std::uint64_t kWarmUp = 100;
/// ResNet50, MobileNetV2, GoogLeNet, MobileNetV1, HOG.
constexpr std::uint32_t kViewDims[] = {2048, 1280, 1024, 1024, 1764};
constexpr double kTargetMs = 2;

/// A book with an epoch of kClusters clusters, on a store of its own, that is
/// given random features.
class Book {
 public:
  static Result<std::unique_ptr<Book>> open() {
    SHOAL_TRY(folder, TemporaryFolder::create("shoal-load"));
    std::unique_ptr<Book> book(new Book(std::move(folder)));
    StoreOptions options;
    options.folder = book->folder_.path() / "store";
    SHOAL_TRY(store, open_rocksdb_store(options));
    book->store_ = std::move(store);
    std::vector<ActiveView> views;
    for (const std::uint32_t dim : kViewDims) {
      ActiveView view;
      view.key = {"view" + std::to_string(views.size()), "none", "0", dim};
      SHOAL_TRY(slot, book->store_->open_view(view.key));
      view.slot = slot;
      views.push_back(std::move(view));
    }
    SHOAL_TRY(opened, ClusterBook::open(
                          *book->store_, std::move(views), {},
                          [](const Event&) {}, nullptr));
    book->book_ = std::move(opened);
    SHOAL_TRY(book->publish_epoch());
    return book;
  }

  /// Stores `count` images that wait for their labels.
  Result<std::vector<ImageSeq>> put(std::size_t count) {
    std::vector<NewImage> images(count);
    for (NewImage& image : images) {
      image.bytes = std::to_string(++images_);
      image.id = ImageId::of_bytes(image.bytes);
      image.digest = sha256(image.bytes);
      image.format = "jpeg";
      image.received_at = now();
    }
    SHOAL_TRY(outcomes, store_->put_images(images));
    std::vector<ImageSeq> seqs;
    for (const PutOutcome& outcome : outcomes) seqs.push_back(outcome.seq);
    return seqs;
  }

  /// An arrival with features like those of a CNN: none below zero.
  Arrival arrival(ImageSeq seq) {
    Arrival arrival;
    arrival.seq = seq;
    for (const std::uint32_t dim : kViewDims) {
      arrival.features.emplace_back(random_row(dim));
    }
    return arrival;
  }

  ClusterBook& book() { return *book_; }

 private:
  explicit Book(TemporaryFolder folder) : folder_(std::move(folder)) {}

  Vector random_row(std::uint32_t dim) {
    std::normal_distribution<float> normal;
    Vector row(static_cast<Eigen::Index>(dim));
    for (float& value : row) value = std::max(normal(random_), 0.0F);
    return row;
  }

  /// One image in each cluster, whose centre it is.
  Result<void> publish_epoch() {
    std::vector<EmbeddingInput> inputs;
    std::vector<Matrix> training;
    std::vector<Matrix> members;
    for (const ActiveView& view : book_->views()) {
      const auto dim = view.key.dim;
      inputs.push_back({view.key.text(), static_cast<int>(dim)});
      for (const auto& [rows, matrices] : {std::pair{kTrainingRows, &training},
                                           std::pair{kClusters, &members}}) {
        Matrix matrix(rows, static_cast<Eigen::Index>(dim));
        for (int i = 0; i < rows; ++i) {
          matrix.row(i) = random_row(dim).transpose();
        }
        matrices->push_back(std::move(matrix));
      }
    }
    Candidate candidate;
    candidate.method = "km";
    SHOAL_TRY(model, fit_whitened_pca(inputs, training, kEmbeddingDim));
    candidate.model = std::move(model);
    const Matrix centroids = candidate.model->embed(members);
    for (int i = 0; i < kClusters; ++i) {
      CandidateCluster cluster;
      const float threshold = 2 * centroids.row(i).norm();
      cluster.prototypes.push_back({centroids.row(i).transpose(), threshold});
      candidate.clusters.push_back(std::move(cluster));
    }
    SHOAL_TRY(seqs, put(kClusters));
    std::vector<Arrival> arrivals;
    for (const ImageSeq seq : seqs) arrivals.push_back(arrival(seq));
    SHOAL_TRY(book_->arrive(arrivals));
    SHOAL_TRY(run, book_->begin_run("km", "benchmark"));
    SHOAL_TRY(ids, book_->begin_staging(run, candidate));
    std::vector<StagedRow> rows;
    for (int i = 0; i < kClusters; ++i) {
      StagedRow row;
      const auto at = static_cast<std::size_t>(i);
      row.seq = seqs[at];
      row.label = {ids[at], LabelState::kAssigned, 0.5F, 0};
      row.embedding = centroids.row(i).transpose();
      rows.push_back(std::move(row));
    }
    SHOAL_TRY(book_->stage(rows));
    SHOAL_TRY(book_->finish_staging(true, ""));
    for (bool done = false; !done;) {
      SHOAL_TRY(all_told, book_->note_moves(kClusters));
      done = all_told;
    }
    return ok();
  }

  TemporaryFolder folder_;
  std::mt19937 random_{1};
  std::uint64_t images_ = 0;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ClusterBook> book_;
};

}  // namespace

Result<void> run_assign(const Bench& bench) {
  SHOAL_TRY(book, Book::open());
  SHOAL_TRY(seqs, book->put(kWarmUp + bench.queries));
  std::vector<double> seconds;
  std::uint64_t assigned = 0;
  const auto deadline = Clock::now() + bench.longest;
  for (std::size_t i = 0; i < seqs.size() && Clock::now() < deadline; ++i) {
    const Arrival arrival = book->arrival(seqs[i]);
    const auto start = Clock::now();
    SHOAL_TRY(settled, book->book().arrive({arrival}));
    const std::chrono::duration<double> taken = Clock::now() - start;
    if (i < kWarmUp) continue;
    seconds.push_back(taken.count());
    if (settled.front().label.cluster.valid()) ++assigned;
  }
  bench.report->add({"assign", "arrivals that got a cluster",
                     static_cast<double>(assigned), "images"});
  add_latencies(*bench.report, "assign", "features ready to label, K = 1000",
                seconds, kTargetMs);
  return ok();
}

}  // namespace shoal::bench
