#include "config/units.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

using std::chrono::milliseconds;

TEST(ByteSize, ReadsUnitsAndPlainIntegers) {
  EXPECT_EQ(parse_byte_size("64MiB").value(), 64U << 20);
  EXPECT_EQ(parse_byte_size("1 gib").value(), 1U << 30);
  EXPECT_EQ(parse_byte_size("1000000").value(), 1000000U);
  EXPECT_EQ(parse_byte_size("7B").value(), 7U);
}

TEST(ByteSize, RefusesEverythingElse) {
  for (const char* text : {"", "MiB", "-1", "1.5MiB", "1MB", "1 0", "0x10",
                           "99999999999999999999", "9000000TiB"}) {
    EXPECT_FALSE(parse_byte_size(text).has_value()) << text;
  }
}

TEST(Duration, NeedsAUnitUnlessItIsZero) {
  EXPECT_EQ(parse_duration("250ms").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("2min").value(), milliseconds(120'000));
  EXPECT_EQ(parse_duration("1h").value(), milliseconds(3'600'000));
  EXPECT_EQ(parse_duration("0").value(), milliseconds(0));
  for (const char* text : {"", "5", "5 days", "-5s", "1.5s", "s"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
}

TEST(Units, WhatIsPrintedReadsBackTheSame) {
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000},
        std::uint64_t{1024}, (std::uint64_t{3} << 30) + 5,
        std::uint64_t{7} << 40}) {
    EXPECT_EQ(parse_byte_size(format_byte_size(bytes)).value(), bytes);
  }
  for (const int ms : {0, 1, 999, 1000, 1500, 60'000, 90'000, 7'200'000}) {
    EXPECT_EQ(parse_duration(format_duration(milliseconds(ms))).value(),
              milliseconds(ms));
  }
  EXPECT_EQ(format_byte_size(64U << 20), "64MiB");
  EXPECT_EQ(format_duration(milliseconds(5000)), "5s");
}

}  // namespace
}  // namespace shoal
