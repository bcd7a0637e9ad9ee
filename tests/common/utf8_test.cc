#include "common/utf8.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Utf8, AcceptsWellFormedText) {
  for (const char* text : {"", "abc", "\xc3\xa4", "\xe2\x82\xac",
                           "\xf0\x9f\x90\x9f", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_valid_utf8(text)) << text;
  }
}

TEST(Utf8, RefusesOverlongSurrogatesAndCutSequences) {
  for (const char* text :
       {"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xc3", "\xe2\x82", "\x80", "\xff", "a\xc3(b"}) {
    EXPECT_FALSE(is_valid_utf8(text)) << text;
  }
}

}  // namespace
}  // namespace shoal
