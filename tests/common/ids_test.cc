#include "common/ids.h"

#include <type_traits>

#include <gtest/gtest.h>

namespace shoal {
namespace {

static_assert(!std::is_convertible_v<std::uint64_t, ClusterId>);
static_assert(!std::is_convertible_v<ClusterId, EpochId>);

TEST(ImageId, AcceptsOneTo256BytesOfUtf8) {
  EXPECT_EQ(ImageId::parse("a").value().str(), "a");
  EXPECT_TRUE(ImageId::parse(std::string(256, 'x')).has_value());
  EXPECT_TRUE(ImageId::parse("cam/1/\xc3\xa4 b.jpg").has_value());
}

TEST(ImageId, RefusesEverythingElseAndSaysWhy) {
  EXPECT_NE(ImageId::parse("").error().message.find("empty"),
            std::string::npos);
  EXPECT_NE(ImageId::parse(std::string(257, 'x')).error().message.find("257"),
            std::string::npos);
  EXPECT_NE(ImageId::parse("\xff").error().message.find("UTF-8"),
            std::string::npos);
  EXPECT_NE(ImageId::parse("a\nb").error().message.find("control"),
            std::string::npos);
  EXPECT_FALSE(ImageId::parse(std::string("a\0b", 3)).has_value());
}

TEST(ImageId, OfBytesIsTheHeadOfTheirSha256) {
  EXPECT_EQ(ImageId::of_bytes("abc").str(), "ba7816bf8f01cfea414140de5dae2223");
}

}  // namespace
}  // namespace shoal
