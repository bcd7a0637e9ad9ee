#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal {

/// Wall-clock time, UTC, to the microsecond. The epoch value (1970) stands for
/// "not known".
using Timestamp = std::chrono::time_point<std::chrono::system_clock,
                                          std::chrono::microseconds>;

[[nodiscard]] Timestamp now();

/// "2026-11-24T13:31:59.250000Z"; "" for the unknown time.
[[nodiscard]] std::string format_rfc3339(Timestamp time);

/// Reads RFC 3339 (date, 'T' or space, time, optional fraction, 'Z' or
/// offset). Errors: kInvalidArgument for anything else, or a date that does
/// not exist.
[[nodiscard]] Result<Timestamp> parse_rfc3339(std::string_view text);

}  // namespace shoal
