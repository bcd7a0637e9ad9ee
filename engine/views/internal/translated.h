#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include <c10/util/Exception.h>

#include "common/result.h"

namespace shoal::internal {

/// The error for a message of LibTorch, which has no type of its own for a CPU
/// allocation that failed.
inline Error library_failure(std::string_view message) {
  const bool out_of_memory =
      message.find("can't allocate memory") != std::string_view::npos ||
      message.find("out of memory") != std::string_view::npos;
  return out_of_memory ? resource_exhausted(std::string(message))
                       : internal_error(std::string(message));
}

/// Runs `compute`, translating what LibTorch and its libraries throw.
template <typename Compute>
auto translated(const Compute& compute) -> decltype(compute()) {
  try {
    return compute();
  } catch (const c10::Error& error) {
    return library_failure(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return resource_exhausted("no memory for a batch of this size");
  } catch (const std::exception& error) {
    return library_failure(error.what());
  }
}

}  // namespace shoal::internal
