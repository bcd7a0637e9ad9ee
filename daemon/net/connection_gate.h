#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "common/result.h"
#include "daemon/metrics/metrics.h"
#include "daemon/net/outbox.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace shoal {

/// Decides which connections the ZeroMQ sockets take: a ZAP handler (ZeroMQ
/// RFC 27) that knows from socket monitors how many each socket has, and
/// refuses further ones for the time being (status 300). A refused client, and
/// a connection that never says a word, is closed by ZeroMQ's handshake
/// timeout; a client then tries again by itself.
///
/// One per context; must be started before, and stopped after, the sockets.
/// Thread-safe.
class ConnectionGate {
 public:
  /// @param max_connections  of each watched socket
  /// Errors: kIo.
  static Result<std::unique_ptr<ConnectionGate>> start(zmq::context_t& context,
                                                       int max_connections,
                                                       Metrics& metrics);
  ~ConnectionGate();
  ConnectionGate(const ConnectionGate&) = delete;
  ConnectionGate& operator=(const ConnectionGate&) = delete;

  /// Puts `socket` under the gate. Call before binding it, on its thread.
  /// Errors: kIo.
  Result<void> watch(zmq::socket_t& socket, const std::string& name);

  /// Ends the thread. Idempotent.
  void stop();

 private:
  struct Watched {
    std::string name;
    std::unique_ptr<zmq::socket_t> monitor;
    std::set<std::uint32_t> connections;  ///< by file descriptor
  };

  ConnectionGate(zmq::context_t& context,
                 std::unique_ptr<zmq::socket_t> handler, int max_connections,
                 Metrics& metrics);
  void run();
  void take_event(Watched& watched);
  void answer_handshake();

  zmq::context_t& context_;
  std::unique_ptr<zmq::socket_t> handler_;
  const std::size_t max_connections_;
  Metrics& metrics_;
  Outbox<std::shared_ptr<Watched>> added_;
  std::map<std::string, std::shared_ptr<Watched>> watched_;  ///< gate thread
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace shoal
