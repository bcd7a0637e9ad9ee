#include "common/log.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Log, ValuesStayOneFieldOnOneLine) {
  EXPECT_EQ(log_value("plain-1/2"), "plain-1/2");
  EXPECT_EQ(log_value(""), "\"\"");
  EXPECT_EQ(log_value("two words"), "\"two words\"");
  EXPECT_EQ(log_value("a\nb\"c\\"), "\"a\\x0ab\\\"c\\\\\"");
}

TEST(Log, AnUnknownLevelIsRefused) {
  LogOptions options;
  options.level = "loud";
  const auto result = set_up_logging(options);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("loud"), std::string::npos);
}

}  // namespace
}  // namespace shoal
