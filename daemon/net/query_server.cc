#include "daemon/net/query_server.h"

#include <chrono>
#include <utility>

#include "daemon/net/router_loop.h"
#include "daemon/net/socket.h"

namespace shoal {

Result<std::unique_ptr<QueryServer>> QueryServer::start(
    zmq::context_t& context, ConnectionGate& gate,
    const QueryServerOptions& options, QueryOps& ops, Metrics& metrics) {
  SocketLimits limits;
  limits.max_message_bytes = options.max_message_bytes;
  // A reply may hold a whole image: a peer that does not read is cut short.
  limits.send_queue = 64;
  SHOAL_TRY(socket, bind_socket(context, zmq::socket_type::router, "query",
                                options.address, limits, gate));
  std::unique_ptr<QueryServer> server(
      new QueryServer(std::move(socket), options, ops, metrics));
  server->loop_->start();
  return server;
}

QueryServer::QueryServer(zmq::socket_t socket,
                         const QueryServerOptions& options, QueryOps& ops,
                         Metrics& metrics)
    : ops_(ops),
      metrics_(metrics),
      reads_(static_cast<std::size_t>(options.queue)),
      slow_(static_cast<std::size_t>(options.queue)),
      loop_(std::make_unique<RouterLoop>(
          std::move(socket),
          [this](const Peer& peer, const std::vector<zmq::message_t>& frames) {
            handle(peer, frames);
          },
          metrics)) {
  for (int i = 0; i < options.threads; ++i) {
    workers_.emplace_back([this] { work(reads_); });
  }
  workers_.emplace_back([this] { work(slow_); });
}

QueryServer::~QueryServer() { stop(); }

void QueryServer::stop() {
  reads_.close();
  slow_.close();
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
  loop_->stop();
}

void QueryServer::handle(const Peer& peer,
                         const std::vector<zmq::message_t>& frames) {
  Job job;
  job.peer = peer;
  if (frames.size() == 1) {
    job.request = decode_query(frames[0].to_string_view());
  } else {
    job.request.error =
        WireError{"bad_message", "a query has one frame; this one has " +
                                     std::to_string(frames.size())};
  }
  Channel<Job>& jobs = QueryOps::is_slow(job.request) ? slow_ : reads_;
  switch (jobs.try_send(job)) {
    case Channel<Job>::SendStatus::kSent:
      return;
    case Channel<Job>::SendStatus::kFull:
      job.request.error =
          WireError{"busy", "too many requests are waiting; try again"};
      break;
    case Channel<Job>::SendStatus::kClosed:
      job.request.error =
          WireError{"unavailable", "the daemon is shutting down"};
      break;
  }
  loop_->reply(peer, encode_query_reply(job.request, *job.request.error));
}

void QueryServer::work(Channel<Job>& jobs) {
  while (auto job = jobs.receive()) {
    const auto start = std::chrono::steady_clock::now();
    const auto reply = ops_.answer(job->request);
    observe(metrics_.query_seconds[job->request.op],
            std::chrono::steady_clock::now() - start);
    loop_->reply(job->peer, encode_query_reply(job->request, reply));
  }
}

}  // namespace shoal
