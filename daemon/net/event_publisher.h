#pragma once

#include <memory>
#include <string>
#include <thread>

#include "common/channel.h"
#include "common/result.h"
#include "daemon/book/event.h"
#include "daemon/metrics/metrics.h"
#include "daemon/net/connection_gate.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace shoal {

/// The event socket. Events are news: when the queue is full the newest is
/// dropped and counted, and a subscriber that reads too slowly misses some.
/// Thread-safe.
class EventPublisher {
 public:
  /// Binds and starts. @param queue  events waiting to be sent
  /// Errors: kIo.
  static Result<std::unique_ptr<EventPublisher>> start(
      zmq::context_t& context, ConnectionGate& gate, const std::string& address,
      int queue, Metrics& metrics);
  ~EventPublisher();
  EventPublisher(const EventPublisher&) = delete;
  EventPublisher& operator=(const EventPublisher&) = delete;

  void publish(Event event);
  /// Sends what is waiting, then ends the thread. Idempotent.
  void stop();

 private:
  EventPublisher(zmq::socket_t socket, int queue, Metrics& metrics);
  void run();

  Metrics& metrics_;
  std::unique_ptr<zmq::socket_t> socket_;
  Channel<Event> events_;
  std::thread thread_;
};

}  // namespace shoal
