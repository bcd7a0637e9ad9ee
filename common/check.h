#pragma once

#include <string_view>

namespace shoal {

/// Logs `condition` with its place and `message`, then aborts.
[[noreturn]] void check_failed(const char* file, int line,
                               std::string_view condition,
                               std::string_view message);

}  // namespace shoal

/// Ends the process when `condition` is false: for our own bugs only, never
/// reachable by input.
#define SHOAL_CHECK(condition, message)                                 \
  do {                                                                  \
    if (!(condition)) {                                                 \
      ::shoal::check_failed(__FILE__, __LINE__, #condition, (message)); \
    }                                                                   \
  } while (false)
