#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clients/protocol/ingest.h"
#include "common/result.h"
#include "daemon/metrics/metrics.h"
#include "daemon/net/connection_gate.h"
#include "daemon/net/peer.h"
#include "daemon/pipeline/intake.h"
#include "daemon/pipeline/ticket.h"

namespace zmq {
class context_t;
class message_t;
class socket_t;
}  // namespace zmq

namespace shoal {

class RouterLoop;

/// What the ingest socket does with messages and how it pushes back.
struct IngestServerOptions {
  std::string address;  ///< "tcp://127.0.0.1:7301"
  std::int64_t max_message_bytes = 128LL << 20;
  std::uint64_t max_image_bytes = 32ULL << 20;
  std::uint32_t retry_after_ms = 100;
};

/// The ingest socket: reads requests, hands them to the intake and sends the
/// replies that come back, on one thread that owns the socket. Past any limit
/// the answer is `busy`; nothing is dropped without an answer.
/// Thread-safe.
class IngestServer {
 public:
  /// Binds and starts. Errors: kIo.
  static Result<std::unique_ptr<IngestServer>> start(
      zmq::context_t& context, ConnectionGate& gate,
      const IngestServerOptions& options, Intake& intake, Metrics& metrics);
  ~IngestServer();
  IngestServer(const IngestServer&) = delete;
  IngestServer& operator=(const IngestServer&) = delete;

  /// Sends `reply` to the ticket's client.
  void reply(const Ticket& ticket, IngestReply reply);

  /// From now on every new image is answered `busy`: shutting down.
  void refuse_new();
  /// Sends the replies that are waiting, then ends the thread. Idempotent.
  void stop();

 private:
  IngestServer(zmq::socket_t socket, const IngestServerOptions& options,
               Intake& intake, Metrics& metrics);
  void handle(const Peer& peer, const std::vector<zmq::message_t>& frames);

  IngestServerOptions options_;
  Intake& intake_;
  Metrics& metrics_;
  std::atomic<bool> refusing_{false};
  std::unique_ptr<RouterLoop> loop_;
};

}  // namespace shoal
