#pragma once

#include <atomic>
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
#include "daemon/net/outbox.h"
#include "daemon/query/query_ops.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace shoal {

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
      zmq::context_t& context, const QueryServerOptions& options, QueryOps& ops,
      Metrics& metrics);
  ~QueryServer();
  QueryServer(const QueryServer&) = delete;
  QueryServer& operator=(const QueryServer&) = delete;

  /// Answers what has been taken in, then ends the threads. Idempotent.
  void stop();

 private:
  struct Job {
    std::string peer;
    bool with_delimiter = false;
    QueryRequest request;
  };
  struct Outgoing {
    std::string peer;
    bool with_delimiter = false;
    std::string body;
  };

  QueryServer(zmq::socket_t socket, const QueryServerOptions& options,
              QueryOps& ops, Metrics& metrics);
  void run();
  bool handle_message();
  void work(Channel<Job>& jobs);
  void flush_replies();

  QueryOps& ops_;
  Metrics& metrics_;
  std::unique_ptr<zmq::socket_t> socket_;
  Channel<Job> reads_;
  Channel<Job> slow_;
  Outbox<Outgoing> outbox_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
  std::thread thread_;
};

}  // namespace shoal
