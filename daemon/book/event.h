#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace shoal {

/// Something that happened, as published on the event socket
/// (docs/protocol.md lists topics and fields).
struct Event {
  std::string topic;
  nlohmann::json body;
};

/// Takes events; never waits and never fails (a full event queue drops and
/// counts). Thread-safe.
using EventSink = std::function<void(Event)>;

}  // namespace shoal
