#include "common/time.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Time, ReadsAndWritesRfc3339) {
  const Timestamp time = parse_rfc3339("2026-11-24T13:31:59.25Z").value();
  EXPECT_EQ(format_rfc3339(time), "2026-11-24T13:31:59.250000Z");
  EXPECT_EQ(format_rfc3339(parse_rfc3339("1969-12-31T23:59:59.5Z").value()),
            "1969-12-31T23:59:59.500000Z");
}

TEST(Time, OffsetsAreTurnedIntoUtc) {
  EXPECT_EQ(parse_rfc3339("2026-01-01T00:30:00+01:00").value(),
            parse_rfc3339("2025-12-31T23:30:00Z").value());
}

TEST(Time, TheUnknownTimeIsEmpty) { EXPECT_EQ(format_rfc3339({}), ""); }

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "now", "2026-11-24", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+25:00"}) {
    EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
  }
  EXPECT_TRUE(parse_rfc3339("2024-02-29T00:00:00Z").has_value());
}

}  // namespace
}  // namespace shoal
