#include "daemon/net/ingest_server.h"

#include <utility>

#include "common/log.h"
#include "daemon/net/router_loop.h"
#include "daemon/net/socket.h"

namespace shoal {

Result<std::unique_ptr<IngestServer>> IngestServer::start(
    zmq::context_t& context, ConnectionGate& gate,
    const IngestServerOptions& options, Intake& intake, Metrics& metrics) {
  SocketLimits limits;
  limits.max_message_bytes = options.max_message_bytes;
  SHOAL_TRY(socket, bind_socket(context, zmq::socket_type::router, "ingest",
                                options.address, limits, gate));
  std::unique_ptr<IngestServer> server(
      new IngestServer(std::move(socket), options, intake, metrics));
  server->loop_->start();
  return server;
}

IngestServer::IngestServer(zmq::socket_t socket,
                           const IngestServerOptions& options, Intake& intake,
                           Metrics& metrics)
    : options_(options),
      intake_(intake),
      metrics_(metrics),
      loop_(std::make_unique<RouterLoop>(
          std::move(socket),
          [this](const Peer& peer, const std::vector<zmq::message_t>& frames) {
            handle(peer, frames);
          },
          metrics)) {}

IngestServer::~IngestServer() { stop(); }

void IngestServer::reply(const Ticket& ticket, IngestReply reply) {
  reply.seq = ticket.seq;
  metrics_.ingest_images[to_string(reply.status)].Increment();
  loop_->reply(ticket.peer, encode_ingest_reply(reply));
}

void IngestServer::refuse_new() { refusing_ = true; }

void IngestServer::stop() { loop_->stop(); }

void IngestServer::handle(const Peer& peer,
                          const std::vector<zmq::message_t>& frames) {
  Ticket ticket;
  ticket.peer = peer;
  const auto refuse = [&](WireError error, const std::string& id,
                          const std::string& source) {
    IngestReply answer;
    answer.id = id;
    answer.status = IngestStatus::kRejected;
    intake_.note_rejected(id, source, error);
    answer.error = std::move(error);
    reply(ticket, std::move(answer));
  };
  if (frames.size() != 2) {
    refuse({"bad_message",
            "an ingest message has two frames, header and image bytes; this "
            "one has " +
                std::to_string(frames.size())},
           "", "");
    return;
  }
  DecodedIngestHeader decoded =
      decode_ingest_header(frames[0].to_string_view());
  ticket.seq = decoded.seq;
  if (!decoded.header) {
    refuse(std::move(decoded.error), "", "");
    return;
  }
  const IngestHeader& header = *decoded.header;
  const std::string id = header.id.value_or("");
  const zmq::message_t& image = frames[1];
  if (image.size() > options_.max_image_bytes) {
    refuse({"too_large", "the image has " + std::to_string(image.size()) +
                             " bytes; at most " +
                             std::to_string(options_.max_image_bytes) +
                             " are allowed (ingest.max_image_bytes)"},
           id, header.source);
    return;
  }
  ticket.ack = header.ack;
  Intake::Admission admission = Intake::Admission::kShuttingDown;
  if (!refusing_) {
    admission = intake_.offer(std::move(*decoded.header),
                              image.to_string_view(), ticket);
  }
  if (admission == Intake::Admission::kTaken) return;
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
  return;
}

}  // namespace shoal
