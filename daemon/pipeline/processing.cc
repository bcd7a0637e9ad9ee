#include "daemon/pipeline/processing.h"

#include <cmath>
#include <utility>

#include "common/log.h"
#include "daemon/pipeline/priority.h"

namespace shoal {
namespace {

constexpr std::size_t kPage = 64;
constexpr std::uint64_t kMaxEncodedBytes = 256ULL << 20;
constexpr std::chrono::milliseconds kRetryDelay{1000};

}  // namespace

Processing::Processing(Store& store, const ViewsConfig& config,
                       const ImageLimits& limits,
                       std::unique_ptr<Extractor> extractor,
                       std::vector<ActiveView> views, LabelThread& labels,
                       Intake& intake, Metrics& metrics, Hooks hooks)
    : store_(store),
      config_(config),
      limits_(limits),
      extractor_(std::move(extractor)),
      views_(std::move(views)),
      labels_(labels),
      intake_(intake),
      metrics_(metrics),
      hooks_(std::move(hooks)),
      encoded_(static_cast<std::size_t>(config.batch_images) * 2,
               kMaxEncodedBytes),
      decoded_(static_cast<std::size_t>(config.batch_images) * 2),
      extracted_(1) {}

Processing::~Processing() { stop(); }

void Processing::start(bool refill) {
  refilling_ = refill;
  feeder_ = std::thread([this] { feed(); });
  for (int i = 0; i < config_.decode_threads; ++i) {
    decoders_.emplace_back([this] { decode(); });
  }
  extracting_ = std::thread([this] { extract(); });
  settling_ = std::thread([this] { settle_batches(); });
}

void Processing::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (feeder_.joinable()) feeder_.join();
  encoded_.close();
  for (std::thread& decoder : decoders_) {
    if (decoder.joinable()) decoder.join();
  }
  decoded_.close();
  if (extracting_.joinable()) extracting_.join();
  extracted_.close();
  if (settling_.joinable()) settling_.join();
}

void Processing::notice_pending() {
  {
    const MutexLock lock(mutex_);
    work_waiting_ = true;
  }
  wake_.notify_all();
}

std::optional<std::future<ProbeResult>> Processing::probe(std::string bytes) {
  Encoded item;
  item.kind = Kind::kProbe;
  item.bytes = std::move(bytes);
  item.answer = std::make_shared<std::promise<ProbeResult>>();
  auto future = item.answer->get_future();
  const std::size_t weight = item.bytes.size() + 1;
  if (encoded_.try_send(item, weight) != Channel<Encoded>::SendStatus::kSent) {
    return std::nullopt;
  }
  ++in_flight_;
  return future;
}

bool Processing::idle() const {
  return in_flight_ <= 0 && intake_.pending() <= 0;
}

// ------------------------------------------------------------------ feeding

void Processing::feed() {
  set_thread_nice(kProcessingNice);
  for (;;) {
    {
      const MutexLock lock(mutex_);
      if (stopping_) return;
      work_waiting_ = false;
    }
    if (feed_pending()) continue;
    if (refilling_ && feed_refill()) continue;
    wait_for_work(std::chrono::milliseconds(10'000));
  }
}

void Processing::wait_for_work(std::chrono::milliseconds longest) {
  const auto deadline = std::chrono::steady_clock::now() + longest;
  MutexLock lock(mutex_);
  while (!stopping_ && !work_waiting_) {
    if (lock.wait_until(wake_, deadline) == std::cv_status::timeout) return;
  }
}

bool Processing::feed_pending() {
  const auto page = store_.pending(pending_cursor_, kPage);
  if (!page) {
    spdlog::error("event=read_pending_failed error={}",
                  log_value(page.error().message));
    wait_for_work(kRetryDelay);
    return false;
  }
  for (const ImageSeq seq : page.value()) {
    if (!send(seq, Kind::kArrival)) return false;
    pending_cursor_ = seq;
  }
  return !page.value().empty();
}

bool Processing::feed_refill() {
  const auto page = store_.arrivals(refill_cursor_, kPage);
  if (!page) {
    spdlog::error("event=read_arrivals_failed error={}",
                  log_value(page.error().message));
    return false;
  }
  if (page.value().empty()) {
    if (in_flight_ > 0) {
      wait_for_work(std::chrono::milliseconds(100));
      return true;
    }
    refilling_ = false;
    hooks_.refilled(refilled_);
    return false;
  }
  std::vector<bool> lacking(page.value().size(), false);
  for (const ActiveView& view : views_) {
    const auto features = store_.features(view.slot, page.value());
    if (!features) {
      spdlog::error("event=read_features_failed view={} error={}",
                    view.key.name, log_value(features.error().message));
      return false;
    }
    for (std::size_t i = 0; i < lacking.size(); ++i) {
      if (!std::isfinite(features.value()(static_cast<Eigen::Index>(i), 0))) {
        lacking[i] = true;
      }
    }
  }
  const auto records = store_.images(page.value());
  if (!records) return false;
  for (std::size_t i = 0; i < lacking.size(); ++i) {
    const auto& record = records.value()[i];
    const bool wanted = lacking[i] && record && record->failure_code.empty();
    if (wanted && !send(page.value()[i], Kind::kRefill)) return false;
    if (wanted) ++refilled_;
    refill_cursor_ = page.value()[i];
  }
  return true;
}

bool Processing::send(ImageSeq seq, Kind kind) {
  auto bytes = store_.image_bytes(seq);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) {
    return true;  // deleted since the page was read
  }
  Encoded item;
  item.kind = kind;
  item.seq = seq;
  if (bytes) {
    item.bytes = std::move(bytes).value();
  } else if (bytes.error().code == ErrorCode::kCorruption) {
    // Will not get better: it must not hold up those behind it.
    item.failure = {"internal", bytes.error().message};
  } else {
    spdlog::error("event=read_image_failed seq={} error={}", seq.value(),
                  log_value(bytes.error().message));
    wait_for_work(kRetryDelay);
    return false;
  }
  ++in_flight_;
  const std::size_t weight = item.bytes.size() + 1;
  if (!encoded_.send(std::move(item), weight)) {
    --in_flight_;
    return false;
  }
  return true;
}

// ----------------------------------------------------------------- decoding

void Processing::decode() {
  set_thread_nice(kProcessingNice);
  while (auto item = encoded_.receive()) {
    const auto start = std::chrono::steady_clock::now();
    Decoded decoded;
    decoded.kind = item->kind;
    decoded.seq = item->seq;
    decoded.answer = item->answer;
    decoded.failure = item->failure;
    auto sized =
        decode_at_sizes(item->bytes, limits_, extractor_->input_sizes());
    if (!decoded.failure.code.empty()) {
      spdlog::error("event=image_unreadable seq={} error={}", item->seq.value(),
                    log_value(decoded.failure.message));
    } else if (sized) {
      decoded.sizes = std::move(sized).value();
    } else {
      decoded.failure = {std::string(to_string(sized.error().problem)),
                         sized.error().message};
    }
    observe(metrics_.stage_seconds["decode"],
            std::chrono::steady_clock::now() - start);
    ++progress_;
    if (!decoded_.send(std::move(decoded))) return;
  }
}

// --------------------------------------------------------------- extracting

void Processing::extract() {
  set_thread_nice(kProcessingNice);
  while (auto first = decoded_.receive()) {
    std::vector<Decoded> batch;
    batch.push_back(std::move(*first));
    const auto deadline =
        std::chrono::steady_clock::now() + config_.batch_delay;
    while (batch.size() < static_cast<std::size_t>(config_.batch_images)) {
      auto next = decoded_.receive_until(deadline);
      if (!next) break;
      batch.push_back(std::move(*next));
    }
    if (!extracted_.send(extract_batch(std::move(batch)))) return;
  }
}

Processing::Extracted Processing::extract_batch(std::vector<Decoded> batch) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Extractor::SizedImage> images;
  std::vector<std::size_t> index_of(batch.size(), 0);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i].failure.code.empty()) continue;
    index_of[i] = images.size();
    images.push_back(std::move(batch[i].sizes));
  }
  const std::uint64_t retries_before = extractor_->stats().batch_retries;
  std::vector<Extraction> extractions = extractor_->extract(images);
  observe(metrics_.stage_seconds["views"],
          std::chrono::steady_clock::now() - start);
  metrics_.batch_retries.Increment(
      static_cast<double>(extractor_->stats().batch_retries - retries_before));

  Extracted extracted;
  extracted.images = batch.size();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Decoded& item = batch[i];
    Arrival arrival;
    arrival.seq = item.seq;
    if (item.failure.code.empty()) {
      Extraction& extraction = extractions[index_of[i]];
      if (extraction.error) {
        item.failure = {"extraction_failed", extraction.error->message};
      } else {
        arrival.features = std::move(extraction.features);
      }
    }
    arrival.failure_code = item.failure.code;
    arrival.failure_message = item.failure.message;
    if (item.kind == Kind::kProbe) {
      if (item.failure.code.empty()) {
        item.answer->set_value(std::move(arrival.features));
      } else {
        item.answer->set_value(item.failure);
      }
    } else if (item.kind == Kind::kRefill) {
      extracted.refills.push_back(std::move(arrival));
    } else {
      extracted.arrivals.push_back(std::move(arrival));
    }
  }
  progress_ += batch.size();
  return extracted;
}

// ----------------------------------------------------------------- settling

void Processing::settle_batches() {
  set_thread_nice(kProcessingNice);
  while (const auto batch = extracted_.receive()) {
    if (!batch->arrivals.empty()) {
      settle([&](LabelStage& stage) { return stage.arrive(batch->arrivals); });
    }
    if (!batch->refills.empty()) {
      settle([&](LabelStage& stage) {
        return stage.book().add_features(batch->refills);
      });
    }
    progress_ += batch->images;
    in_flight_ -= static_cast<std::int64_t>(batch->images);
  }
}

void Processing::settle(std::function<Result<void>(LabelStage&)> task) {
  for (;;) {
    const auto done = labels_.call(task);
    if (done) return;
    metrics_.settle_retries.Increment();
    spdlog::error("event=settle_failed error={} retry_ms={}",
                  log_value(done.error().message), kRetryDelay.count());
    const auto deadline = std::chrono::steady_clock::now() + kRetryDelay;
    MutexLock lock(mutex_);
    while (!stopping_) {
      if (lock.wait_until(wake_, deadline) == std::cv_status::timeout) break;
    }
    // Their pending marks bring the images back after the next start.
    if (stopping_) return;
  }
}

}  // namespace shoal
