#include "daemon/eval/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::eval {
namespace {

using Records = std::vector<std::vector<std::string>>;

Records parsed(std::string_view text) {
  auto records = parse_csv(text);
  EXPECT_TRUE(records) << records.error().message;
  return records ? records.value() : Records{};
}

TEST(Csv, SplitsLinesAndFields) {
  const Records expected = {{"path", "label"}, {"a b.png", "cat"}, {"", "x"}};
  EXPECT_EQ(parsed("path,label\na b.png,cat\n,x\n"), expected);
  EXPECT_EQ(parsed("path,label\r\na b.png,cat\r\n,x"), expected);
  EXPECT_EQ(parsed("\n\npath,label\n\na b.png,cat\n,x\n\n"), expected);
  EXPECT_EQ(parsed(""), Records{});
}

TEST(Csv, ReadsQuotedFields) {
  const Records expected = {{"a,b", "say \"hi\""}, {"two\nlines", ""}};
  EXPECT_EQ(parsed("\"a,b\",\"say \"\"hi\"\"\"\n\"two\nlines\",\"\"\n"),
            expected);
}

TEST(Csv, AnOpenQuoteIsAnErrorWithItsLine) {
  const auto records = parse_csv("a,b\n\"c,d\ne,f\n");
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().code, ErrorCode::kCorruption);
  EXPECT_THAT(records.error().message, testing::HasSubstr("line 2"));
}

TEST(Csv, TextAfterAQuoteIsAnError) {
  const auto records = parse_csv("\"a\"b,c\n");
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().code, ErrorCode::kCorruption);
}

TEST(Csv, WhatIsWrittenIsReadBack) {
  for (const std::string& field :
       {std::string("plain"), std::string("a,b"), std::string("\"q\""),
        std::string("line\nbreak"), std::string("\r"), std::string("\"")}) {
    const Records expected = {{field, field}};
    EXPECT_EQ(parsed(csv_field(field) + "," + csv_field(field) + "\n"),
              expected);
  }
  EXPECT_EQ(csv_field("plain"), "plain");
}

}  // namespace
}  // namespace shoal::eval
