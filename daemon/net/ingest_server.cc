#include "daemon/net/ingest_server.h"

#include <utility>

#include "common/log.h"
#include "daemon/net/socket.h"

namespace shoal {
namespace {

// Messages read before replies are looked after: neither side can starve the
// other.
constexpr int kMessagesPerTurn = 64;

}  // namespace

Result<std::unique_ptr<IngestServer>> IngestServer::start(
    zmq::context_t& context, const IngestServerOptions& options, Intake& intake,
    Metrics& metrics) {
  SocketLimits limits;
  limits.max_message_bytes = options.max_message_bytes;
  SHOAL_TRY(socket, bind_socket(context, zmq::socket_type::router,
                                options.address, limits));
  return std::unique_ptr<IngestServer>(
      new IngestServer(std::move(socket), options, intake, metrics));
}

IngestServer::IngestServer(zmq::socket_t socket,
                           const IngestServerOptions& options, Intake& intake,
                           Metrics& metrics)
    : options_(options),
      intake_(intake),
      metrics_(metrics),
      socket_(std::make_unique<zmq::socket_t>(std::move(socket))),
      thread_([this] { run(); }) {}

IngestServer::~IngestServer() { stop(); }

void IngestServer::reply(const Ticket& ticket, IngestReply reply) {
  reply.seq = ticket.seq;
  metrics_.ingest_images[to_string(reply.status)].Increment();
  outbox_.put({ticket, encode_ingest_reply(reply)});
}

void IngestServer::refuse_new() { refusing_ = true; }

void IngestServer::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  outbox_.wake();
  thread_.join();
}

void IngestServer::run() {
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

bool IngestServer::handle_message() {
  std::vector<zmq::message_t> frames = receive_frames(*socket_);
  if (frames.empty()) return false;
  Ticket ticket;
  ticket.peer = frames.front().to_string();
  std::size_t first = 1;
  if (frames.size() > 1 && frames[1].size() == 0) {
    ticket.with_delimiter = true;
    first = 2;
  }
  const auto refuse = [&](WireError error, const std::string& id,
                          const std::string& source) {
    IngestReply answer;
    answer.id = id;
    answer.status = IngestStatus::kRejected;
    intake_.note_rejected(id, source, error);
    answer.error = std::move(error);
    reply(ticket, std::move(answer));
  };
  if (frames.size() != first + 2) {
    refuse({"bad_message",
            "an ingest message has two frames, header and image bytes; this "
            "one has " +
                std::to_string(frames.size() - first)},
           "", "");
    return true;
  }
  DecodedIngestHeader decoded =
      decode_ingest_header(frames[first].to_string_view());
  ticket.seq = decoded.seq;
  if (!decoded.header) {
    refuse(std::move(decoded.error), "", "");
    return true;
  }
  const IngestHeader& header = *decoded.header;
  const std::string id = header.id.value_or("");
  const zmq::message_t& image = frames[first + 1];
  if (image.size() > options_.max_image_bytes) {
    refuse({"too_large", "the image has " + std::to_string(image.size()) +
                             " bytes; at most " +
                             std::to_string(options_.max_image_bytes) +
                             " are allowed (ingest.max_image_bytes)"},
           id, header.source);
    return true;
  }
  ticket.ack = header.ack;
  Intake::Admission admission = Intake::Admission::kShuttingDown;
  if (!refusing_) {
    admission = intake_.offer(std::move(*decoded.header),
                              image.to_string_view(), ticket);
  }
  if (admission == Intake::Admission::kTaken) return true;
  IngestReply answer;
  answer.id = id;
  answer.status = IngestStatus::kBusy;
  answer.retry_after_ms = options_.retry_after_ms;
  answer.error =
      admission == Intake::Admission::kShuttingDown
          ? WireError{"shutting_down", "the daemon is shutting down"}
          : WireError{"queue_full",
                      "the daemon has as much work waiting as its limits "
                      "allow; send again later"};
  reply(ticket, std::move(answer));
  return true;
}

void IngestServer::flush_replies() {
  for (const Outgoing& outgoing : outbox_.take_all()) {
    if (!send_reply(*socket_, outgoing.ticket.peer,
                    outgoing.ticket.with_delimiter, outgoing.body)) {
      metrics_.replies_dropped.Increment();
    }
  }
}

}  // namespace shoal
