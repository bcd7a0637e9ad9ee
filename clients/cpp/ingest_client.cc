#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "clients/cpp/client.h"
#include "clients/cpp/internal/connection.h"

namespace shoal {
namespace {

using internal::Clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff{50};
constexpr milliseconds kLongestBackoff{5'000};
/// A resend's delay doubles at most this often.
constexpr int kMostResendDoublings = 3;
/// However busy the daemon, so many may be unanswered: one that is slow does
/// not hold up the others.
constexpr std::size_t kLeastSendLimit = 4;
/// How long a full send queue is left alone.
constexpr milliseconds kQueueFullPause{10};

/// An image that has no final answer yet.
struct InFlight {
  std::string header;  ///< encoded
  std::shared_ptr<const std::string> bytes;
  bool is_sent = false;  ///< and not yet answered
  /// When to send it, first or again.
  Clock::time_point due;
  Clock::time_point sent_at;
  int sends = 0;  ///< in a row that met with silence
  int busy_answers = 0;
};

milliseconds doubled(milliseconds start, int times, milliseconds most) {
  milliseconds value = start;
  for (int i = 0; i < times && value < most; ++i) value *= 2;
  return std::min(value, most);
}

}  // namespace

class IngestClient::Impl {
 public:
  Impl(const IngestOptions& options,
       std::unique_ptr<internal::Connection> connection)
      : options_(options),
        connection_(std::move(connection)),
        send_limit_(options.window),
        random_(std::random_device{}()) {}

  [[nodiscard]] bool has_room() const {
    return images_.size() < options_.window && bytes_ < options_.window_bytes;
  }
  [[nodiscard]] std::size_t in_flight() const { return images_.size(); }

  Result<std::uint64_t> submit(IngestImage image) {
    if (!has_room()) {
      return resource_exhausted("the window of " +
                                std::to_string(options_.window) +
                                " images is full: poll first");
    }
    const Clock::time_point now = Clock::now();
    if (images_.empty()) start_waiting(now);
    image.header.seq = ++last_seq_;
    InFlight entry;
    entry.header = encode_ingest_header(image.header);
    entry.bytes = std::make_shared<const std::string>(std::move(image.bytes));
    entry.due = now;
    bytes_ += entry.bytes->size();
    images_.emplace(last_seq_, std::move(entry));
    SHOAL_TRY(send_due(now));
    return last_seq_;
  }

  Result<std::vector<IngestOutcome>> poll(milliseconds timeout) {
    const Clock::time_point deadline = Clock::now() + timeout;
    milliseconds wait{0};
    std::vector<IngestOutcome> outcomes;
    for (;;) {
      SHOAL_TRY(connection_->wait(wait));
      const Clock::time_point now = Clock::now();
      notice_connection(now);
      SHOAL_TRY(receive(now, outcomes));
      SHOAL_TRY(send_due(now));
      if (!outcomes.empty() || images_.empty()) return outcomes;
      SHOAL_TRY(check_progress(now));
      if (now >= deadline) return outcomes;
      wait = internal::until(std::min(deadline, next_change()));
    }
  }

 private:
  void start_waiting(Clock::time_point now) {
    last_heard_ = now;
    last_outcome_ = now;
    last_connected_ = now;
  }

  /// After a new connection whatever was sent over the old one is sent again:
  /// it, or its answer, may be lost.
  void notice_connection(Clock::time_point now) {
    if (connection_->is_connected()) last_connected_ = now;
    if (connection_->generation() == generation_) return;
    generation_ = connection_->generation();
    for (auto& [seq, entry] : images_) {
      if (!entry.is_sent) continue;
      entry.is_sent = false;
      entry.due = now;
    }
    sent_ = 0;
  }

  Result<void> send_due(Clock::time_point now) {
    if (!connection_->is_connected()) return ok();
    for (auto& [seq, entry] : images_) {
      if (entry.due > now) continue;
      if (!entry.is_sent && sent_ >= send_limit_) {
        continue;
      }
      SHOAL_TRY(queued, connection_->send(entry.header, entry.bytes));
      if (!queued) {
        entry.due = now + kQueueFullPause;
        return ok();
      }
      if (!entry.is_sent) ++sent_;
      entry.is_sent = true;
      entry.sent_at = now;
      entry.due =
          now + doubled(options_.resend_after, entry.sends,
                        options_.resend_after * (1 << kMostResendDoublings));
      ++entry.sends;
    }
    return ok();
  }

  Result<void> receive(Clock::time_point now,
                       std::vector<IngestOutcome>& outcomes) {
    for (;;) {
      SHOAL_TRY(frames, connection_->receive());
      if (!frames.has_value()) return ok();
      Result<IngestReply> reply = decode_ingest_reply(frames->back());
      if (reply.has_error()) {
        return reply.error().within(connection_->endpoint());
      }
      last_heard_ = now;
      const auto at = images_.find(reply.value().seq);
      // The second answer to an image that was sent twice.
      if (at == images_.end()) continue;
      if (at->second.is_sent) --sent_;
      if (reply.value().status == IngestStatus::kBusy) {
        put_off(at->second, reply.value(), now);
        continue;
      }
      bytes_ -= at->second.bytes->size();
      images_.erase(at);
      last_outcome_ = now;
      send_limit_ = std::min(send_limit_ + 1, options_.window);
      outcomes.push_back({reply.value().seq, std::move(reply.value())});
    }
  }

  /// Sends it later, and fewer at once: half as many, one more after each
  /// outcome. Refusals of what was sent before the last halving tell nothing
  /// new.
  void put_off(InFlight& entry, const IngestReply& busy,
               Clock::time_point now) {
    if (busy.error.has_value()) busy_reason_ = busy.error->message;
    entry.is_sent = false;
    entry.sends = 0;
    const milliseconds backoff =
        doubled(kFirstBackoff, entry.busy_answers, kLongestBackoff);
    const milliseconds asked{busy.retry_after_ms.value_or(0)};
    const auto delay = std::max(backoff, asked).count();
    // Up to a quarter more, so that clients that were refused together do not
    // come back together.
    std::uniform_int_distribution<milliseconds::rep> jitter(0, delay / 4);
    entry.due = now + milliseconds(delay + jitter(random_));
    ++entry.busy_answers;
    if (entry.sent_at <= halved_at_) return;
    halved_at_ = now;
    send_limit_ =
        std::max(std::min(kLeastSendLimit, options_.window), send_limit_ / 2);
  }

  Result<void> check_progress(Clock::time_point now) {
    const auto report = [&](Error error) -> Result<void> {
      start_waiting(now);
      return error;
    };
    if (now - last_connected_ >= options_.unreachable_after) {
      return report(connection_->not_reachable());
    }
    const std::string waiting =
        " (" + std::to_string(images_.size()) + " images wait)";
    if (now - last_heard_ >= options_.silent_after) {
      return report({ErrorCode::kDeadlineExceeded,
                     connection_->endpoint() + " did not answer in time" +
                         waiting + ": check that shoald runs well"});
    }
    if (now - last_outcome_ >= options_.busy_after) {
      return report(resource_exhausted(
          connection_->endpoint() + " is busy for too long" + waiting +
          (busy_reason_.empty() ? "" : ": " + busy_reason_)));
    }
    return ok();
  }

  /// When poll() next has something to do by itself.
  [[nodiscard]] Clock::time_point next_change() const {
    Clock::time_point next = std::min({
        last_connected_ + options_.unreachable_after,
        last_heard_ + options_.silent_after,
        last_outcome_ + options_.busy_after,
    });
    const bool may_send = sent_ < send_limit_;
    for (const auto& [seq, entry] : images_) {
      if (connection_->is_connected() && (entry.is_sent || may_send)) {
        next = std::min(next, entry.due);
      }
    }
    return next;
  }

  IngestOptions options_;
  std::unique_ptr<internal::Connection> connection_;
  std::map<std::uint64_t, InFlight> images_;
  std::uint64_t last_seq_ = 0;
  std::size_t bytes_ = 0;   ///< of images_
  std::size_t sent_ = 0;    ///< of images_, is_sent
  std::size_t send_limit_;  ///< of sent_, at most the window
  Clock::time_point halved_at_;
  std::uint64_t generation_ = 0;
  Clock::time_point last_connected_;
  Clock::time_point last_heard_;
  Clock::time_point last_outcome_;
  std::string busy_reason_;
  std::minstd_rand random_;
};

IngestClient::IngestClient(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
IngestClient::IngestClient(IngestClient&&) noexcept = default;
IngestClient& IngestClient::operator=(IngestClient&&) noexcept = default;
IngestClient::~IngestClient() = default;

Result<IngestClient> IngestClient::connect(const IngestOptions& options) {
  if (options.window == 0) return invalid_argument("the window is 0 images");
  internal::ConnectionOptions connection;
  connection.endpoint = options.endpoint;
  // The window and its resends; no more is ever queued.
  connection.high_water_mark =
      static_cast<int>(std::min<std::size_t>(2 * options.window, 1'000'000));
  connection.max_message_bytes = std::int64_t{64} << 10U;
  SHOAL_TRY(opened, internal::Connection::open(connection));
  return IngestClient(std::make_unique<Impl>(options, std::move(opened)));
}

bool IngestClient::has_room() const { return impl_->has_room(); }
std::size_t IngestClient::in_flight() const { return impl_->in_flight(); }
Result<std::uint64_t> IngestClient::submit(IngestImage image) {
  return impl_->submit(std::move(image));
}
Result<std::vector<IngestOutcome>> IngestClient::poll(milliseconds timeout) {
  return impl_->poll(timeout);
}

}  // namespace shoal
