#include "daemon/net/connection_gate.h"

#include <cstring>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "common/log.h"
#include "daemon/net/socket.h"

namespace shoal {
namespace {

constexpr char kHandlerAddress[] = "inproc://zeromq.zap.01";
// Frames of a ZAP request (RFC 27): version, request id, domain, ...
constexpr std::size_t kRequestId = 1;
constexpr std::size_t kDomain = 2;

}  // namespace

Result<std::unique_ptr<ConnectionGate>> ConnectionGate::start(
    zmq::context_t& context, int max_connections, Metrics& metrics) {
  try {
    auto handler =
        std::make_unique<zmq::socket_t>(context, zmq::socket_type::rep);
    handler->set(zmq::sockopt::linger, 0);
    handler->bind(kHandlerAddress);
    return std::unique_ptr<ConnectionGate>(new ConnectionGate(
        context, std::move(handler), max_connections, metrics));
  } catch (const zmq::error_t& error) {
    return io_error(std::string("start the connection gate: ") + error.what());
  }
}

ConnectionGate::ConnectionGate(zmq::context_t& context,
                               std::unique_ptr<zmq::socket_t> handler,
                               int max_connections, Metrics& metrics)
    : context_(context),
      handler_(std::move(handler)),
      max_connections_(static_cast<std::size_t>(max_connections)),
      metrics_(metrics),
      thread_([this] { run(); }) {}

ConnectionGate::~ConnectionGate() { stop(); }

void ConnectionGate::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  added_.wake();
  thread_.join();
}

Result<void> ConnectionGate::watch(zmq::socket_t& socket,
                                   const std::string& name) {
  try {
    const std::string address = "inproc://monitor." + name;
    if (zmq_socket_monitor(socket.handle(), address.c_str(),
                           ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_CLOSED) != 0) {
      return io_error("monitor the " + name +
                      " socket: " + zmq_strerror(zmq_errno()));
    }
    auto watched = std::make_shared<Watched>();
    watched->name = name;
    watched->monitor =
        std::make_unique<zmq::socket_t>(context_, zmq::socket_type::pair);
    watched->monitor->set(zmq::sockopt::linger, 0);
    watched->monitor->connect(address);
    // The outbox hands the monitor over to the gate's thread.
    added_.put(std::move(watched));
    socket.set(zmq::sockopt::zap_domain, name);
    return ok();
  } catch (const zmq::error_t& error) {
    return io_error("watch the " + name + " socket: " + error.what());
  }
}

void ConnectionGate::run() {
  while (!stopping_) {
    std::vector<zmq::pollitem_t> items{{nullptr, added_.fd(), ZMQ_POLLIN, 0},
                                       {handler_->handle(), 0, ZMQ_POLLIN, 0}};
    std::vector<std::shared_ptr<Watched>> order;
    for (const auto& [name, watched] : watched_) {
      items.push_back({watched->monitor->handle(), 0, ZMQ_POLLIN, 0});
      order.push_back(watched);
    }
    poll_sockets(items.data(), items.size());
    // Events first: they say how many there are.
    for (std::size_t i = 0; i < order.size(); ++i) {
      if ((items[i + 2].revents & ZMQ_POLLIN) != 0) take_event(*order[i]);
    }
    if ((items[1].revents & ZMQ_POLLIN) != 0) answer_handshake();
    for (auto& watched : added_.take_all()) {
      watched_[watched->name] = std::move(watched);
    }
  }
  watched_.clear();
  handler_->close();  // on the thread that used it
}

void ConnectionGate::take_event(Watched& watched) {
  const auto frames = receive_frames(*watched.monitor);
  if (frames.empty() || frames[0].size() < 6) return;
  std::uint16_t event = 0;
  std::uint32_t descriptor = 0;
  const auto* bytes = static_cast<const char*>(frames[0].data());
  std::memcpy(&event, bytes, sizeof event);
  std::memcpy(&descriptor, bytes + sizeof event, sizeof descriptor);
  if (event == ZMQ_EVENT_ACCEPTED) {
    watched.connections.insert(descriptor);
  } else {
    watched.connections.erase(descriptor);
  }
  metrics_.connections[watched.name].Set(
      static_cast<double>(watched.connections.size()));
}

void ConnectionGate::answer_handshake() {
  const auto request = receive_frames(*handler_);
  if (request.size() <= kDomain) return;
  const std::string domain = request[kDomain].to_string();
  const auto it = watched_.find(domain);
  // The connection that asks is among those counted.
  const bool full =
      it != watched_.end() && it->second->connections.size() > max_connections_;
  if (full) {
    metrics_.connections_refused.Increment();
    spdlog::warn("event=connection_refused socket={} connections={}", domain,
                 it->second->connections.size());
  }
  const std::string id = request[kRequestId].to_string();
  const std::string frames[] = {
      "1.0", id, full ? "300" : "200", full ? "too many connections" : "OK",
      "",    ""};
  for (std::size_t i = 0; i < std::size(frames); ++i) {
    handler_->send(zmq::buffer(frames[i]), i + 1 < std::size(frames)
                                               ? zmq::send_flags::sndmore
                                               : zmq::send_flags::none);
  }
}

}  // namespace shoal
