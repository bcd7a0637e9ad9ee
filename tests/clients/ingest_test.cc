#include "clients/protocol/ingest.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/clients/random_json.h"

namespace shoal {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

DecodedIngestHeader decode(const json& map) {
  return decode_ingest_header(encode_map(map, Encoding::kMsgpack));
}

std::string code_of(const json& map) {
  const DecodedIngestHeader decoded = decode(map);
  return decoded.header.has_value() ? "accepted" : decoded.error.code;
}

/// A good header with `key` set to `value`.
json with(const std::string& key, const json& value) {
  json map = {{"v", 1}, {"seq", 7}};
  map[key] = value;
  return map;
}

TEST(IngestHeader, ComesBackAsItWas) {
  IngestHeader header;
  header.seq = 18446744073709551615U;
  header.id = "gate/0001";
  header.source = "gate camera";
  header.captured_at = parse_rfc3339("2026-11-24T13:31:59.25+01:00").value();
  header.meta = {{"lens", "50mm"}, {"", ""}};
  header.ack = Ack::kAssigned;
  const auto decoded = decode_ingest_header(encode_ingest_header(header));
  ASSERT_TRUE(decoded.header.has_value()) << decoded.error.message;
  EXPECT_EQ(decoded.seq, header.seq);
  EXPECT_EQ(decoded.header->seq, header.seq);
  EXPECT_EQ(decoded.header->id, header.id);
  EXPECT_EQ(decoded.header->source, header.source);
  EXPECT_EQ(decoded.header->captured_at, header.captured_at);
  EXPECT_EQ(decoded.header->meta, header.meta);
  EXPECT_EQ(decoded.header->ack, header.ack);
}

TEST(IngestHeader, NeedsNoMoreThanVersionAndSeq) {
  const auto decoded = decode({{"v", 1}, {"seq", 0}});
  ASSERT_TRUE(decoded.header.has_value()) << decoded.error.message;
  EXPECT_FALSE(decoded.header->id.has_value());
  EXPECT_EQ(decoded.header->source, "");
  EXPECT_FALSE(decoded.header->captured_at.has_value());
  EXPECT_TRUE(decoded.header->meta.empty());
  EXPECT_EQ(decoded.header->ack, Ack::kStored);
}

TEST(IngestHeader, UnknownKeysAndNullsAreIgnored) {
  EXPECT_EQ(code_of(with("colour", {{"deep", {1, 2}}})), "accepted");
  for (const char* const key : {"id", "source", "captured_at", "meta", "ack"}) {
    EXPECT_EQ(code_of(with(key, nullptr)), "accepted") << key;
  }
}

TEST(IngestHeader, ASignedPositiveNumberIsANumber) {
  // {"v": int8 1, "seq": int16 300}
  const auto decoded = decode_ingest_header(
      std::string("\x82\xa1v\xd0\x01\xa3seq\xd1\x01\x2c", 12));
  ASSERT_TRUE(decoded.header.has_value()) << decoded.error.message;
  EXPECT_EQ(decoded.seq, 300U);
}

TEST(IngestHeader, EachFaultHasItsCode) {
  EXPECT_EQ(decode_ingest_header("").error.code, "bad_message");
  EXPECT_EQ(decode_ingest_header("hello").error.code, "bad_message");
  EXPECT_EQ(decode_ingest_header("{\"v\":1,\"seq\":1}").error.code,
            "bad_message");
  EXPECT_EQ(code_of(with("x", std::string(kMaxHeaderBytes, 'x'))),
            "bad_message");
  EXPECT_EQ(code_of({{"seq", 1}}), "missing_field");
  EXPECT_EQ(code_of({{"v", 1}}), "missing_field");
  EXPECT_EQ(code_of(with("v", 2)), "bad_version");
  EXPECT_EQ(code_of(with("v", 0)), "bad_version");
  EXPECT_EQ(code_of(with("v", "1")), "bad_field");
  EXPECT_EQ(code_of(with("v", 1.0)), "bad_field");
  EXPECT_EQ(code_of(with("seq", -1)), "bad_field");
  EXPECT_EQ(code_of(with("seq", "1")), "bad_field");
  EXPECT_EQ(code_of(with("id", "")), "bad_id");
  EXPECT_EQ(code_of(with("id", std::string(256, 'a'))), "accepted");
  EXPECT_EQ(code_of(with("id", std::string(257, 'a'))), "bad_id");
  EXPECT_EQ(code_of(with("id", std::string(300, 'a'))), "bad_id");
  EXPECT_EQ(code_of(with("id", "a\xff")), "bad_id");
  EXPECT_EQ(code_of(with("id", "a\n")), "bad_id");
  EXPECT_EQ(code_of(with("id", 5)), "bad_field");
  EXPECT_EQ(code_of(with("source", std::string(kMaxSourceBytes, 's'))),
            "accepted");
  EXPECT_EQ(code_of(with("source", std::string(kMaxSourceBytes + 1, 's'))),
            "bad_field");
  EXPECT_EQ(code_of(with("source", "\xc0\x80")), "bad_field");
  EXPECT_EQ(code_of(with("captured_at", "yesterday")), "bad_field");
  EXPECT_EQ(code_of(with("captured_at", 1700000000)), "bad_field");
  EXPECT_EQ(code_of(with("captured_at", "2026-02-30T00:00:00Z")), "bad_field");
  EXPECT_EQ(code_of(with("captured_at", "9999-12-31T23:59:59-01:00")),
            "bad_field");
  EXPECT_EQ(code_of(with("captured_at", "0000-01-01T00:00:00+01:00")),
            "bad_field");
  EXPECT_EQ(code_of(with("meta", json::array())), "bad_field");
  EXPECT_EQ(code_of(with("meta", {{"a", 1}})), "bad_field");
  EXPECT_EQ(code_of(with("meta", {{"a", "\xff"}})), "bad_field");
  EXPECT_EQ(code_of(with("meta", {{"\xff", "a"}})), "bad_field");
  EXPECT_EQ(code_of(with("meta", {{"a", std::string(kMaxMetaBytes, 'm')}})),
            "bad_field");
  EXPECT_EQ(code_of(with("ack", "later")), "bad_field");
  EXPECT_EQ(code_of(with("ack", true)), "bad_field");
}

TEST(IngestHeader, MetaEntriesAreCounted) {
  json meta = json::object();
  for (std::size_t i = 0; i < kMaxMetaEntries; ++i) {
    meta[std::to_string(i)] = "";
  }
  EXPECT_EQ(code_of(with("meta", meta)), "accepted");
  meta["one more"] = "";
  EXPECT_EQ(code_of(with("meta", meta)), "bad_field");
}

TEST(IngestHeader, SeqIsToldEvenWhenSomethingElseIsWrong) {
  EXPECT_EQ(decode(with("id", "")).seq, 7U);
  EXPECT_EQ(decode(with("v", 9)).seq, 7U);
  EXPECT_EQ(decode({{"seq", 8}}).seq, 8U);
}

TEST(IngestHeader, AnyBytesGiveAHeaderOrACode) {
  std::mt19937_64 random(4);
  IngestHeader header;
  header.seq = 3;
  header.id = "an id";
  header.meta = {{"a", "b"}};
  header.captured_at = now();
  const std::string good = encode_ingest_header(header);
  std::size_t accepted = 0;
  for (int i = 0; i < 50'000; ++i) {
    const auto decoded =
        decode_ingest_header(i % 2 == 0 ? test::mutate(random, good)
                                        : test::random_bytes(random, 100));
    if (!decoded.header.has_value()) {
      EXPECT_FALSE(decoded.error.code.empty());
      EXPECT_FALSE(decoded.error.message.empty());
      continue;
    }
    ++accepted;
    EXPECT_EQ(decoded.header->seq, decoded.seq);
  }
  EXPECT_GT(accepted, 0U);
}

TEST(IngestReplyMessage, ComesBackAsItWas) {
  IngestReply reply;
  reply.seq = 12;
  reply.id = "a";
  reply.status = IngestStatus::kBusy;
  reply.confidence = 0.25F;
  reply.error = WireError{"queue_full", "the queue is full"};
  reply.retry_after_ms = 250;
  const IngestReply back =
      decode_ingest_reply(encode_ingest_reply(reply)).value();
  EXPECT_EQ(back.seq, 12U);
  EXPECT_EQ(back.id, "a");
  EXPECT_EQ(back.status, IngestStatus::kBusy);
  EXPECT_FALSE(back.cluster.has_value());
  EXPECT_EQ(back.confidence, 0.25F);
  EXPECT_EQ(back.error->code, "queue_full");
  EXPECT_EQ(back.error->message, "the queue is full");
  EXPECT_EQ(back.retry_after_ms, 250U);
}

TEST(IngestReplyMessage, TellsUnassignedFromNotSaid) {
  IngestReply reply;
  reply.status = IngestStatus::kAssigned;
  EXPECT_FALSE(decode_ingest_reply(encode_ingest_reply(reply))
                   .value()
                   .cluster.has_value());
  reply.cluster = 0;
  const std::string frame = encode_ingest_reply(reply);
  EXPECT_TRUE(decode_map(frame).value()["cluster"].is_null());
  EXPECT_EQ(decode_ingest_reply(frame).value().cluster, 0U);
  reply.cluster = 5;
  EXPECT_EQ(decode_ingest_reply(encode_ingest_reply(reply)).value().cluster,
            5U);
}

TEST(IngestReplyMessage, ARefusedIdIsNotSentBack) {
  IngestReply reply;
  reply.id = "a\xff";
  reply.status = IngestStatus::kRejected;
  EXPECT_EQ(decode_ingest_reply(encode_ingest_reply(reply)).value().id, "");
}

TEST(IngestReplyMessage, RefusesOtherMaps) {
  const auto why = [](const json& map) {
    const auto reply = decode_ingest_reply(encode_map(map, Encoding::kMsgpack));
    return reply.has_error() ? reply.error().message : "accepted";
  };
  EXPECT_EQ(why({{"v", 1}, {"seq", 1}, {"id", "a"}, {"status", "stored"}}),
            "accepted");
  EXPECT_THAT(why({{"v", 1}, {"seq", 1}, {"status", "eaten"}}),
              HasSubstr("eaten"));
  EXPECT_THAT(why({{"v", 2}, {"seq", 1}, {"status", "stored"}}),
              HasSubstr("version"));
  EXPECT_THAT(why({{"v", 1}, {"status", "stored"}}), HasSubstr("seq"));
  EXPECT_THAT(why({{"v", 1}, {"seq", 1}}), HasSubstr("status"));
  EXPECT_FALSE(decode_ingest_reply("HTTP/1.1 400").has_value());
}

}  // namespace
}  // namespace shoal
