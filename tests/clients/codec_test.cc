#include "clients/protocol/codec.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/clients/random_json.h"

namespace shoal {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string why(std::string_view frame) {
  const Result<json> map = decode_map(frame);
  return map.has_error() ? map.error().message : "accepted";
}

TEST(Codec, TellsJsonByItsBrace) {
  EXPECT_EQ(encoding_of("{}"), Encoding::kJson);
  EXPECT_EQ(encoding_of("\x80"), Encoding::kMsgpack);
  EXPECT_EQ(encoding_of(""), Encoding::kMsgpack);
  EXPECT_EQ(encoding_of(" {}"), Encoding::kMsgpack);
}

TEST(Codec, MapsComeBackAsTheyWere) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    const json map = test::random_map(random, true);
    EXPECT_EQ(decode_map(encode_map(map, Encoding::kMsgpack)).value(), map);
    const json text_only = test::random_map(random, false);
    EXPECT_EQ(decode_map(encode_map(text_only, Encoding::kJson)).value(),
              text_only);
  }
}

TEST(Codec, JsonCarriesBinaryAsBase64AndReplacesBadUtf8) {
  const json map = {{"b", json::binary({0xff, 0x00, 0x7f})},
                    {"l", {json::binary({0x01})}},
                    {"s", "a\xff"}};
  EXPECT_EQ(encode_map(map, Encoding::kJson),
            "{\"b\":\"/wB/\",\"l\":[\"AQ==\"],\"s\":\"a\xef\xbf\xbd\"}");
}

TEST(Codec, RefusesWhatIsNotOneMap) {
  EXPECT_THAT(why(""), HasSubstr("end of input"));
  EXPECT_THAT(why("\xc0"), HasSubstr("not a map"));
  EXPECT_THAT(why("\x90"), HasSubstr("not a map"));
  EXPECT_THAT(why("\x07"), HasSubstr("not a map"));
  EXPECT_THAT(why(std::string("\x80\x80", 2)), HasSubstr("expected end"));
  EXPECT_THAT(why("{} x"), HasSubstr("expected end"));
  EXPECT_THAT(why("{}{}"), HasSubstr("expected end"));
  EXPECT_THAT(why("{\"a\":"), HasSubstr("JSON"));
  EXPECT_THAT(why("{\"a\":1e999}"), HasSubstr("overflow"));
  EXPECT_THAT(why("{\"a\":\"\xff\"}"), HasSubstr("UTF-8"));
  // Key 1 instead of a string.
  EXPECT_THAT(why("\x81\x01\x01"), HasSubstr("string"));
  EXPECT_EQ(decode_map("\xc0").error().code, ErrorCode::kInvalidArgument);
}

TEST(Codec, RefusesAKeyGivenTwice) {
  EXPECT_THAT(why("{\"a\":1,\"a\":2}"), HasSubstr("twice"));
  EXPECT_THAT(why("\x82\xa1"
                  "a\x01\xa1"
                  "a\x02"),
              HasSubstr("twice"));
  EXPECT_THAT(why("{\"a\":[],\"a\":[1]}"), HasSubstr("twice"));
}

std::string nested_json(std::size_t lists) {
  return "{\"a\":" + std::string(lists, '[') + std::string(lists, ']') + "}";
}
std::string nested_msgpack(std::size_t lists) {
  return "\x81\xa1"
         "a" +
         std::string(lists - 1, '\x91') + "\x90";
}

TEST(Codec, NestingIsBoundedWhileParsing) {
  EXPECT_EQ(why(nested_json(kMaxNesting - 1)), "accepted");
  EXPECT_EQ(why(nested_msgpack(kMaxNesting - 1)), "accepted");
  for (const std::size_t lists :
       {kMaxNesting, std::size_t{100'000}, std::size_t{10'000'000}}) {
    EXPECT_THAT(why(nested_json(lists)), HasSubstr("nested deeper"));
    EXPECT_THAT(why(nested_msgpack(lists)), HasSubstr("nested deeper"));
  }
  std::string maps;
  for (int i = 0; i < 100'000; ++i)
    maps +=
        "\x81\xa1"
        "a";
  EXPECT_THAT(why(maps), HasSubstr("nested deeper"));
}

TEST(Codec, ClaimedLengthsAllocateNothing) {
  // 4 GiB strings, binaries, lists and maps that are not there.
  for (const std::string& start :
       {std::string("\xdb"), std::string("\xc6"), std::string("\xdd"),
        std::string("\xdf"), std::string("\xc9")}) {
    EXPECT_THAT(why("\x81\xa1"
                    "a" +
                    start + "\xff\xff\xff\xff"),
                HasSubstr("end of input"));
  }
  EXPECT_THAT(why("\xdf\xff\xff\xff\xff"), HasSubstr("end of input"));
}

TEST(Codec, ValuesAreCounted) {
  const auto list_of = [](std::uint32_t nulls) {
    std::string frame =
        "\x81\xa1"
        "a\xdd";
    for (int shift = 24; shift >= 0; shift -= 8) {
      frame += static_cast<char>(nulls >> static_cast<unsigned>(shift) & 255U);
    }
    return frame + std::string(nulls, '\xc0');
  };
  // The map and the list count as well.
  EXPECT_EQ(why(list_of(kMaxValues - 2)), "accepted");
  EXPECT_THAT(why(list_of(kMaxValues - 1)), HasSubstr("values"));
}

TEST(Codec, AnyBytesAreAnsweredWithAMapOrAnError) {
  std::mt19937_64 random(2);
  std::size_t accepted = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes = test::random_bytes(random, 200);
    if (i % 3 == 0) bytes.insert(0, "{");
    if (i % 3 == 1) bytes.insert(0, "\x84");
    accepted += decode_map(bytes).has_value() ? 1 : 0;
  }
  EXPECT_LT(accepted, 30'000U);
  for (int i = 0; i < 20'000; ++i) {
    const auto encoding = i % 2 == 0 ? Encoding::kMsgpack : Encoding::kJson;
    const std::string good = encode_map(
        test::random_map(random, encoding == Encoding::kMsgpack), encoding);
    const Result<json> map = decode_map(test::mutate(random, good));
    if (!map.has_value()) {
      EXPECT_EQ(map.error().code, ErrorCode::kInvalidArgument);
      continue;
    }
    ++accepted;
    EXPECT_TRUE(map.value().is_object());
  }
  // The mutations are small enough to leave some messages whole.
  EXPECT_GT(accepted, 0U);
}

TEST(Base64, MatchesTheStandardsExamples) {
  const std::pair<std::string, std::string> examples[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : examples) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text).value(), bytes);
  }
}

TEST(Base64, AnyBytesComeBack) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 1'000; ++i) {
    const std::string bytes = test::random_bytes(random, 300);
    EXPECT_EQ(base64_decode(base64_encode(bytes)).value(), bytes);
  }
}

TEST(Base64, RefusesOtherText) {
  for (const char* const text :
       {"Zg", "Zg=", "Zg===", "====", "Z===", "Zm9v\n", "Zm 9", "Zm-_",
        "=Zg=", "Zh==", "Zm9=", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace shoal
