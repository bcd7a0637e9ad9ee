#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <zmq.hpp>

#include "common/result.h"
#include "daemon/net/connection_gate.h"
#include "daemon/net/peer.h"

namespace shoal {

/// Limits of one server socket. ZeroMQ's own defaults are unlimited messages,
/// 1,000 queued messages a peer and silent loss: all are set on purpose.
struct SocketLimits {
  std::int64_t max_message_bytes = -1;  ///< larger: the peer is disconnected
  int receive_queue = 16;               ///< messages a peer
  int send_queue = 10'000;              ///< messages a peer
};

/// Makes a server socket called `name`, puts it under `gate` and binds it.
/// Private to daemon/net.
/// Errors: kIo naming the address, with what to do when it is in use.
Result<zmq::socket_t> bind_socket(zmq::context_t& context,
                                  zmq::socket_type type,
                                  const std::string& name,
                                  const std::string& address,
                                  const SocketLimits& limits,
                                  ConnectionGate& gate);

/// Waits until one of `items` is readable; a signal is no error.
void poll_sockets(zmq::pollitem_t* items, std::size_t count);

/// All frames of the next message, or nothing when none waits.
std::vector<zmq::message_t> receive_frames(zmq::socket_t& socket);

/// Sends one reply to a ROUTER's peer without waiting. False when the peer is
/// gone or reads too slowly: the reply is lost and should be counted.
bool send_reply(zmq::socket_t& router, const Peer& peer,
                const std::string& body);

}  // namespace shoal
