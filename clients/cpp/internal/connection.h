#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <zmq.hpp>

#include "common/result.h"

namespace shoal::internal {

using Clock = std::chrono::steady_clock;

struct ConnectionOptions {
  std::string endpoint;
  zmq::socket_type type = zmq::socket_type::dealer;
  /// Most messages queued in each direction.
  int high_water_mark = 1000;
  /// A larger message from the peer closes the connection.
  std::int64_t max_message_bytes = 1 << 20;
  std::vector<std::string> topics;  ///< subscriptions of a SUB socket
};

/// A connected socket with every setting whose ZeroMQ default would drop, grow
/// or wait without a word set on purpose, and that knows whether the peer is
/// there. Owner-thread: the socket lives and dies on it.
class Connection {
 public:
  /// Errors: kInvalidArgument for a malformed endpoint, kInternal.
  static Result<std::unique_ptr<Connection>> open(
      const ConnectionOptions& options);

  /// Waits until a message can be received, the connection comes or goes, or
  /// `timeout` is over. Errors: kInternal.
  [[nodiscard]] Result<void> wait(std::chrono::milliseconds timeout);

  /// The frames of the next message, if one is there. Errors: kInternal.
  [[nodiscard]] Result<std::optional<std::vector<std::string>>> receive();

  /// Queues a message of one frame, or of two when `body` is given; the body
  /// is not copied. False when it cannot be queued now. Errors: kInternal.
  [[nodiscard]] Result<bool> send(
      std::string_view head,
      const std::shared_ptr<const std::string>& body = nullptr);

  /// As of the last wait().
  [[nodiscard]] bool is_connected() const { return is_connected_; }
  /// Counts the connections made: when it changes, whatever was sent before
  /// may be lost.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

  /// "no daemon at ENDPOINT: ...": kUnavailable.
  [[nodiscard]] Error not_reachable() const;

 private:
  explicit Connection(const ConnectionOptions& options);
  void read_monitor();

  std::string endpoint_;
  // In this order: the sockets end before their context, which waits for them.
  zmq::context_t context_;
  zmq::socket_t socket_;
  zmq::socket_t monitor_;
  bool is_connected_ = false;
  std::uint64_t generation_ = 0;
};

/// Whole milliseconds until `deadline`, rounded up, never negative.
[[nodiscard]] std::chrono::milliseconds until(Clock::time_point deadline);

}  // namespace shoal::internal
