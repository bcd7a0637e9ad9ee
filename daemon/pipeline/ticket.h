#pragma once

#include <cstdint>
#include <functional>

#include "clients/protocol/ingest.h"
#include "daemon/net/peer.h"

namespace shoal {

/// Where an ingest reply has to go. Value.
struct Ticket {
  Peer peer;
  std::uint64_t seq = 0;  ///< the client's number for the request
  Ack ack = Ack::kStored;
};

/// Takes the reply to a ticket; never waits. Thread-safe. A reply's seq is
/// filled in from the ticket.
using ReplySink = std::function<void(const Ticket&, IngestReply)>;

}  // namespace shoal
