#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "clients/protocol/query.h"
#include "common/channel.h"
#include "common/result.h"
#include "config/config.h"
#include "daemon/metrics/metrics.h"
#include "daemon/net/connection_gate.h"
#include "daemon/net/peer.h"
#include "daemon/query/query_ops.h"

namespace zmq {
class context_t;
class message_t;
class socket_t;
}  // namespace zmq

namespace shoal {

class RouterLoop;

struct QueryServerOptions {
  std::string address;  ///< "tcp://127.0.0.1:7302"
  std::int64_t max_message_bytes = 128LL << 20;
  int threads = 2;  ///< for reads; slow ops have one thread more
  int queue = 256;  ///< requests waiting, each kind
};

/// The query socket: one thread owns the socket, a few answer. Reads and slow
/// ops (runs, corrections, similar by image) have queues of their own, so that
/// a slow op never delays a read. A full queue is answered `busy`.
/// Thread-safe.
class QueryServer {
 public:
  /// Binds and starts. Errors: kIo.
  static Result<std::unique_ptr<QueryServer>> start(
      zmq::context_t& context, ConnectionGate& gate,
      const QueryServerOptions& options, QueryOps& ops, Metrics& metrics);
  ~QueryServer();
  QueryServer(const QueryServer&) = delete;
  QueryServer& operator=(const QueryServer&) = delete;

  /// Answers what has been taken in, then ends the threads. Idempotent.
  void stop();

 private:
  struct Job {
    Peer peer;
    QueryRequest request;
  };
  QueryServer(zmq::socket_t socket, const QueryServerOptions& options,
              QueryOps& ops, Metrics& metrics);
  void handle(const Peer& peer, const std::vector<zmq::message_t>& frames);
  void work(Channel<Job>& jobs);

  QueryOps& ops_;
  Metrics& metrics_;
  Channel<Job> reads_;
  Channel<Job> slow_;
  std::unique_ptr<RouterLoop> loop_;
  std::vector<std::thread> workers_;
};

}  // namespace shoal
