#include "common/bytes.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Bytes, ReadsBackWhatWasWritten) {
  ByteWriter out;
  out.number(std::uint32_t{0x01020304}).string("shoal").number(2.5F);
  ByteReader in(out.bytes());
  EXPECT_EQ(in.number<std::uint32_t>(), 0x01020304U);
  EXPECT_EQ(in.string(), "shoal");
  EXPECT_EQ(in.number<float>(), 2.5F);
  EXPECT_TRUE(in.finish("record").has_value());
}

TEST(Bytes, IsLittleEndian) {
  ByteWriter out;
  out.number(std::uint16_t{0x0102});
  EXPECT_EQ(out.bytes(), std::string("\x02\x01", 2));
}

TEST(Bytes, EveryTruncationIsReported) {
  ByteWriter out;
  out.number(std::uint64_t{7}).string("abc").number(std::uint8_t{1});
  for (std::size_t size = 0; size < out.bytes().size(); ++size) {
    ByteReader in(std::string_view(out.bytes()).substr(0, size));
    in.number<std::uint64_t>();
    in.string();
    in.number<std::uint8_t>();
    const auto end = in.finish("record");
    ASSERT_FALSE(end.has_value()) << size;
    EXPECT_EQ(end.error().code, ErrorCode::kCorruption);
  }
}

TEST(Bytes, LeftOverBytesAreReported) {
  ByteReader in("abc");
  in.number<std::uint8_t>();
  EXPECT_EQ(in.finish("record").error().message, "record has 2 bytes too many");
}

TEST(Bytes, AClaimedLengthBeyondTheEndReadsNothing) {
  ByteWriter out;
  out.number(std::uint32_t{0xffffffff});
  ByteReader in(out.bytes());
  EXPECT_EQ(in.string(), "");
  EXPECT_TRUE(in.failed());
}

}  // namespace
}  // namespace shoal
