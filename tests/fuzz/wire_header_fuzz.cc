// Any bytes as an ingest header, an ingest reply, a query and a reply to it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "clients/protocol/ingest.h"
#include "clients/protocol/query.h"
#include "common/check.h"

namespace shoal {
namespace {

void fuzz_ingest(std::string_view frame) {
  const DecodedIngestHeader decoded = decode_ingest_header(frame);
  SHOAL_CHECK(decoded.header.has_value() || !decoded.error.code.empty(),
              "a refusal has a code");
  if (decoded.header.has_value()) {
    const auto again =
        decode_ingest_header(encode_ingest_header(*decoded.header));
    SHOAL_CHECK(again.header.has_value(), "a header taken can be sent on");
    SHOAL_CHECK(again.header->seq == decoded.seq &&
                    again.header->id == decoded.header->id &&
                    again.header->source == decoded.header->source &&
                    again.header->meta == decoded.header->meta &&
                    again.header->ack == decoded.header->ack,
                "a header is sent on unchanged");
  }
  const Result<IngestReply> reply = decode_ingest_reply(frame);
  if (reply.has_value()) {
    SHOAL_CHECK(
        decode_ingest_reply(encode_ingest_reply(reply.value())).has_value(),
        "a reply taken can be sent on");
  }
}

void fuzz_query(std::string_view frame) {
  const QueryRequest request = decode_query(frame);
  const WireResult<nlohmann::json> answer =
      request.error.has_value()
          ? WireResult<nlohmann::json>(*request.error)
          : WireResult<nlohmann::json>(nlohmann::json::object());
  SHOAL_CHECK(
      decode_query_reply(encode_query_reply(request, answer)).has_value(),
      "every request can be answered");
  for (const char* const key : {"id", "ids", "image", "k"}) {
    static_cast<void>(optional_id(request.fields, key));
    static_cast<void>(optional_ids(request.fields, key));
    static_cast<void>(optional_bytes(request.fields, key));
    static_cast<void>(optional_number(request.fields, key));
    static_cast<void>(optional_real(request.fields, key));
  }
  static_cast<void>(decode_query_reply(frame));
}

}  // namespace
}  // namespace shoal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  shoal::fuzz_ingest(frame);
  shoal::fuzz_query(frame);
  return 0;
}
