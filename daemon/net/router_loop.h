#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <zmq.hpp>

#include "daemon/metrics/metrics.h"
#include "daemon/net/outbox.h"
#include "daemon/net/peer.h"

namespace shoal {

/// The thread that owns a ROUTER socket: hands messages to a handler and
/// sends the replies that any thread gives it. Private to daemon/net.
/// Thread-safe.
class RouterLoop {
 public:
  /// Called on the loop's thread with a message's frames, without the peer's
  /// name and delimiter.
  using Handler =
      std::function<void(const Peer&, const std::vector<zmq::message_t>&)>;

  /// Takes over a bound socket.
  RouterLoop(zmq::socket_t socket, Handler handler, Metrics& metrics);
  ~RouterLoop();
  RouterLoop(const RouterLoop&) = delete;
  RouterLoop& operator=(const RouterLoop&) = delete;

  /// Starts the thread: call once, when all that the handler needs is there.
  void start();
  /// Sends one frame to a peer. One that is gone, or does not read, is
  /// counted.
  void reply(const Peer& peer, std::string body);
  /// Sends what is waiting, then ends the thread. Idempotent.
  void stop();

 private:
  struct Outgoing {
    Peer peer;
    std::string body;
  };
  void run();
  /// False when no message was waiting.
  bool handle_message();
  void flush_replies();

  zmq::socket_t socket_;
  Handler handler_;
  Metrics& metrics_;
  Outbox<Outgoing> outbox_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace shoal
