#include "daemon/net/socket.h"

#include <cerrno>
#include <chrono>

#include "common/check.h"

namespace shoal {

Result<zmq::socket_t> bind_socket(zmq::context_t& context,
                                  zmq::socket_type type,
                                  const std::string& name,
                                  const std::string& address,
                                  const SocketLimits& limits,
                                  ConnectionGate& gate) {
  try {
    zmq::socket_t socket(context, type);
    socket.set(zmq::sockopt::linger, 1000);
    socket.set(zmq::sockopt::maxmsgsize, limits.max_message_bytes);
    socket.set(zmq::sockopt::rcvhwm, limits.receive_queue);
    socket.set(zmq::sockopt::sndhwm, limits.send_queue);
    socket.set(zmq::sockopt::heartbeat_ivl, 10'000);
    // Also how long a refused connection waits before it tries again.
    socket.set(zmq::sockopt::handshake_ivl, 5'000);
    socket.set(zmq::sockopt::heartbeat_timeout, 30'000);
    if (type == zmq::socket_type::router) {
      // A reply that cannot be delivered is an error, not a silent loss.
      socket.set(zmq::sockopt::router_mandatory, true);
      // A client that reconnects under its name takes over at once.
      socket.set(zmq::sockopt::router_handover, true);
    }
    SHOAL_TRY(gate.watch(socket, name));
    socket.bind(address);
    return socket;
  } catch (const zmq::error_t& error) {
    std::string message = "bind " + address + ": " + error.what();
    if (error.num() == EADDRINUSE) {
      message +=
          "; is another shoald running? Stop it or choose other ports with "
          "--port-base";
    }
    return io_error(std::move(message));
  }
}

void poll_sockets(zmq::pollitem_t* items, std::size_t count) {
  try {
    zmq::poll(items, count, std::chrono::milliseconds(-1));
  } catch (const zmq::error_t& error) {
    // A signal, or the context's end: the caller's loop condition decides.
    if (error.num() != EINTR && error.num() != ETERM) throw;
  }
}

std::vector<zmq::message_t> receive_frames(zmq::socket_t& socket) {
  std::vector<zmq::message_t> frames;
  try {
    for (bool more = true; more;) {
      zmq::message_t frame;
      if (!socket.recv(frame, zmq::recv_flags::dontwait)) break;
      more = frame.more();
      frames.push_back(std::move(frame));
    }
  } catch (const zmq::error_t& error) {
    // Messages are delivered whole: an interruption comes before the first
    // frame. Anything else is a bug.
    SHOAL_CHECK(error.num() == EINTR || error.num() == ETERM, error.what());
    frames.clear();
  }
  return frames;
}

bool send_reply(zmq::socket_t& router, const Peer& peer,
                const std::string& body) {
  try {
    const auto more = zmq::send_flags::sndmore | zmq::send_flags::dontwait;
    if (!router.send(zmq::buffer(peer.name), more)) return false;
    if (peer.with_delimiter) router.send(zmq::message_t(), more);
    return router.send(zmq::buffer(body), zmq::send_flags::dontwait)
        .has_value();
  } catch (const zmq::error_t&) {
    return false;  // EHOSTUNREACH: the peer has gone.
  }
}

}  // namespace shoal
