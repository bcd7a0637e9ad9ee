#pragma once

#include <string>
#include <string_view>

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include "common/result.h"

namespace shoal {

/// Where and how the process logs.
struct LogOptions {
  /// trace, debug, info, warn, error or off.
  std::string level = "info";
  /// Prefix lines with syslog priorities ("<6>") instead of a timestamp: the
  /// form journald reads from a service's standard error.
  bool journald = false;
};

/// Sets up logging to standard error, once, in main.
/// Errors: kInvalidArgument for an unknown level.
[[nodiscard]] Result<void> set_up_logging(const LogOptions& options);

/// `text` as the value of a key=value field: quoted when it holds spaces,
/// quotes or control characters, which are escaped so that one event stays
/// one line whatever a client sends.
[[nodiscard]] std::string log_value(std::string_view text);

}  // namespace shoal
