#include "clients/protocol/query.h"

#include <utility>

#include "common/check.h"

namespace shoal {
namespace {

using nlohmann::json;

struct Op {
  std::string_view name;
  OpRole role;
};
constexpr std::array kOps = {
    Op{"image", OpRole::kRead},     Op{"bytes", OpRole::kRead},
    Op{"cluster", OpRole::kRead},   Op{"clusters", OpRole::kRead},
    Op{"members", OpRole::kRead},   Op{"unassigned", OpRole::kRead},
    Op{"similar", OpRole::kRead},   Op{"history", OpRole::kRead},
    Op{"lineage", OpRole::kRead},   Op{"status", OpRole::kRead},
    Op{"epochs", OpRole::kRead},    Op{"rejected", OpRole::kRead},
    Op{"refine", OpRole::kAdmin},   Op{"cancel", OpRole::kAdmin},
    Op{"rollback", OpRole::kAdmin}, Op{"publish", OpRole::kAdmin},
    Op{"confirm", OpRole::kAdmin},  Op{"reject", OpRole::kAdmin},
    Op{"move", OpRole::kAdmin},     Op{"merge", OpRole::kAdmin},
    Op{"split", OpRole::kAdmin},    Op{"undo", OpRole::kAdmin},
    Op{"name", OpRole::kAdmin},     Op{"delete", OpRole::kAdmin},
    Op{"backup", OpRole::kAdmin},
};

struct CodePair {
  std::string_view wire;
  ErrorCode code;
};
// The first pair of an ErrorCode is the one that to_wire_error picks.
constexpr std::array kCodes = {
    CodePair{"invalid", ErrorCode::kInvalidArgument},
    CodePair{"bad_message", ErrorCode::kInvalidArgument},
    CodePair{"bad_version", ErrorCode::kInvalidArgument},
    CodePair{"missing_field", ErrorCode::kInvalidArgument},
    CodePair{"bad_field", ErrorCode::kInvalidArgument},
    CodePair{"bad_id", ErrorCode::kInvalidArgument},
    CodePair{"empty_image", ErrorCode::kInvalidArgument},
    CodePair{"not_an_image", ErrorCode::kInvalidArgument},
    CodePair{"truncated_image", ErrorCode::kInvalidArgument},
    CodePair{"broken_image", ErrorCode::kInvalidArgument},
    CodePair{"too_many_pixels", ErrorCode::kInvalidArgument},
    CodePair{"too_large", ErrorCode::kInvalidArgument},
    CodePair{"not_found", ErrorCode::kNotFound},
    CodePair{"id_conflict", ErrorCode::kAlreadyExists},
    CodePair{"conflict", ErrorCode::kFailedPrecondition},
    CodePair{"no_epoch", ErrorCode::kFailedPrecondition},
    CodePair{"busy", ErrorCode::kResourceExhausted},
    CodePair{"queue_full", ErrorCode::kResourceExhausted},
    CodePair{"storage_full", ErrorCode::kStorageFull},
    CodePair{"disk_full", ErrorCode::kStorageFull},
    CodePair{"unsupported", ErrorCode::kUnsupported},
    CodePair{"unknown_op", ErrorCode::kUnsupported},
    CodePair{"unsupported_format", ErrorCode::kUnsupported},
    CodePair{"unavailable", ErrorCode::kUnavailable},
    CodePair{"shutting_down", ErrorCode::kUnavailable},
    CodePair{"forbidden", ErrorCode::kPermissionDenied},
    CodePair{"internal", ErrorCode::kInternal},
};

constexpr std::size_t kMaxOpBytes = 64;

/// A copy of `fields`; an empty map for null, which is what `{}` makes.
json map_of(const json& fields) {
  SHOAL_CHECK(fields.is_object() || fields.is_null(),
              "the fields of a message are a map");
  return fields.is_null() ? json::object() : fields;
}

/// `v`, `op` and `seq` of a decoded request.
WireResult<void> read_envelope(QueryRequest& request) {
  SHOAL_TRY(seq, optional_number(request.fields, "seq"));
  request.seq = seq;
  SHOAL_TRY(check_version(request.fields));
  SHOAL_TRY(op,
            required("op", optional_string(request.fields, "op", kMaxOpBytes)));
  request.op = op;
  if (!op_role(op).has_value()) {
    return WireError{"unknown_op", "there is no op '" + op + "'"};
  }
  return BOOST_OUTCOME_V2_NAMESPACE::success();
}

WireResult<QueryReply> read_reply(json map) {
  SHOAL_TRY(check_version(map));
  QueryReply reply;
  SHOAL_TRY(seq, optional_number(map, "seq"));
  reply.seq = seq;
  SHOAL_TRY(is_ok, required("ok", optional_flag(map, "ok")));
  if (!is_ok) {
    const auto error = map.find("error");
    if (error == map.end() || !error->is_object()) {
      return missing_field("error");
    }
    constexpr std::size_t kMaxMessageBytes = 4096;
    SHOAL_TRY(code,
              required("code", optional_string(*error, "code", kMaxOpBytes)));
    SHOAL_TRY(message, optional_string(*error, "message", kMaxMessageBytes));
    reply.error = WireError{code, std::move(message).value_or("")};
  }
  for (const char* const key : {"v", "op", "seq", "ok", "error"}) {
    // `error` is also a field of an image that could not be used.
    if (is_ok && std::string_view(key) == "error") continue;
    map.erase(key);
  }
  reply.fields = std::move(map);
  return reply;
}

}  // namespace

std::optional<OpRole> op_role(std::string_view op) {
  for (const Op& known : kOps) {
    if (known.name == op) return known.role;
  }
  return std::nullopt;
}

QueryRequest decode_query(std::string_view frame) {
  QueryRequest request;
  request.encoding = encoding_of(frame);
  Result<json> map = decode_map(frame);
  if (map.has_error()) {
    request.error = WireError{"bad_message", map.error().message};
    return request;
  }
  request.fields = std::move(map.value());
  const WireResult<void> envelope = read_envelope(request);
  if (envelope.has_error()) request.error = envelope.error();
  return request;
}

std::string encode_query_reply(const QueryRequest& request,
                               const WireResult<json>& fields) {
  json map = json::object();
  if (fields.has_value()) {
    map = map_of(fields.value());
  } else {
    map["error"] = {{"code", fields.error().code},
                    {"message", fields.error().message}};
  }
  map["v"] = kProtocolVersion;
  map["op"] = request.op;
  if (request.seq.has_value()) map["seq"] = *request.seq;
  map["ok"] = fields.has_value();
  return encode_map(map, request.encoding);
}

std::string encode_query(std::string_view op, const json& fields,
                         std::optional<std::uint64_t> seq, Encoding encoding) {
  json map = map_of(fields);
  map["v"] = kProtocolVersion;
  map["op"] = op;
  if (seq.has_value()) map["seq"] = *seq;
  return encode_map(map, encoding);
}

Result<QueryReply> decode_query_reply(std::string_view frame) {
  Result<json> map = decode_map(frame);
  if (map.has_error()) {
    return invalid_argument("not a query reply: " + map.error().message);
  }
  WireResult<QueryReply> reply = read_reply(std::move(map.value()));
  if (reply.has_error()) {
    return invalid_argument("not a query reply: " + reply.error().message);
  }
  return std::move(reply.value());
}

WireError to_wire_error(const Error& error) {
  const auto wire_code = [&]() -> std::string_view {
    switch (error.code) {
      case ErrorCode::kAlreadyExists:
        return "conflict";
      case ErrorCode::kCancelled:
      case ErrorCode::kDeadlineExceeded:
        return "unavailable";
      case ErrorCode::kCorruption:
      case ErrorCode::kIo:
        return "internal";
      default:
        break;
    }
    for (const CodePair& pair : kCodes) {
      if (pair.code == error.code) return pair.wire;
    }
    return "internal";
  };
  return {std::string(wire_code()), error.message};
}

ErrorCode error_code_of(std::string_view wire_code) {
  for (const CodePair& pair : kCodes) {
    if (pair.wire == wire_code) return pair.code;
  }
  return ErrorCode::kInternal;
}

std::string encode_event(const json& fields) {
  json map = map_of(fields);
  map["v"] = kProtocolVersion;
  return encode_map(map, Encoding::kMsgpack);
}

}  // namespace shoal
