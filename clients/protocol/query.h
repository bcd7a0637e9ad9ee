#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "clients/protocol/codec.h"
#include "clients/protocol/fields.h"
#include "common/result.h"

namespace shoal {

/// Bounds of a page of `members`, `unassigned` or `rejected`.
inline constexpr std::uint64_t kMaxPageLimit = 10'000;
inline constexpr std::uint64_t kDefaultPageLimit = 1'000;
inline constexpr std::uint64_t kDefaultRejectedLimit = 100;
/// Bounds of `k` of `similar`.
inline constexpr std::uint64_t kMaxNeighbours = 1'000;
inline constexpr std::uint64_t kDefaultNeighbours = 10;
inline constexpr std::size_t kMaxClusterNameBytes = 256;

enum class OpRole {
  kRead,
  kAdmin,  ///< changes something
};

/// The role that `op` needs; nothing for an op that does not exist.
[[nodiscard]] std::optional<OpRole> op_role(std::string_view op);

/// A request as the daemon reads it.
struct QueryRequest {
  Encoding encoding = Encoding::kMsgpack;  ///< of the frame, and of the reply
  std::string op;                          ///< "" when it could not be read
  std::optional<std::uint64_t> seq;
  /// The whole map; read its fields with fields.h.
  nlohmann::json fields = nlohmann::json::object();
  /// Set when the request must be answered with this error.
  std::optional<WireError> error;
};

/// Never throws, whatever the bytes. Codes: bad_message, bad_version,
/// missing_field, bad_field, unknown_op.
[[nodiscard]] QueryRequest decode_query(std::string_view frame);

// In the encoders below `fields` is a map, or null for an empty one.

/// The frame that answers `request`.
/// @param fields  the reply's own fields, or the error
[[nodiscard]] std::string encode_query_reply(
    const QueryRequest& request, const WireResult<nlohmann::json>& fields);

/// A request frame. @param fields  of the op
[[nodiscard]] std::string encode_query(
    std::string_view op, const nlohmann::json& fields,
    std::optional<std::uint64_t> seq = std::nullopt,
    Encoding encoding = Encoding::kMsgpack);

/// A reply as a client reads it.
// NOLINTNEXTLINE(bugprone-exception-escape): json's destructor may allocate.
struct QueryReply {
  std::optional<std::uint64_t> seq;
  nlohmann::json fields;  ///< the reply's own, without v, op, seq and ok
  std::optional<WireError> error;
};

/// Errors: kInvalidArgument when it is not such a reply.
[[nodiscard]] Result<QueryReply> decode_query_reply(std::string_view frame);

/// How an error of the inside is told outside, and back. Where several
/// wire codes share an ErrorCode, to_wire_error picks the general one:
/// "conflict" for kFailedPrecondition, "busy" for kResourceExhausted.
[[nodiscard]] WireError to_wire_error(const Error& error);
/// kInternal for a code that it does not know.
[[nodiscard]] ErrorCode error_code_of(std::string_view wire_code);

/// Topics of the event socket.
namespace topic {
inline constexpr std::string_view kImageAssigned = "image.assigned";
inline constexpr std::string_view kImageMoved = "image.moved";
inline constexpr std::string_view kClusterBorn = "cluster.born";
inline constexpr std::string_view kClusterMerged = "cluster.merged";
inline constexpr std::string_view kRefineProgress = "refine.progress";
inline constexpr std::string_view kEpochPublished = "epoch.published";
inline constexpr std::array kAll = {kImageAssigned,  kImageMoved,
                                    kClusterBorn,    kClusterMerged,
                                    kRefineProgress, kEpochPublished};
}  // namespace topic

/// Second frame of an event; adds `v`.
[[nodiscard]] std::string encode_event(const nlohmann::json& fields);

}  // namespace shoal
