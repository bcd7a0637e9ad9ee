#include "daemon/net/event_publisher.h"

#include <utility>

#include "clients/protocol/query.h"
#include "daemon/net/socket.h"

namespace shoal {

Result<std::unique_ptr<EventPublisher>> EventPublisher::start(
    zmq::context_t& context, ConnectionGate& gate, const std::string& address,
    int queue, Metrics& metrics) {
  SocketLimits limits;
  limits.max_message_bytes = 4096;  // subscriptions
  SHOAL_TRY(socket, bind_socket(context, zmq::socket_type::pub, "events",
                                address, limits, gate));
  return std::unique_ptr<EventPublisher>(
      new EventPublisher(std::move(socket), queue, metrics));
}

EventPublisher::EventPublisher(zmq::socket_t socket, int queue,
                               Metrics& metrics)
    : metrics_(metrics),
      socket_(std::make_unique<zmq::socket_t>(std::move(socket))),
      events_(static_cast<std::size_t>(queue)),
      thread_([this] { run(); }) {}

EventPublisher::~EventPublisher() { stop(); }

void EventPublisher::publish(Event event) {
  if (events_.try_send(event) == Channel<Event>::SendStatus::kFull) {
    metrics_.events_dropped.Increment();
  }
}

void EventPublisher::stop() {
  events_.close();
  if (thread_.joinable()) thread_.join();
}

void EventPublisher::run() {
  while (auto event = events_.receive()) {
    try {
      socket_->send(zmq::buffer(event->topic), zmq::send_flags::sndmore);
      socket_->send(zmq::buffer(encode_event(event->body)),
                    zmq::send_flags::none);
    } catch (const zmq::error_t&) {
      metrics_.events_dropped.Increment();
    }
  }
  socket_->close();  // on the thread that used it
}

}  // namespace shoal
