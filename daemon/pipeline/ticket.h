#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "clients/protocol/ingest.h"

namespace shoal {

/// Where an ingest reply has to go. Value.
struct Ticket {
  std::string peer;             ///< ROUTER's name of the connection
  bool with_delimiter = false;  ///< the peer is a REQ socket
  std::uint64_t seq = 0;        ///< the client's number for the request
  Ack ack = Ack::kStored;
};

/// Takes the reply to a ticket; never waits. Thread-safe. A reply's seq is
/// filled in from the ticket.
using ReplySink = std::function<void(const Ticket&, IngestReply)>;

}  // namespace shoal
