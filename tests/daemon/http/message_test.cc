#include "daemon/http/message.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(HttpTarget, IsDecodedAndTakenApart) {
  const HttpTarget target =
      parse_http_target("/thumb/cam%201%2Fa+b?k=10&q=a+b%26c&k=11&flag#x")
          .value();
  EXPECT_EQ(target.path, "/thumb/cam 1/a+b");
  EXPECT_EQ(target.parameters.at("k"), "11");
  EXPECT_EQ(target.parameters.at("q"), "a b&c");
  EXPECT_EQ(target.parameters.at("flag"), "");
  EXPECT_EQ(target.parameters.size(), 3U);
}

TEST(HttpTarget, WithoutAQueryHasNoParameters) {
  EXPECT_TRUE(parse_http_target("/").value().parameters.empty());
  EXPECT_TRUE(parse_http_target("/a?").value().parameters.empty());
  EXPECT_TRUE(parse_http_target("/a?&&=").value().parameters.empty());
}

TEST(HttpTarget, RefusesWhatIsMalformed) {
  for (const char* target : {"", "a", "*", "http://h/", "/%", "/%4", "/%zz",
                             "/%00", "/a?x=%", "/a?%=1"}) {
    EXPECT_FALSE(parse_http_target(target).has_value()) << target;
  }
}

}  // namespace
}  // namespace shoal
