#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/protocol/ingest.h"
#include "common/result.h"

namespace shoal {

/// Where a daemon listens.
struct Endpoints {
  static constexpr int kDefaultPortBase = 7301;

  std::string ingest = "tcp://127.0.0.1:7301";
  std::string query = "tcp://127.0.0.1:7302";
  std::string events = "tcp://127.0.0.1:7303";

  /// Ports `port_base` (ingest) and the two after it, as the daemon's
  /// --port-base sets them. Errors: kInvalidArgument outside 1..65532.
  static Result<Endpoints> from_port_base(int port_base,
                                          std::string_view host = "127.0.0.1");
  /// `text` is tcp://HOST or tcp://HOST:PORT with the port base as PORT.
  /// Errors: kInvalidArgument.
  static Result<Endpoints> parse(std::string_view text);
};

/// An image on its way to the daemon.
struct IngestImage {
  /// `seq` is set by the client.
  IngestHeader header;
  std::string bytes;
};

/// What became of an image.
struct IngestOutcome {
  std::uint64_t seq = 0;  ///< as submit() returned it
  /// Never kBusy: that is retried.
  IngestReply reply;
};

struct IngestOptions {
  std::string endpoint = Endpoints{}.ingest;
  /// Most images, and about the most bytes, taken and not yet answered.
  std::size_t window = 64;
  std::size_t window_bytes = std::size_t{64} << 20U;
  /// An image that is not answered is sent again after this long, then after
  /// twice as long, and so on up to eight times as long.
  std::chrono::milliseconds resend_after{15'000};
  /// poll() reports an error when images wait for an answer and for this long
  /// there was no connection ...
  std::chrono::milliseconds unreachable_after{5'000};
  /// ... or the daemon said nothing at all ...
  std::chrono::milliseconds silent_after{60'000};
  /// ... or it said nothing but "busy".
  std::chrono::milliseconds busy_after{300'000};
};

/// Sends images and sees each of them through: keeps a window of images in
/// flight, waits and retries when the daemon is busy (sending fewer at once),
/// sends again what a lost connection or a silent daemon left unanswered. The
/// protocol is idempotent, so an image is stored once however often it was
/// sent.
///
///     while (client.has_room()) client.submit(next_image());
///     const auto outcomes = client.poll(1s);  // then look at each
///
/// Not for a process that must not lose images when it dies itself: the
/// window lives in memory, and destroying the client abandons it.
/// Owner-thread.
class IngestClient {
 public:
  /// Connects in the background; that the daemon is not there shows in poll().
  /// Errors: kInvalidArgument for a malformed endpoint, kInternal.
  static Result<IngestClient> connect(const IngestOptions& options);
  IngestClient(IngestClient&&) noexcept;
  IngestClient& operator=(IngestClient&&) noexcept;
  IngestClient(const IngestClient&) = delete;
  IngestClient& operator=(const IngestClient&) = delete;
  ~IngestClient();

  /// Whether submit() would take an image.
  [[nodiscard]] bool has_room() const;
  /// Images taken and not yet answered for.
  [[nodiscard]] std::size_t in_flight() const;

  /// Takes an image and returns the number that its outcome will carry.
  /// Errors: kResourceExhausted when the window is full: poll() first.
  [[nodiscard]] Result<std::uint64_t> submit(IngestImage image);

  /// Waits until an image's fate is known, or for `timeout`, and does all
  /// sending: call it regularly while images are in flight. Returns at once
  /// when none is.
  /// Errors, which leave the window as it is, so that a client with patience
  /// may go on polling: kUnavailable (no connection), kDeadlineExceeded (no
  /// answer), kResourceExhausted (only "busy"; the message says why),
  /// kInvalidArgument (the peer does not speak the protocol), kInternal.
  [[nodiscard]] Result<std::vector<IngestOutcome>> poll(
      std::chrono::milliseconds timeout);

 private:
  class Impl;
  explicit IngestClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct QueryOptions {
  std::string endpoint = Endpoints{}.query;
  /// How long to wait for an answer ...
  std::chrono::milliseconds timeout{10'000};
  /// ... and, of that, for a connection.
  std::chrono::milliseconds unreachable_after{3'000};
};

/// Asks one question at a time. Owner-thread.
class QueryClient {
 public:
  /// Connects in the background; that the daemon is not there shows in call().
  /// Errors: kInvalidArgument for a malformed endpoint, kInternal.
  static Result<QueryClient> connect(const QueryOptions& options);
  QueryClient(QueryClient&&) noexcept;
  QueryClient& operator=(QueryClient&&) noexcept;
  QueryClient(const QueryClient&) = delete;
  QueryClient& operator=(const QueryClient&) = delete;
  ~QueryClient();

  /// The fields of the reply to `op`, without v, op, seq and ok. Nothing is
  /// sent twice, as corrections are not idempotent.
  /// @param fields  a map, or null for an empty one: those of the request
  /// Errors: kUnavailable (no connection, or lost while waiting),
  /// kDeadlineExceeded (no answer), kInvalidArgument (the peer does not speak
  /// the protocol), kInternal; and the daemon's refusals, whose message ends
  /// with the wire code in brackets.
  [[nodiscard]] Result<nlohmann::json> call(
      std::string_view op,
      const nlohmann::json& fields = nlohmann::json::object());

 private:
  class Impl;
  explicit QueryClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Event {
  std::string topic;
  nlohmann::json fields;
};

struct EventOptions {
  std::string endpoint = Endpoints{}.events;
  /// Prefixes of topics; "" is all.
  std::vector<std::string> topics = {""};
  /// Most events kept here before they are fetched; later ones are lost.
  int backlog = 10'000;
};

/// Listens to what happens. Events are news, not the record: some are missed
/// while there is no connection or the backlog is full. Owner-thread.
class EventClient {
 public:
  /// Errors: kInvalidArgument for a malformed endpoint, kInternal.
  static Result<EventClient> connect(const EventOptions& options);
  EventClient(EventClient&&) noexcept;
  EventClient& operator=(EventClient&&) noexcept;
  EventClient(const EventClient&) = delete;
  EventClient& operator=(const EventClient&) = delete;
  ~EventClient();

  /// Waits until the daemon is connected. Errors: kUnavailable.
  [[nodiscard]] Result<void> wait_connected(std::chrono::milliseconds timeout);
  /// The next event; nothing when none came in `timeout`. Errors:
  /// kInvalidArgument (the peer does not speak the protocol), kInternal.
  [[nodiscard]] Result<std::optional<Event>> next(
      std::chrono::milliseconds timeout);

 private:
  class Impl;
  explicit EventClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal
