#include "clients/protocol/ingest.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "clients/protocol/fields.h"
#include "common/ids.h"
#include "common/utf8.h"

namespace shoal {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxAckBytes = 16;

WireResult<std::map<std::string, std::string>> decode_meta(const json& map) {
  const auto at = map.find("meta");
  std::map<std::string, std::string> meta;
  if (at == map.end() || at->is_null()) return meta;
  if (!at->is_object()) {
    return WireError{"bad_field", std::string("'meta' must be a map, not ") +
                                      at->type_name()};
  }
  if (at->size() > kMaxMetaEntries) {
    return WireError{"bad_field", "'meta' has " + std::to_string(at->size()) +
                                      " entries; at most " +
                                      std::to_string(kMaxMetaEntries) +
                                      " are allowed"};
  }
  std::size_t total = 0;
  for (const auto& [key, value] : at->items()) {
    if (!value.is_string()) {
      return WireError{
          "bad_field",
          std::string("'meta' must hold strings, not ") + value.type_name()};
    }
    const auto& text = value.get_ref<const std::string&>();
    if (!is_valid_utf8(key) || !is_valid_utf8(text)) {
      return WireError{"bad_field", "'meta' is not valid UTF-8"};
    }
    total += key.size() + text.size();
    meta.emplace(key, text);
  }
  if (total > kMaxMetaBytes) {
    return WireError{"bad_field", "'meta' has " + std::to_string(total) +
                                      " bytes; at most " +
                                      std::to_string(kMaxMetaBytes) +
                                      " are allowed"};
  }
  return meta;
}

/// All but `v` and `seq`.
WireResult<IngestHeader> decode_fields(const json& map) {
  IngestHeader header;
  SHOAL_TRY(id, optional_id(map, "id"));
  if (id.has_value()) header.id = id->str();
  SHOAL_TRY(source, optional_string(map, "source", kMaxSourceBytes));
  header.source = std::move(source).value_or("");
  SHOAL_TRY(captured_at, optional_string(map, "captured_at", 64));
  if (captured_at.has_value()) {
    const Result<Timestamp> time = parse_rfc3339(*captured_at);
    if (time.has_error()) {
      return WireError{"bad_field", "'captured_at': " + time.error().message};
    }
    // An offset can lead out of the years that have four digits.
    if (time.value() != Timestamp{} &&
        parse_rfc3339(format_rfc3339(time.value())).has_error()) {
      return WireError{"bad_field", "'captured_at' is too far away"};
    }
    header.captured_at = time.value();
  }
  SHOAL_TRY(meta, decode_meta(map));
  header.meta = std::move(meta);
  SHOAL_TRY(ack, optional_string(map, "ack", kMaxAckBytes));
  if (ack == "assigned") {
    header.ack = Ack::kAssigned;
  } else if (ack.has_value() && ack != "stored") {
    return WireError{"bad_field",
                     "'ack' is '" + *ack + "'; use 'stored' or 'assigned'"};
  }
  return header;
}

constexpr std::array kStatuses = {
    IngestStatus::kStored, IngestStatus::kAssigned, IngestStatus::kDuplicate,
    IngestStatus::kBusy, IngestStatus::kRejected};

Error no_reply(std::string_view why) {
  return invalid_argument("not an ingest reply: " + std::string(why));
}

/// Enough for any sentence of the daemon's.
constexpr std::size_t kMaxMessageBytes = 4096;

WireResult<IngestReply> decode_reply_fields(const json& map) {
  IngestReply reply;
  SHOAL_TRY(check_version(map));
  SHOAL_TRY(seq, required("seq", optional_number(map, "seq")));
  reply.seq = seq;
  // Not optional_id: the reply to a refused id has an empty one.
  SHOAL_TRY(id, optional_string(map, "id", ImageId::kMaxBytes));
  reply.id = std::move(id).value_or("");
  SHOAL_TRY(status, required("status", optional_string(map, "status", 16)));
  bool known = false;
  for (const IngestStatus candidate : kStatuses) {
    if (to_string(candidate) != status) continue;
    reply.status = candidate;
    known = true;
  }
  if (!known) return WireError{"bad_field", "unknown status '" + status + "'"};
  SHOAL_TRY(cluster, optional_number(map, "cluster"));
  if (map.contains("cluster")) reply.cluster = cluster.value_or(0);
  SHOAL_TRY(confidence, optional_real(map, "confidence"));
  if (confidence.has_value()) {
    reply.confidence = static_cast<float>(*confidence);
  }
  SHOAL_TRY(retry, optional_number(map, "retry_after_ms", 0xffffffffU));
  if (retry.has_value()) {
    reply.retry_after_ms = static_cast<std::uint32_t>(*retry);
  }
  const auto error = map.find("error");
  if (error != map.end() && !error->is_null()) {
    if (!error->is_object()) return WireError{"bad_field", "'error' is no map"};
    SHOAL_TRY(code, required("code", optional_string(*error, "code", 64)));
    SHOAL_TRY(message, optional_string(*error, "message", kMaxMessageBytes));
    reply.error = WireError{std::move(code), std::move(message).value_or("")};
  }
  return reply;
}

}  // namespace

std::string encode_ingest_header(const IngestHeader& header) {
  json map = {{"v", kProtocolVersion}, {"seq", header.seq}};
  if (header.id.has_value()) map["id"] = *header.id;
  if (!header.source.empty()) map["source"] = header.source;
  if (header.captured_at.value_or(Timestamp{}) != Timestamp{}) {
    map["captured_at"] = format_rfc3339(*header.captured_at);
  }
  if (!header.meta.empty()) map["meta"] = header.meta;
  if (header.ack == Ack::kAssigned) map["ack"] = "assigned";
  return encode_map(map, Encoding::kMsgpack);
}

DecodedIngestHeader decode_ingest_header(std::string_view bytes) {
  DecodedIngestHeader decoded;
  if (bytes.size() > kMaxHeaderBytes) {
    decoded.error = {"bad_message",
                     "header of " + std::to_string(bytes.size()) +
                         " bytes; at most " + std::to_string(kMaxHeaderBytes) +
                         " are allowed"};
    return decoded;
  }
  if (encoding_of(bytes) == Encoding::kJson) {
    decoded.error = {"bad_message",
                     "the header is JSON; ingest takes msgpack maps only"};
    return decoded;
  }
  const Result<json> map = decode_map(bytes);
  if (map.has_error()) {
    decoded.error = {"bad_message", "header: " + map.error().message};
    return decoded;
  }
  const WireResult<std::uint64_t> seq =
      required("seq", optional_number(map.value(), "seq"));
  if (seq.has_value()) decoded.seq = seq.value();

  const WireResult<void> version = check_version(map.value());
  if (version.has_error()) {
    decoded.error = version.error();
    return decoded;
  }
  if (seq.has_error()) {
    decoded.error = seq.error();
    return decoded;
  }
  WireResult<IngestHeader> header = decode_fields(map.value());
  if (header.has_error()) {
    decoded.error = header.error();
    return decoded;
  }
  decoded.header = std::move(header.value());
  decoded.header->seq = decoded.seq;
  return decoded;
}

std::string_view to_string(IngestStatus status) {
  switch (status) {
    case IngestStatus::kStored:
      return "stored";
    case IngestStatus::kAssigned:
      return "assigned";
    case IngestStatus::kDuplicate:
      return "duplicate";
    case IngestStatus::kBusy:
      return "busy";
    case IngestStatus::kRejected:
      return "rejected";
  }
  return "rejected";
}

std::string encode_ingest_reply(const IngestReply& reply) {
  // An id that is no id (the one refused, say) is not sent back.
  const bool has_id = ImageId::parse(reply.id).has_value();
  json map = {{"v", kProtocolVersion},
              {"seq", reply.seq},
              {"id", has_id ? reply.id : ""},
              {"status", to_string(reply.status)}};
  if (reply.cluster.has_value()) {
    map["cluster"] = *reply.cluster == 0 ? json(nullptr) : json(*reply.cluster);
  }
  if (reply.confidence.has_value()) map["confidence"] = *reply.confidence;
  if (reply.error.has_value()) {
    map["error"] = {{"code", reply.error->code},
                    {"message", reply.error->message}};
  }
  if (reply.retry_after_ms.has_value()) {
    map["retry_after_ms"] = *reply.retry_after_ms;
  }
  return encode_map(map, Encoding::kMsgpack);
}

Result<IngestReply> decode_ingest_reply(std::string_view bytes) {
  const Result<json> map = decode_map(bytes);
  if (map.has_error()) return no_reply(map.error().message);
  WireResult<IngestReply> reply = decode_reply_fields(map.value());
  if (reply.has_error()) return no_reply(reply.error().message);
  return std::move(reply.value());
}

}  // namespace shoal
