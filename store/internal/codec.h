#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/matrix.h"
#include "common/result.h"
#include "store/records.h"

// The bytes of every value in the store: docs/store_format.md. What a record's
// key says is not repeated in its value, so decoding takes it as an argument.
// Every decode function: kCorruption when the bytes are not such a value.

namespace shoal::internal {

[[nodiscard]] std::string encode(const ImageRecord& record);
[[nodiscard]] Result<ImageRecord> decode_image(ImageSeq seq,
                                               std::string_view bytes);

[[nodiscard]] std::string encode(const Label& label);
[[nodiscard]] Result<Label> decode_label(std::string_view bytes);

[[nodiscard]] std::string encode(const Member& member);
[[nodiscard]] Result<Member> decode_member(ImageSeq seq,
                                           std::string_view bytes);

[[nodiscard]] std::string encode(const ClusterRecord& record);
[[nodiscard]] Result<ClusterRecord> decode_cluster(ClusterId id,
                                                   std::string_view bytes);

[[nodiscard]] std::string encode(const EpochRecord& record);
[[nodiscard]] Result<EpochRecord> decode_epoch(EpochId id,
                                               std::string_view bytes);

[[nodiscard]] std::string encode(const LineageRecord& record);
[[nodiscard]] Result<LineageRecord> decode_lineage(std::uint64_t seq,
                                                   std::string_view bytes);

[[nodiscard]] std::string encode(const HistoryRecord& record);
[[nodiscard]] Result<HistoryRecord> decode_history(std::string_view bytes);

[[nodiscard]] std::string encode(const CorrectionRecord& record);
[[nodiscard]] Result<CorrectionRecord> decode_correction(
    CorrectionSeq seq, std::string_view bytes);

[[nodiscard]] std::string encode(const FixedLabel& fixed);
[[nodiscard]] Result<FixedLabel> decode_fixed(std::string_view bytes);

[[nodiscard]] std::string encode(const RejectedRecord& record);
[[nodiscard]] Result<RejectedRecord> decode_rejected(std::uint64_t number,
                                                     std::string_view bytes);

[[nodiscard]] std::string encode(const IngestTotals& totals);
[[nodiscard]] Result<IngestTotals> decode_ingest_totals(std::string_view bytes);

[[nodiscard]] std::string encode(const LabelTotals& totals);
[[nodiscard]] Result<LabelTotals> decode_label_totals(std::string_view bytes);

/// One u64, as a value.
[[nodiscard]] std::string encode_number(std::uint64_t number);
[[nodiscard]] Result<std::uint64_t> decode_number(std::string_view bytes);

/// (d) float -> d fp16 values, rounded to nearest even; values beyond fp16's
/// range become its largest finite value of that sign.
[[nodiscard]] std::string encode_halves(const Eigen::Ref<const Vector>& values);
/// Fills `row` (d), in place because it is a row of a larger matrix.
/// Errors: kCorruption when `bytes` does not hold exactly d values.
[[nodiscard]] Result<void> decode_halves(std::string_view bytes,
                                         Eigen::Ref<Eigen::RowVectorXf> row);

}  // namespace shoal::internal
