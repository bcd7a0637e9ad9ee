#include "daemon/net/query_server.h"

#include <chrono>
#include <utility>

#include "daemon/net/socket.h"

namespace shoal {
namespace {

constexpr int kMessagesPerTurn = 64;

}  // namespace

Result<std::unique_ptr<QueryServer>> QueryServer::start(
    zmq::context_t& context, const QueryServerOptions& options, QueryOps& ops,
    Metrics& metrics) {
  SocketLimits limits;
  limits.max_message_bytes = options.max_message_bytes;
  // A reply may hold a whole image: a peer that does not read is cut short.
  limits.send_queue = 64;
  SHOAL_TRY(socket, bind_socket(context, zmq::socket_type::router,
                                options.address, limits));
  return std::unique_ptr<QueryServer>(
      new QueryServer(std::move(socket), options, ops, metrics));
}

QueryServer::QueryServer(zmq::socket_t socket,
                         const QueryServerOptions& options, QueryOps& ops,
                         Metrics& metrics)
    : ops_(ops),
      metrics_(metrics),
      socket_(std::make_unique<zmq::socket_t>(std::move(socket))),
      reads_(static_cast<std::size_t>(options.queue)),
      slow_(static_cast<std::size_t>(options.queue)) {
  for (int i = 0; i < options.threads; ++i) {
    workers_.emplace_back([this] { work(reads_); });
  }
  workers_.emplace_back([this] { work(slow_); });
  thread_ = std::thread([this] { run(); });
}

QueryServer::~QueryServer() { stop(); }

void QueryServer::stop() {
  if (!thread_.joinable()) return;
  reads_.close();
  slow_.close();
  for (std::thread& worker : workers_) worker.join();
  stopping_ = true;
  outbox_.wake();
  thread_.join();
}

void QueryServer::run() {
  zmq::pollitem_t items[] = {{socket_->handle(), 0, ZMQ_POLLIN, 0},
                             {nullptr, outbox_.fd(), ZMQ_POLLIN, 0}};
  while (!stopping_) {
    poll_sockets(items, 2);
    for (int i = 0; i < kMessagesPerTurn; ++i) {
      if ((items[0].revents & ZMQ_POLLIN) == 0) break;
      if (!handle_message()) break;
    }
    flush_replies();
  }
  flush_replies();
  socket_->close();  // on the thread that used it
}

bool QueryServer::handle_message() {
  std::vector<zmq::message_t> frames = receive_frames(*socket_);
  if (frames.empty()) return false;
  Job job;
  job.peer = frames.front().to_string();
  std::size_t first = 1;
  if (frames.size() > 1 && frames[1].size() == 0) {
    job.with_delimiter = true;
    first = 2;
  }
  if (frames.size() == first + 1) {
    job.request = decode_query(frames[first].to_string_view());
  } else {
    job.request.error =
        WireError{"bad_message", "a query has one frame; this one has " +
                                     std::to_string(frames.size() - first)};
  }
  Channel<Job>& jobs = QueryOps::is_slow(job.request) ? slow_ : reads_;
  switch (jobs.try_send(job)) {
    case Channel<Job>::SendStatus::kSent:
      return true;
    case Channel<Job>::SendStatus::kFull:
      job.request.error =
          WireError{"busy", "too many requests are waiting; try again"};
      break;
    case Channel<Job>::SendStatus::kClosed:
      job.request.error =
          WireError{"unavailable", "the daemon is shutting down"};
      break;
  }
  if (!send_reply(*socket_, job.peer, job.with_delimiter,
                  encode_query_reply(job.request, *job.request.error))) {
    metrics_.replies_dropped.Increment();
  }
  return true;
}

void QueryServer::work(Channel<Job>& jobs) {
  while (auto job = jobs.receive()) {
    const auto start = std::chrono::steady_clock::now();
    const auto reply = ops_.answer(job->request);
    observe(metrics_.query_seconds[job->request.op],
            std::chrono::steady_clock::now() - start);
    outbox_.put({std::move(job->peer), job->with_delimiter,
                 encode_query_reply(job->request, reply)});
  }
}

void QueryServer::flush_replies() {
  for (const Outgoing& outgoing : outbox_.take_all()) {
    if (!send_reply(*socket_, outgoing.peer, outgoing.with_delimiter,
                    outgoing.body)) {
      metrics_.replies_dropped.Increment();
    }
  }
}

}  // namespace shoal
