#include "clients/protocol/query.h"

#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "tests/clients/random_json.h"

namespace shoal {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string code_of(const json& map) {
  const QueryRequest request =
      decode_query(encode_map(map, Encoding::kMsgpack));
  return request.error.has_value() ? request.error->code : "accepted";
}

TEST(Query, ARequestComesBackAsItWas) {
  for (const Encoding encoding : {Encoding::kMsgpack, Encoding::kJson}) {
    const QueryRequest request =
        decode_query(encode_query("image", {{"id", "a"}}, 9, encoding));
    EXPECT_FALSE(request.error.has_value());
    EXPECT_EQ(request.encoding, encoding);
    EXPECT_EQ(request.op, "image");
    EXPECT_EQ(request.seq, 9U);
    EXPECT_EQ(request.fields["id"], "a");
  }
}

TEST(Query, AReplyHasTheEncodingOfItsRequest) {
  const QueryRequest request =
      decode_query("{\"v\":1,\"op\":\"bytes\",\"seq\":4,\"id\":\"a\"}");
  const std::string frame = encode_query_reply(
      request, json({{"id", "a"}, {"image", json::binary({1, 2, 3})}}));
  EXPECT_EQ(frame,
            "{\"id\":\"a\",\"image\":\"AQID\",\"ok\":true,\"op\":\"bytes\","
            "\"seq\":4,\"v\":1}");
  const QueryReply reply = decode_query_reply(frame).value();
  EXPECT_EQ(reply.seq, 4U);
  EXPECT_FALSE(reply.error.has_value());
  EXPECT_EQ(reply.fields, json({{"id", "a"}, {"image", "AQID"}}));
  EXPECT_EQ(required("image", optional_bytes(reply.fields, "image")).value(),
            "\x01\x02\x03");
}

TEST(Query, AnErrorReplyTellsCodeAndMessage) {
  const QueryRequest request = decode_query(encode_query("image", {}, 4));
  const QueryReply reply =
      decode_query_reply(
          encode_query_reply(request, WireError{"not_found", "no image 'a'"}))
          .value();
  EXPECT_EQ(reply.seq, 4U);
  EXPECT_EQ(reply.error->code, "not_found");
  EXPECT_EQ(reply.error->message, "no image 'a'");
}

TEST(Query, AnImagesOwnErrorIsAFieldOfAnOkReply) {
  const QueryRequest request = decode_query(encode_query("image", {}));
  const json fields = {{"id", "a"},
                       {"error", {{"code", "broken_image"}, {"message", "m"}}}};
  const QueryReply reply =
      decode_query_reply(encode_query_reply(request, fields)).value();
  EXPECT_FALSE(reply.error.has_value());
  EXPECT_EQ(reply.fields, fields);
}

TEST(Query, EachFaultHasItsCode) {
  EXPECT_EQ(decode_query("").error->code, "bad_message");
  EXPECT_EQ(decode_query("{").error->code, "bad_message");
  EXPECT_EQ(code_of({{"op", "status"}}), "missing_field");
  EXPECT_EQ(code_of({{"v", 1}}), "missing_field");
  EXPECT_EQ(code_of({{"v", 2}, {"op", "status"}}), "bad_version");
  EXPECT_EQ(code_of({{"v", 1}, {"op", 3}}), "bad_field");
  EXPECT_EQ(code_of({{"v", 1}, {"op", "status"}, {"seq", "a"}}), "bad_field");
  EXPECT_EQ(code_of({{"v", 1}, {"op", "explode"}}), "unknown_op");
  EXPECT_EQ(code_of({{"v", 1}, {"op", "status"}, {"extra", 1}}), "accepted");
}

TEST(Query, TheRefusalOfAnUnreadableOpCanBeEncoded) {
  for (const std::string& frame :
       {std::string("\x82\xa1v\x01\xa2op\xa2\xff\xfe"), std::string("\xff"),
        std::string("{\"v\":1,\"op\":[]}")}) {
    const QueryRequest request = decode_query(frame);
    ASSERT_TRUE(request.error.has_value());
    const QueryReply reply =
        decode_query_reply(encode_query_reply(request, *request.error)).value();
    EXPECT_EQ(reply.error->code, request.error->code);
  }
}

TEST(Query, AnyBytesGiveARequestOrACode) {
  std::mt19937_64 random(5);
  const std::string good[] = {
      encode_query("similar", {{"id", "a"}, {"k", 4}}, 1),
      encode_query("similar", {{"id", "a"}, {"k", 4}}, 1, Encoding::kJson)};
  for (int i = 0; i < 20'000; ++i) {
    const QueryRequest request =
        decode_query(test::mutate(random, good[i % 2]));
    EXPECT_TRUE(request.fields.is_object());
    if (!request.error.has_value()) {
      EXPECT_TRUE(op_role(request.op).has_value());
    }
  }
}

TEST(Query, RefusesOtherReplies) {
  const auto why = [](const json& map) {
    const auto reply = decode_query_reply(encode_map(map, Encoding::kJson));
    return reply.has_error() ? reply.error().message : "accepted";
  };
  EXPECT_EQ(why({{"v", 1}, {"ok", true}}), "accepted");
  EXPECT_THAT(why({{"v", 1}}), HasSubstr("'ok' is missing"));
  EXPECT_THAT(why({{"v", 1}, {"ok", false}}), HasSubstr("'error' is missing"));
  EXPECT_THAT(why({{"v", 3}, {"ok", true}}), HasSubstr("version 3"));
}

TEST(Query, WireCodesComeBackAsTheirKind) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kNotFound,
        ErrorCode::kFailedPrecondition, ErrorCode::kResourceExhausted,
        ErrorCode::kUnsupported, ErrorCode::kUnavailable,
        ErrorCode::kPermissionDenied, ErrorCode::kInternal}) {
    EXPECT_EQ(error_code_of(to_wire_error(Error{code, "m"}).code), code)
        << to_string(code);
  }
  EXPECT_EQ(to_wire_error(Error{ErrorCode::kIo, "m"}).code, "internal");
  EXPECT_EQ(error_code_of("never heard of"), ErrorCode::kInternal);
}

TEST(Query, TheDocumentNamesEveryOpAndTopic) {
  const std::string text =
      read_file(SHOAL_SOURCE_DIR "/docs/protocol.md", 1 << 20).value();
  for (const char* const op :
       {"image",      "bytes",    "cluster", "clusters", "members",
        "unassigned", "similar",  "history", "lineage",  "status",
        "epochs",     "rejected", "refine",  "cancel",   "rollback",
        "publish",    "confirm",  "reject",  "move",     "merge",
        "split",      "undo",     "name",    "delete",   "backup"}) {
    EXPECT_TRUE(op_role(op).has_value()) << op;
    EXPECT_THAT(text, HasSubstr("| `" + std::string(op) + "` |"));
  }
  for (const std::string_view name : topic::kAll) {
    EXPECT_THAT(text, HasSubstr("| `" + std::string(name) + "` |"));
  }
  EXPECT_EQ(op_role("status"), OpRole::kRead);
  EXPECT_EQ(op_role("delete"), OpRole::kAdmin);
}

TEST(Fields, ListsOfIdsAreChecked) {
  const auto code = [](const json& ids) -> std::string {
    const auto read = required("ids", optional_ids({{"ids", ids}}, "ids"));
    return read.has_error() ? read.error().code : "accepted";
  };
  EXPECT_EQ(code({"a", "b"}), "accepted");
  EXPECT_EQ(code(nullptr), "missing_field");
  EXPECT_EQ(code(json::array()), "bad_field");
  EXPECT_EQ(code("a"), "bad_field");
  EXPECT_EQ(code({"a", 1}), "bad_field");
  EXPECT_EQ(code({"a", ""}), "bad_id");
  EXPECT_EQ(code(json(std::vector<std::string>(kMaxIds, "a"))), "accepted");
  EXPECT_EQ(code(json(std::vector<std::string>(kMaxIds + 1, "a"))),
            "bad_field");
}

TEST(Fields, NumbersFlagsAndBytesAreChecked) {
  const json map = {{"n", 5},        {"r", 0.5},    {"f", true},
                    {"s", "a"},      {"big", 11},   {"nan", std::nan("")},
                    {"b64", "AQ=="}, {"bad64", "A"}};
  EXPECT_EQ(optional_number(map, "n", 10).value(), 5U);
  EXPECT_EQ(optional_number(map, "none", 10).value(), std::nullopt);
  EXPECT_EQ(optional_number(map, "big", 10).error().code, "bad_field");
  EXPECT_EQ(optional_number(map, "r").error().code, "bad_field");
  EXPECT_EQ(optional_real(map, "r").value(), 0.5);
  EXPECT_EQ(optional_real(map, "n").value(), 5.0);
  EXPECT_EQ(optional_real(map, "nan").error().code, "bad_field");
  EXPECT_EQ(optional_flag(map, "f").value(), true);
  EXPECT_EQ(optional_flag(map, "n").error().code, "bad_field");
  EXPECT_EQ(optional_string(map, "s", 1).value(), "a");
  EXPECT_EQ(optional_string(map, "s", 0).error().code, "bad_field");
  EXPECT_EQ(optional_bytes(map, "b64").value(), "\x01");
  EXPECT_EQ(optional_bytes(map, "bad64").error().code, "bad_field");
  EXPECT_EQ(optional_bytes(map, "n").error().code, "bad_field");
}

}  // namespace
}  // namespace shoal
