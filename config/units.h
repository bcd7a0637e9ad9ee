#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal {

/// Reads "64MiB", "1 GiB", "512KiB", "10B" or plain digits (bytes). Units are
/// powers of 1024, without regard to case. Errors: kInvalidArgument.
[[nodiscard]] Result<std::uint64_t> parse_byte_size(std::string_view text);
/// With the largest unit that divides `bytes`: "64MiB", "1000B".
[[nodiscard]] std::string format_byte_size(std::uint64_t bytes);

/// Reads "250ms", "5s", "2min" or "1h"; a unit is required unless it is 0.
/// Errors: kInvalidArgument.
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(
    std::string_view text);
/// With the largest unit that divides it: "5s", "1500ms".
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace shoal
