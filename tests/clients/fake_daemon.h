#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "clients/protocol/query.h"

namespace shoal::test {

using Frames = std::vector<std::string>;

/// A ROUTER that answers with what its handler sends. The handler runs on the
/// socket's thread: what it touches may be read once the router is gone.
class FakeRouter {
 public:
  using Send = std::function<void(const Frames&)>;
  /// Called with the frames of a message and how to send to its peer; the
  /// latter may be kept and called later from the handler.
  using Handler = std::function<void(const Frames&, const Send&)>;

  /// Nothing when `endpoint` is taken.
  static std::unique_ptr<FakeRouter> bind(
      Handler handler, const std::string& endpoint = "tcp://127.0.0.1:*") {
    std::unique_ptr<FakeRouter> router(new FakeRouter(std::move(handler)));
    std::promise<std::string> bound;
    std::future<std::string> endpoint_of = bound.get_future();
    router->thread_ = std::thread(
        [raw = router.get(), endpoint, bound = std::move(bound)]() mutable {
          raw->serve(endpoint, bound);
        });
    router->endpoint_ = endpoint_of.get();
    return router->endpoint_.empty() ? nullptr : std::move(router);
  }
  FakeRouter(const FakeRouter&) = delete;
  FakeRouter& operator=(const FakeRouter&) = delete;
  ~FakeRouter() {
    is_stopped_ = true;
    thread_.join();
  }

  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

 private:
  explicit FakeRouter(Handler handler) : handler_(std::move(handler)) {}

  void serve(const std::string& endpoint, std::promise<std::string>& bound) {
    zmq::context_t context(1);
    zmq::socket_t socket(context, zmq::socket_type::router);
    socket.set(zmq::sockopt::linger, 0);
    try {
      socket.bind(endpoint);
    } catch (const zmq::error_t&) {
      bound.set_value("");
      return;
    }
    bound.set_value(socket.get(zmq::sockopt::last_endpoint));
    while (!is_stopped_) {
      std::vector<zmq::pollitem_t> items = {
          {socket.handle(), 0, ZMQ_POLLIN, 0}};
      zmq::poll(items, std::chrono::milliseconds(10));
      zmq::message_t message;
      if (!socket.recv(message, zmq::recv_flags::dontwait)) continue;
      const std::string peer = message.to_string();
      Frames frames;
      while (message.more()) {
        static_cast<void>(socket.recv(message));
        frames.push_back(message.to_string());
      }
      handler_(frames, [&socket, peer](const Frames& reply) {
        socket.send(zmq::buffer(peer), zmq::send_flags::sndmore);
        for (std::size_t i = 0; i < reply.size(); ++i) {
          socket.send(zmq::buffer(reply[i]), i + 1 < reply.size()
                                                 ? zmq::send_flags::sndmore
                                                 : zmq::send_flags::none);
        }
      });
    }
    // Replies that the handler kept refer to the socket.
    handler_ = nullptr;
  }

  Handler handler_;
  std::string endpoint_;
  std::atomic<bool> is_stopped_{false};
  std::thread thread_;
};

/// A PUB that says the same events over and over, so that a subscriber gets
/// them whenever it comes.
class FakePublisher {
 public:
  /// Nothing when `endpoint` is taken.
  static std::unique_ptr<FakePublisher> bind(
      std::vector<Frames> events,
      const std::string& endpoint = "tcp://127.0.0.1:*") {
    std::unique_ptr<FakePublisher> publisher(new FakePublisher);
    std::promise<std::string> bound;
    std::future<std::string> endpoint_of = bound.get_future();
    publisher->thread_ = std::thread([raw = publisher.get(), endpoint,
                                      events = std::move(events),
                                      bound = std::move(bound)]() mutable {
      raw->publish(endpoint, events, bound);
    });
    publisher->endpoint_ = endpoint_of.get();
    return publisher->endpoint_.empty() ? nullptr : std::move(publisher);
  }
  FakePublisher(const FakePublisher&) = delete;
  FakePublisher& operator=(const FakePublisher&) = delete;
  ~FakePublisher() {
    stop_.set_value();
    thread_.join();
  }

  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

 private:
  FakePublisher() : stopped_(stop_.get_future()) {}

  void publish(const std::string& endpoint, const std::vector<Frames>& events,
               std::promise<std::string>& bound) {
    zmq::context_t context(1);
    zmq::socket_t socket(context, zmq::socket_type::pub);
    socket.set(zmq::sockopt::linger, 0);
    try {
      socket.bind(endpoint);
    } catch (const zmq::error_t&) {
      bound.set_value("");
      return;
    }
    bound.set_value(socket.get(zmq::sockopt::last_endpoint));
    do {
      for (const Frames& event : events) {
        socket.send(zmq::buffer(event[0]), zmq::send_flags::sndmore);
        socket.send(zmq::buffer(event[1]), zmq::send_flags::none);
      }
    } while (stopped_.wait_for(std::chrono::milliseconds(20)) ==
             std::future_status::timeout);
  }

  std::string endpoint_;
  std::promise<void> stop_;
  std::future<void> stopped_;
  std::thread thread_;
};

/// Three sockets on three ports in a row, as the daemon has them.
struct FakeDaemon {
  int port_base = 0;
  std::unique_ptr<FakeRouter> ingest;
  std::unique_ptr<FakeRouter> query;
  std::unique_ptr<FakePublisher> events;

  static FakeDaemon start(const FakeRouter::Handler& ingest,
                          const FakeRouter::Handler& query,
                          const std::vector<Frames>& events = {}) {
    for (;;) {
      FakeDaemon daemon;
      daemon.ingest = FakeRouter::bind(ingest);
      const std::string& first = daemon.ingest->endpoint();
      daemon.port_base = std::stoi(first.substr(first.rfind(':') + 1));
      const auto at = [&](int offset) {
        return "tcp://127.0.0.1:" + std::to_string(daemon.port_base + offset);
      };
      daemon.query = FakeRouter::bind(query, at(1));
      daemon.events = FakePublisher::bind(events, at(2));
      if (daemon.query != nullptr && daemon.events != nullptr) return daemon;
    }
  }
};

}  // namespace shoal::test
