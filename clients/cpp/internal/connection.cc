#include "clients/cpp/internal/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace shoal::internal {
namespace {

constexpr char kMonitorEndpoint[] = "inproc://monitor";

Error zmq_failure(std::string_view what, const zmq::error_t& error) {
  return internal_error(std::string(what) + ": " + error.what());
}

/// A message that shares `bytes` with the caller.
zmq::message_t share(const std::shared_ptr<const std::string>& bytes) {
  using Owner = std::shared_ptr<const std::string>;
  auto owner = std::make_unique<Owner>(bytes);
  // ZeroMQ only reads the data of a message that it sends.
  zmq::message_t message(
      const_cast<char*>(bytes->data()), bytes->size(),
      [](void*, void* hint) { delete static_cast<Owner*>(hint); }, owner.get());
  // From here the message's free function owns it.
  static_cast<void>(owner.release());
  return message;
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(
    const ConnectionOptions& options) {
  try {
    return std::unique_ptr<Connection>(new Connection(options));
  } catch (const zmq::error_t& error) {
    if (error.num() == EINVAL || error.num() == EPROTONOSUPPORT) {
      return invalid_argument("'" + options.endpoint +
                              "' is not an endpoint such as "
                              "tcp://127.0.0.1:7301");
    }
    return zmq_failure("connect to " + options.endpoint, error);
  }
}

Connection::Connection(const ConnectionOptions& options)
    : endpoint_(options.endpoint),
      context_(1),
      socket_(context_, options.type),
      monitor_(context_, zmq::socket_type::pair) {
  socket_.set(zmq::sockopt::sndhwm, options.high_water_mark);
  socket_.set(zmq::sockopt::rcvhwm, options.high_water_mark);
  socket_.set(zmq::sockopt::maxmsgsize, options.max_message_bytes);
  // Whoever waits for an answer keeps the message: nothing is left to linger
  // for when the socket is closed.
  socket_.set(zmq::sockopt::linger, 0);
  // Only to a peer that is there: else messages pile up for one that may
  // never come, and are sent a second time when it does.
  socket_.set(zmq::sockopt::immediate, true);
  socket_.set(zmq::sockopt::reconnect_ivl, 100);
  socket_.set(zmq::sockopt::reconnect_ivl_max, 2'000);
  // A peer that vanished without closing is noticed.
  socket_.set(zmq::sockopt::heartbeat_ivl, 5'000);
  socket_.set(zmq::sockopt::heartbeat_timeout, 15'000);
  socket_.set(zmq::sockopt::heartbeat_ttl, 30'000);
  for (const std::string& topic : options.topics) {
    socket_.set(zmq::sockopt::subscribe, topic);
  }
  if (zmq_socket_monitor(
          socket_.handle(), kMonitorEndpoint,
          ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0) {
    throw zmq::error_t();
  }
  monitor_.set(zmq::sockopt::linger, 0);
  monitor_.connect(kMonitorEndpoint);
  socket_.connect(endpoint_);
}

Result<void> Connection::wait(std::chrono::milliseconds timeout) {
  try {
    std::array<zmq::pollitem_t, 2> items = {
        zmq::pollitem_t{socket_.handle(), 0, ZMQ_POLLIN, 0},
        zmq::pollitem_t{monitor_.handle(), 0, ZMQ_POLLIN, 0}};
    zmq::poll(items, timeout);
    read_monitor();
  } catch (const zmq::error_t& error) {
    // A signal: nothing is ready, and the caller waits again.
    if (error.num() == EINTR) return ok();
    return zmq_failure("wait for " + endpoint_, error);
  }
  return ok();
}

void Connection::read_monitor() {
  zmq::message_t message;
  while (monitor_.recv(message, zmq::recv_flags::dontwait).has_value()) {
    std::uint16_t event = 0;
    if (message.size() >= sizeof event) {
      std::memcpy(&event, message.data(), sizeof event);
    }
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      is_connected_ = true;
      ++generation_;
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
      is_connected_ = false;
    }
    // Second frame: the address.
    if (message.more()) {
      static_cast<void>(monitor_.recv(message, zmq::recv_flags::none));
    }
  }
}

Result<std::optional<std::vector<std::string>>> Connection::receive() {
  try {
    zmq::message_t message;
    if (!socket_.recv(message, zmq::recv_flags::dontwait).has_value()) {
      return std::nullopt;
    }
    std::vector<std::string> frames;
    frames.push_back(message.to_string());
    // The frames of a message arrive together.
    while (message.more()) {
      static_cast<void>(socket_.recv(message, zmq::recv_flags::none));
      frames.push_back(message.to_string());
    }
    return std::optional<std::vector<std::string>>(std::move(frames));
  } catch (const zmq::error_t& error) {
    if (error.num() == EINTR) return std::nullopt;
    return zmq_failure("receive from " + endpoint_, error);
  }
}

Result<bool> Connection::send(std::string_view head,
                              const std::shared_ptr<const std::string>& body) {
  try {
    const auto flags = zmq::send_flags::dontwait;
    if (body == nullptr) {
      return socket_.send(zmq::buffer(head), flags).has_value();
    }
    if (!socket_.send(zmq::buffer(head), flags | zmq::send_flags::sndmore)
             .has_value()) {
      return false;
    }
    zmq::message_t message = share(body);
    return socket_.send(message, flags).has_value();
  } catch (const zmq::error_t& error) {
    if (error.num() == EINTR) return false;
    return zmq_failure("send to " + endpoint_, error);
  }
}

Error Connection::not_reachable() const {
  return unavailable("no daemon at " + endpoint_ +
                     ": check that shoald runs and listens there");
}

std::chrono::milliseconds until(Clock::time_point deadline) {
  using std::chrono::milliseconds;
  return std::max(milliseconds{0},
                  std::chrono::ceil<milliseconds>(deadline - Clock::now()));
}

}  // namespace shoal::internal
