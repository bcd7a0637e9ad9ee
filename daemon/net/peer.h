#pragma once

#include <string>

namespace shoal {

/// Whom a reply goes to. Value.
struct Peer {
  std::string name;             ///< ROUTER's name of the connection
  bool with_delimiter = false;  ///< it is a REQ socket: an empty frame first
};

}  // namespace shoal
