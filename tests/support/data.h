#pragma once

#include <filesystem>

#include <gtest/gtest.h>

namespace shoal::test {

/// The folder of shared photographs and models; may be absent.
inline std::filesystem::path shared_data() { return SHOAL_SHARED_DATA; }

}  // namespace shoal::test

/// Ends the test as skipped, saying why, where the shared folder lacks `path`.
#define SHOAL_REQUIRE_DATA(path)                                         \
  do {                                                                   \
    const auto shoal_needed = ::shoal::test::shared_data() / (path);     \
    if (!std::filesystem::exists(shoal_needed)) {                        \
      GTEST_SKIP() << "needs " << shoal_needed << ", which is not here"; \
    }                                                                    \
  } while (false)
