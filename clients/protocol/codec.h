#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal {

/// Version of the wire protocol, key "v" of every message.
inline constexpr int kProtocolVersion = 1;
/// Deepest nesting of maps and lists accepted in a message.
inline constexpr std::size_t kMaxNesting = 16;
/// Most values, containers included, accepted in a message: a value takes far
/// more memory than the byte it may take on the wire.
inline constexpr std::size_t kMaxValues = 1'000'000;

/// An error as it travels: `code` is for programs (docs/protocol.md lists
/// them), `message` says what, where and what to do.
struct WireError {
  std::string code;
  std::string message;
};

enum class Encoding { kMsgpack, kJson };

/// A frame that starts with '{' is JSON, anything else msgpack.
[[nodiscard]] Encoding encoding_of(std::string_view frame);

/// Decodes a frame that must hold one map and nothing after it. Never throws;
/// nesting is bounded by kMaxNesting while parsing, so hostile input cannot
/// exhaust the stack; no allocation follows a claimed length that the frame
/// does not hold. A key given twice is refused. Strings of a msgpack frame may
/// hold any bytes; those of a JSON frame are UTF-8.
/// Errors: kInvalidArgument.
[[nodiscard]] Result<nlohmann::json> decode_map(std::string_view frame);

/// JSON text replaces bytes that are not UTF-8 and writes binary values as
/// base64 strings.
[[nodiscard]] std::string encode_map(const nlohmann::json& map,
                                     Encoding encoding);

/// RFC 4648, padded.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
/// Takes exactly what base64_encode gives: padded, no white space.
/// Errors: kInvalidArgument.
[[nodiscard]] Result<std::string> base64_decode(std::string_view text);

}  // namespace shoal
