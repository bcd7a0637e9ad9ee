#include "daemon/pipeline/intake.h"

#include <chrono>
#include <sys/statvfs.h>
#include <utility>
#include <vector>

#include "common/log.h"
#include "daemon/pipeline/priority.h"

namespace shoal {

Intake::Intake(Store& store, const IngestConfig& config,
               std::filesystem::path data_dir, Hooks hooks, Metrics& metrics)
    : store_(store),
      config_(config),
      data_dir_(std::move(data_dir)),
      hooks_(std::move(hooks)),
      metrics_(metrics),
      limits_{config.max_pixels, config.max_side},
      queue_(static_cast<std::size_t>(config.queue_images), config.queue_bytes),
      groups_(1) {}

Intake::~Intake() { stop(); }

void Intake::start() {
  checker_ = std::thread([this] { check_images(); });
  storer_ = std::thread([this] { store_groups(); });
}

void Intake::stop() {
  queue_.close();
  if (checker_.joinable()) checker_.join();
  groups_.close();
  if (storer_.joinable()) storer_.join();
}

Intake::Admission Intake::offer(IngestHeader header, std::string_view bytes,
                                const Ticket& ticket) {
  if (pending_ >= static_cast<std::int64_t>(config_.max_pending_images)) {
    return Admission::kFull;
  }
  if (ticket.ack == Ack::kAssigned && waiting_ >= config_.max_waiting_replies) {
    return Admission::kFull;
  }
  Item item{std::move(header), std::string(bytes), ticket};
  switch (queue_.try_send(item, bytes.size() + 1)) {
    case Channel<Item>::SendStatus::kSent:
      return Admission::kTaken;
    case Channel<Item>::SendStatus::kFull:
      return Admission::kFull;
    case Channel<Item>::SendStatus::kClosed:
      return Admission::kShuttingDown;
  }
  return Admission::kShuttingDown;
}

void Intake::note_rejected(const std::string& id, const std::string& source,
                           const WireError& error) {
  metrics_.rejected[error.code].Increment();
  {
    const MutexLock lock(rejected_mutex_);
    ++rejected_[error.code];
  }
  RejectedRecord record;
  record.at = now();
  record.id = id.substr(0, ImageId::kMaxBytes);
  record.source = source;
  record.code = error.code;
  record.message = error.message;
  const auto added = store_.add_rejected(record);
  if (!added) {
    spdlog::warn("event=rejected_not_listed code={} error={}", error.code,
                 log_value(added.error().message));
  }
  spdlog::debug("event=rejected id={} source={} code={} message={}",
                log_value(record.id), log_value(source), error.code,
                log_value(error.message));
}

std::map<std::string, std::uint64_t> Intake::rejected_counts() const {
  const MutexLock lock(rejected_mutex_);
  return rejected_;
}

void Intake::check_images() {
  set_thread_nice(kIntakeNice);
  while (auto first = queue_.receive()) {
    std::vector<Checked> group;
    std::uint64_t bytes = 0;
    std::size_t taken = 0;
    const auto deadline =
        std::chrono::steady_clock::now() + config_.group_max_delay;
    for (std::optional<Item> item = std::move(first); item;) {
      ++taken;
      bytes += item->bytes.size();
      if (auto checked = check(std::move(*item))) {
        group.push_back(std::move(*checked));
      }
      if (taken >= static_cast<std::size_t>(config_.group_max_images) ||
          bytes >= config_.group_max_bytes) {
        break;
      }
      item = queue_.try_receive();
      if (!item) item = queue_.receive_until(deadline);
    }
    // Closed only after this thread has ended.
    if (!group.empty() && !groups_.send(std::move(group))) return;
  }
}

void Intake::store_groups() {
  set_thread_nice(kIntakeNice);
  while (auto group = groups_.receive()) store_group(std::move(*group));
}

std::optional<Intake::Checked> Intake::check(Item item) {
  const IngestHeader& header = item.header;
  const auto refuse = [&](WireError error) -> std::optional<Checked> {
    note_rejected(header.id.value_or(""), header.source, error);
    IngestReply answer;
    answer.id = header.id.value_or("");
    answer.status = IngestStatus::kRejected;
    answer.error = std::move(error);
    hooks_.reply(item.ticket, std::move(answer));
    return std::nullopt;
  };
  const auto info = probe_image(item.bytes, limits_);
  if (!info) {
    return refuse(
        {std::string(to_string(info.error().problem)), info.error().message});
  }
  Checked checked;
  NewImage& image = checked.image;
  if (header.id) {
    auto id = ImageId::parse(*header.id);
    if (!id) return refuse({"bad_id", id.error().message});
    image.id = std::move(id).value();
  } else {
    image.id = ImageId::of_bytes(item.bytes);
  }
  image.digest = sha256(item.bytes);
  image.format = info.value().format;
  image.width = info.value().width;
  image.height = info.value().height;
  image.source = header.source;
  image.captured_at = header.captured_at.value_or(Timestamp{});
  image.received_at = now();
  image.meta = std::move(item.header.meta);
  image.bytes = std::move(item.bytes);
  checked.ticket = std::move(item.ticket);
  return checked;
}

void Intake::store_group(std::vector<Checked> group) {
  if (disk_is_full()) {
    for (const Checked& item : group) {
      answer_busy(item, storage_full("the disk of " + data_dir_.string() +
                                     " has less than "
                                     "ingest.min_free_disk_bytes left"));
    }
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  std::vector<NewImage> images;
  images.reserve(group.size());
  for (Checked& item : group) images.push_back(std::move(item.image));
  const auto outcomes = store_.put_images(images);
  for (std::size_t i = 0; i < group.size(); ++i) {
    group[i].image = std::move(images[i]);
  }
  if (!outcomes) {
    spdlog::error("event=store_failed images={} error={}", group.size(),
                  log_value(outcomes.error().message));
    for (const Checked& item : group) answer_busy(item, outcomes.error());
    return;
  }
  observe(metrics_.stage_seconds["store"],
          std::chrono::steady_clock::now() - start);
  bool any_stored = false;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Checked& item = group[i];
    const PutOutcome& outcome = outcomes.value()[i];
    IngestReply answer;
    answer.id = item.image.id.str();
    if (outcome.kind == PutOutcome::Kind::kConflict) {
      WireError error{"id_conflict",
                      "image id '" + item.image.id.str() +
                          "' is taken by an image with other bytes; choose "
                          "another id, or delete that image first"};
      note_rejected(item.image.id.str(), item.image.source, error);
      answer.status = IngestStatus::kRejected;
      answer.error = std::move(error);
      hooks_.reply(item.ticket, std::move(answer));
      continue;
    }
    const bool duplicate = outcome.kind == PutOutcome::Kind::kDuplicate;
    if (!duplicate) {
      ++pending_;
      any_stored = true;
    }
    if (item.ticket.ack == Ack::kAssigned) {
      ++waiting_;
      hooks_.wait_for_label(item.ticket, item.image.id, outcome.seq, duplicate);
      continue;
    }
    answer.status =
        duplicate ? IngestStatus::kDuplicate : IngestStatus::kStored;
    hooks_.reply(item.ticket, std::move(answer));
  }
  if (any_stored) hooks_.stored();
}

void Intake::answer_busy(const Checked& item, const Error& error) {
  IngestReply answer;
  answer.id = item.image.id.str();
  answer.status = IngestStatus::kBusy;
  answer.retry_after_ms =
      static_cast<std::uint32_t>(config_.retry_after.count() * 10);
  answer.error = WireError{
      error.code == ErrorCode::kStorageFull ? "disk_full" : "store_failed",
      error.message};
  metrics_.rejected[answer.error->code].Increment();
  hooks_.reply(item.ticket, std::move(answer));
}

bool Intake::disk_is_full() const {
  struct statvfs disk {};
  if (::statvfs(data_dir_.c_str(), &disk) != 0) return false;
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize <
         config_.min_free_disk_bytes;
}

}  // namespace shoal
