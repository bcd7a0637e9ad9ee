#include "daemon/eval/internal/online_path.h"

#include <algorithm>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/sha256.h"
#include "common/time.h"
#include "config/config.h"
#include "daemon/refine/checkpoint_source.h"
#include "daemon/refine/staging.h"

namespace shoal::eval {
namespace {

constexpr std::size_t kPage = 1024;

/// Whether the experiment itself cannot go on.
bool ends_all(ErrorCode code) {
  return code == ErrorCode::kCancelled || code == ErrorCode::kIo ||
         code == ErrorCode::kStorageFull || code == ErrorCode::kCorruption;
}

/// Its pixels are in the features already: the bytes only name it.
Result<NewImage> nameless_image(std::size_t position) {
  NewImage image;
  image.bytes = fmt::format("image-{}", position);
  SHOAL_TRY(id, ImageId::parse(image.bytes));
  image.id = std::move(id);
  image.digest = sha256(image.bytes);
  image.format = "none";
  image.received_at = now();
  return image;
}

}  // namespace

Result<std::unique_ptr<OnlinePath>> OnlinePath::open(
    const std::vector<EmbeddingInput>& views) {
  SHOAL_TRY(folder, TemporaryFolder::create("shoal-eval-stream"));
  StoreOptions options;
  options.folder = folder.path() / "store";
  SHOAL_TRY(store, open_rocksdb_store(options));
  std::unique_ptr<OnlinePath> path(
      new OnlinePath(std::move(folder), std::move(store)));
  std::vector<ActiveView> active;
  for (const EmbeddingInput& view : views) {
    ActiveView one;
    one.key = {view.view, "none", "0", static_cast<std::uint32_t>(view.dim)};
    auto slot = path->store_->open_view(one.key);
    if (!slot) return slot.error().within("view " + view.view);
    one.slot = slot.value();
    active.push_back(std::move(one));
  }
  ClusterBook::Options book_options;
  book_options.keep_epochs = default_config().store.keep_epochs;
  SHOAL_TRY(book, ClusterBook::open(
                      *path->store_, std::move(active), book_options,
                      [](const Event&) {}, nullptr));
  path->book_ = std::move(book);
  return path;
}

Result<std::size_t> OnlinePath::put_images(std::size_t count) {
  const std::size_t first = seqs_.size();
  std::vector<NewImage> images;
  for (std::size_t i = 0; i < count; ++i) {
    SHOAL_TRY(image, nameless_image(first + i));
    images.push_back(std::move(image));
  }
  SHOAL_TRY(stored, store_->put_images(images));
  for (const PutOutcome& outcome : stored) seqs_.push_back(outcome.seq);
  return first;
}

Result<std::vector<Label>> OnlinePath::arrive(
    const std::vector<Matrix>& features) {
  const auto batch =
      static_cast<std::size_t>(default_config().views.batch_images);
  const auto count = static_cast<std::size_t>(features.front().rows());
  SHOAL_TRY(first, put_images(count));
  std::vector<Label> labels;
  for (std::size_t begin = 0; begin < count; begin += batch) {
    const std::size_t end = std::min(count, begin + batch);
    std::vector<Arrival> arrivals;
    for (std::size_t i = begin; i < end; ++i) {
      Arrival arrival;
      arrival.seq = seqs_[first + i];
      for (const Matrix& view : features) {
        arrival.features.emplace_back(
            view.row(static_cast<Eigen::Index>(i)).transpose());
      }
      arrivals.push_back(std::move(arrival));
    }
    SHOAL_TRY(settled, book_->arrive(arrivals));
    for (const Settled& image : settled) labels.push_back(image.label);
  }
  return labels;
}

Result<OnlinePath::Run> OnlinePath::relearn(const RefinementMethod& method,
                                            const RefinementOptions& options,
                                            const RunControl& control) {
  SHOAL_TRY(run, book_->begin_run(std::string(method.name()), "every so many"));
  Run result;
  auto note = learn_and_publish(run, method, options, control);
  if (note) {
    result.note = std::move(note.value());
    SHOAL_TRY(settle_after_flip(on_book_));
  } else {
    if (ends_all(note.error().code)) return note.error();
    SHOAL_TRY(book_->end_run(run, EpochStatus::kFailed, note.error().message));
  }
  SHOAL_TRY(epoch, store_->epoch(run));
  result.epoch = std::move(epoch);
  return result;
}

Result<std::string> OnlinePath::learn_and_publish(
    EpochId run, const RefinementMethod& method,
    const RefinementOptions& options, const RunControl& control) {
  std::vector<std::string> views;
  for (const ActiveView& view : book_->views()) {
    views.push_back(view.key.text());
  }
  SHOAL_TRY(source, CheckpointSource::open(*store_, views));
  SHOAL_TRY(constraints, source->constraints());
  SHOAL_TRY(earlier, source->earlier());
  SHOAL_TRY(candidate, run_refinement(method, *source, constraints, earlier,
                                      options, control));
  source->note_learned(candidate);
  StagingControl staging;
  staging.check = [&control]() -> Result<void> {
    if (!control.cancelled()) return ok();
    return Error{ErrorCode::kCancelled, "stopped"};
  };
  staging.progress = [](double) {};  // takes no time beside the learning
  SHOAL_TRY(stage_candidate(on_book_, run, candidate, source->seqs(), staging));
  const std::string hold = reason_to_hold(candidate);
  SHOAL_TRY(catch_up_and_flip(on_book_, hold.empty(), hold));
  return std::move(candidate.note);
}

Result<std::vector<Label>> OnlinePath::labels() const {
  std::vector<Label> all;
  for (std::size_t begin = 0; begin < seqs_.size(); begin += kPage) {
    const auto first = seqs_.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<ImageSeq> page(
        first, first + static_cast<std::ptrdiff_t>(
                           std::min(kPage, seqs_.size() - begin)));
    SHOAL_TRY(labels, store_->labels(epoch(), page));
    for (const std::optional<Label>& label : labels) {
      all.push_back(label.value_or(Label{}));
    }
  }
  return all;
}

}  // namespace shoal::eval
