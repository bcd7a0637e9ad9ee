#include <utility>

#include "clients/cpp/client.h"
#include "clients/cpp/internal/connection.h"
#include "clients/protocol/codec.h"

namespace shoal {

using internal::Clock;

class EventClient::Impl {
 public:
  explicit Impl(std::unique_ptr<internal::Connection> connection)
      : connection_(std::move(connection)) {}

  Result<void> wait_connected(std::chrono::milliseconds timeout) {
    const Clock::time_point deadline = Clock::now() + timeout;
    SHOAL_TRY(connection_->wait(std::chrono::milliseconds{0}));
    while (!connection_->is_connected()) {
      if (Clock::now() >= deadline) return connection_->not_reachable();
      SHOAL_TRY(connection_->wait(internal::until(deadline)));
    }
    return ok();
  }

  Result<std::optional<Event>> next(std::chrono::milliseconds timeout) {
    const Clock::time_point deadline = Clock::now() + timeout;
    for (;;) {
      SHOAL_TRY(frames, connection_->receive());
      if (frames.has_value()) {
        SHOAL_TRY(event, decode(*frames));
        return std::optional<Event>(std::move(event));
      }
      if (Clock::now() >= deadline) return std::nullopt;
      SHOAL_TRY(connection_->wait(internal::until(deadline)));
    }
  }

 private:
  [[nodiscard]] Result<Event> decode(
      const std::vector<std::string>& frames) const {
    if (frames.size() != 2) {
      return invalid_argument(connection_->endpoint() +
                              ": an event has two frames, not " +
                              std::to_string(frames.size()));
    }
    Result<nlohmann::json> fields = decode_map(frames[1]);
    if (fields.has_error()) {
      return fields.error().within(connection_->endpoint());
    }
    return Event{frames[0], std::move(fields.value())};
  }

  std::unique_ptr<internal::Connection> connection_;
};

EventClient::EventClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventClient::EventClient(EventClient&&) noexcept = default;
EventClient& EventClient::operator=(EventClient&&) noexcept = default;
EventClient::~EventClient() = default;

Result<EventClient> EventClient::connect(const EventOptions& options) {
  internal::ConnectionOptions connection;
  connection.endpoint = options.endpoint;
  connection.type = zmq::socket_type::sub;
  connection.high_water_mark = options.backlog;
  connection.topics = options.topics;
  SHOAL_TRY(opened, internal::Connection::open(connection));
  return EventClient(std::make_unique<Impl>(std::move(opened)));
}

Result<void> EventClient::wait_connected(std::chrono::milliseconds timeout) {
  return impl_->wait_connected(timeout);
}
Result<std::optional<Event>> EventClient::next(
    std::chrono::milliseconds timeout) {
  return impl_->next(timeout);
}

}  // namespace shoal
