#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "clients/protocol/codec.h"
#include "common/time.h"

namespace shoal {

/// When the daemon answers an ingested image.
enum class Ack {
  kStored,    ///< as soon as it is durable
  kAssigned,  ///< once it has a cluster or is known to be unassigned
};

/// First frame of an ingest message; the second is the image's bytes.
struct IngestHeader {
  std::uint64_t seq = 0;          ///< client's own number, echoed in the reply
  std::optional<std::string> id;  ///< keeps the rules of ImageId
  std::string source;
  std::optional<Timestamp> captured_at;
  std::map<std::string, std::string> meta;
  Ack ack = Ack::kStored;
};

/// Limits that decode_ingest_header enforces.
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{64} << 10U;
inline constexpr std::size_t kMaxSourceBytes = 256;
inline constexpr std::size_t kMaxMetaEntries = 64;
inline constexpr std::size_t kMaxMetaBytes = std::size_t{16}
                                             << 10U;  ///< keys + values

/// msgpack map with the keys of the wire protocol.
[[nodiscard]] std::string encode_ingest_header(const IngestHeader& header);

/// A header, or what is wrong with it. The client's seq is told even when
/// something else is wrong, so that the refusal reaches the right request.
struct DecodedIngestHeader {
  std::optional<IngestHeader> header;
  std::uint64_t seq = 0;
  WireError error;  ///< when there is no header
};
/// Never throws and never recurses deeper than kMaxNesting, whatever the
/// bytes. Keys that it does not know are ignored.
/// Codes: bad_message, bad_version, missing_field, bad_field, bad_id.
[[nodiscard]] DecodedIngestHeader decode_ingest_header(std::string_view bytes);

enum class IngestStatus { kStored, kAssigned, kDuplicate, kBusy, kRejected };
[[nodiscard]] std::string_view to_string(IngestStatus status);

/// The reply, one frame.
struct IngestReply {
  std::uint64_t seq = 0;
  std::string id;
  IngestStatus status = IngestStatus::kStored;
  /// 0 in a reply to ack = assigned: known to be unassigned. Travels as null.
  std::optional<std::uint64_t> cluster;
  std::optional<float> confidence;
  std::optional<WireError> error;
  std::optional<std::uint32_t> retry_after_ms;
};
[[nodiscard]] std::string encode_ingest_reply(const IngestReply& reply);
/// Errors: kInvalidArgument when it is not such a reply.
[[nodiscard]] Result<IngestReply> decode_ingest_reply(std::string_view bytes);

}  // namespace shoal
