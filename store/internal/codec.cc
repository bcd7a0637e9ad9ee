#include "store/internal/codec.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "common/bytes.h"

namespace shoal::internal {
namespace {

void put(ByteWriter& out, Timestamp time) {
  out.number(static_cast<std::int64_t>(time.time_since_epoch().count()));
}

template <typename Tag>
void put(ByteWriter& out, NumericId<Tag> id) {
  out.number(id.value());
}

template <typename Tag>
void put(ByteWriter& out, const std::vector<NumericId<Tag>>& ids) {
  out.number(static_cast<std::uint32_t>(ids.size()));
  for (const auto id : ids) put(out, id);
}

template <typename Enum>
void put_enum(ByteWriter& out, Enum value) {
  out.number(static_cast<std::uint8_t>(value));
}

void put(ByteWriter& out, const Label& label) {
  put(out, label.cluster);
  put_enum(out, label.state);
  out.number(label.confidence).number(label.distance);
}

Timestamp get_time(ByteReader& in) {
  return Timestamp(Timestamp::duration(in.number<std::int64_t>()));
}

template <typename Id>
Id get_id(ByteReader& in) {
  return Id(in.number<std::uint64_t>());
}

/// Reads a u32 count and then that many elements. A lying count costs no more
/// than the bytes that are there: reading stops at the first failure.
template <typename Read>
void get_list(ByteReader& in, Read&& read) {
  const auto count = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) read();
}

template <typename Id>
std::vector<Id> get_ids(ByteReader& in) {
  std::vector<Id> ids;
  get_list(in, [&] { ids.push_back(get_id<Id>(in)); });
  return ids;
}

/// Reads fields and remembers the first that holds an impossible value, so
/// that a record is read as a whole and judged once.
class RecordReader {
 public:
  RecordReader(std::string_view what, std::string_view bytes)
      : what_(what), in_(bytes) {}

  [[nodiscard]] ByteReader& reader() { return in_; }
  template <typename Enum>
  Enum get_enum(Enum last) {
    const auto value = in_.number<std::uint8_t>();
    const auto limit = static_cast<std::uint8_t>(last);
    if (value < 1 || value > limit) {
      refuse("an unknown kind " + std::to_string(value));
    }
    return static_cast<Enum>(value);
  }
  Label get_label() {
    Label label;
    label.cluster = get_id<ClusterId>(in_);
    label.state = get_enum(LabelState::kConfirmed);
    label.confidence = in_.number<float>();
    label.distance = in_.number<float>();
    return label;
  }
  void refuse(std::string why) {
    if (refusal_.empty()) refusal_ = std::move(why);
  }
  [[nodiscard]] Result<void> finish() const {
    SHOAL_TRY(in_.finish(what_));
    if (!refusal_.empty()) return corruption(what_ + " has " + refusal_);
    return ok();
  }

 private:
  std::string what_;
  std::string refusal_;
  ByteReader in_;
};

void put(ByteWriter& out, const std::vector<Prototype>& prototypes) {
  out.number(static_cast<std::uint32_t>(prototypes.size()));
  for (const Prototype& prototype : prototypes) {
    out.number(prototype.novelty_threshold);
    out.number(static_cast<std::uint32_t>(prototype.centroid.size()));
    for (const float value : prototype.centroid) out.number(value);
  }
}

std::vector<Prototype> get_prototypes(ByteReader& in) {
  std::vector<Prototype> prototypes;
  get_list(in, [&] {
    Prototype prototype;
    prototype.novelty_threshold = in.number<float>();
    const auto dim = in.number<std::uint32_t>();
    const auto values = in.raw(std::size_t{dim} * sizeof(float));
    if (in.failed()) return;
    prototype.centroid.resize(dim);
    if (dim > 0) {
      std::memcpy(prototype.centroid.data(), values.data(), values.size());
    }
    prototypes.push_back(std::move(prototype));
  });
  return prototypes;
}

}  // namespace

std::string encode(const ImageRecord& record) {
  ByteWriter out;
  out.string(record.id.str());
  out.raw({reinterpret_cast<const char*>(record.digest.data()),
           record.digest.size()});
  out.number(record.size_bytes).string(record.format);
  out.number(record.width).number(record.height).string(record.source);
  put(out, record.captured_at);
  put(out, record.received_at);
  out.number(static_cast<std::uint32_t>(record.meta.size()));
  for (const auto& [name, value] : record.meta) out.string(name).string(value);
  out.string(record.failure_code).string(record.failure_message);
  return out.take();
}

Result<ImageRecord> decode_image(ImageSeq seq, std::string_view bytes) {
  RecordReader record("an image record", bytes);
  ByteReader& in = record.reader();
  ImageRecord image;
  image.seq = seq;
  auto id = ImageId::parse(in.string());
  if (id.has_value()) {
    image.id = std::move(id).value();
  } else {
    record.refuse("a bad id: " + id.error().message);
  }
  const auto digest = in.raw(image.digest.size());
  if (digest.size() == image.digest.size()) {
    std::memcpy(image.digest.data(), digest.data(), digest.size());
  }
  image.size_bytes = in.number<std::uint64_t>();
  image.format = in.string();
  image.width = in.number<std::uint32_t>();
  image.height = in.number<std::uint32_t>();
  image.source = in.string();
  image.captured_at = get_time(in);
  image.received_at = get_time(in);
  get_list(in, [&] {
    auto name = in.string();
    image.meta[std::move(name)] = in.string();
  });
  image.failure_code = in.string();
  image.failure_message = in.string();
  SHOAL_TRY(record.finish());
  return image;
}

std::string encode(const Label& label) {
  ByteWriter out;
  put(out, label);
  return out.take();
}

Result<Label> decode_label(std::string_view bytes) {
  RecordReader record("a label", bytes);
  const Label label = record.get_label();
  SHOAL_TRY(record.finish());
  return label;
}

std::string encode(const Member& member) {
  ByteWriter out;
  put_enum(out, member.state);
  out.number(member.confidence);
  return out.take();
}

Result<Member> decode_member(ImageSeq seq, std::string_view bytes) {
  RecordReader record("a member", bytes);
  Member member;
  member.seq = seq;
  member.state = record.get_enum(LabelState::kConfirmed);
  member.confidence = record.reader().number<float>();
  SHOAL_TRY(record.finish());
  return member;
}

std::string encode(const ClusterRecord& record) {
  ByteWriter out;
  out.number(record.size).number(record.confirmed);
  put(out, record.born_epoch);
  put(out, record.prototypes);
  return out.take();
}

Result<ClusterRecord> decode_cluster(ClusterId id, std::string_view bytes) {
  RecordReader record("a cluster record", bytes);
  ByteReader& in = record.reader();
  ClusterRecord cluster;
  cluster.id = id;
  cluster.size = in.number<std::uint64_t>();
  cluster.confirmed = in.number<std::uint64_t>();
  cluster.born_epoch = get_id<EpochId>(in);
  cluster.prototypes = get_prototypes(in);
  SHOAL_TRY(record.finish());
  return cluster;
}

std::string encode(const EpochRecord& record) {
  ByteWriter out;
  put(out, record.parent);
  put_enum(out, record.status);
  out.string(record.method).string(record.reason);
  put(out, record.started_at);
  put(out, record.finished_at);
  out.number(record.images).number(record.clusters).number(record.churn);
  out.number(static_cast<std::uint32_t>(record.scores.size()));
  for (const auto& [name, value] : record.scores) {
    out.string(name).number(value);
  }
  put(out, record.low_water);
  put(out, record.corrections_seen);
  out.number(record.embedding_dim);
  out.number(static_cast<std::uint32_t>(record.views.size()));
  for (const auto& view : record.views) out.string(view);
  return out.take();
}

Result<EpochRecord> decode_epoch(EpochId id, std::string_view bytes) {
  RecordReader record("an epoch record", bytes);
  ByteReader& in = record.reader();
  EpochRecord epoch;
  epoch.id = id;
  epoch.parent = get_id<EpochId>(in);
  epoch.status = record.get_enum(EpochStatus::kDropped);
  epoch.method = in.string();
  epoch.reason = in.string();
  epoch.started_at = get_time(in);
  epoch.finished_at = get_time(in);
  epoch.images = in.number<std::uint64_t>();
  epoch.clusters = in.number<std::uint64_t>();
  epoch.churn = in.number<float>();
  get_list(in, [&] {
    auto name = in.string();
    epoch.scores[std::move(name)] = in.number<double>();
  });
  epoch.low_water = get_id<ImageSeq>(in);
  epoch.corrections_seen = get_id<CorrectionSeq>(in);
  epoch.embedding_dim = in.number<std::uint32_t>();
  get_list(in, [&] { epoch.views.push_back(in.string()); });
  SHOAL_TRY(record.finish());
  return epoch;
}

std::string encode(const LineageRecord& record) {
  ByteWriter out;
  put(out, record.cluster);
  put_enum(out, record.kind);
  put(out, record.epoch);
  put(out, record.correction);
  put(out, record.at);
  put(out, record.others);
  return out.take();
}

Result<LineageRecord> decode_lineage(std::uint64_t seq,
                                     std::string_view bytes) {
  RecordReader record("a lineage record", bytes);
  ByteReader& in = record.reader();
  LineageRecord lineage;
  lineage.seq = seq;
  lineage.cluster = get_id<ClusterId>(in);
  lineage.kind = record.get_enum(LineageKind::kRevived);
  lineage.epoch = get_id<EpochId>(in);
  lineage.correction = get_id<CorrectionSeq>(in);
  lineage.at = get_time(in);
  lineage.others = get_ids<ClusterId>(in);
  SHOAL_TRY(record.finish());
  return lineage;
}

std::string encode(const HistoryRecord& record) {
  ByteWriter out;
  put(out, record.at);
  put(out, record.epoch);
  put(out, record.from);
  put(out, record.to);
  put_enum(out, record.state);
  out.string(record.cause);
  return out.take();
}

Result<HistoryRecord> decode_history(std::string_view bytes) {
  RecordReader record("a history record", bytes);
  ByteReader& in = record.reader();
  HistoryRecord history;
  history.at = get_time(in);
  history.epoch = get_id<EpochId>(in);
  history.from = get_id<ClusterId>(in);
  history.to = get_id<ClusterId>(in);
  history.state = record.get_enum(LabelState::kConfirmed);
  history.cause = in.string();
  SHOAL_TRY(record.finish());
  return history;
}

std::string encode(const CorrectionRecord& record) {
  ByteWriter out;
  put_enum(out, record.kind);
  put(out, record.at);
  put(out, record.cluster);
  put(out, record.other);
  put(out, record.undoes);
  put(out, record.undone_by);
  put(out, record.epoch);
  put(out, record.prototypes);
  out.number(static_cast<std::uint32_t>(record.changes.size()));
  for (const CorrectionChange& change : record.changes) {
    put(out, change.seq);
    put(out, change.label_before);
  }
  return out.take();
}

Result<CorrectionRecord> decode_correction(CorrectionSeq seq,
                                           std::string_view bytes) {
  RecordReader record("a correction", bytes);
  ByteReader& in = record.reader();
  CorrectionRecord correction;
  correction.seq = seq;
  correction.kind = record.get_enum(CorrectionKind::kRunConfirm);
  correction.at = get_time(in);
  correction.cluster = get_id<ClusterId>(in);
  correction.other = get_id<ClusterId>(in);
  correction.undoes = get_id<CorrectionSeq>(in);
  correction.undone_by = get_id<CorrectionSeq>(in);
  correction.epoch = get_id<EpochId>(in);
  correction.prototypes = get_prototypes(in);
  get_list(in, [&] {
    CorrectionChange change;
    change.seq = get_id<ImageSeq>(in);
    change.label_before = record.get_label();
    correction.changes.push_back(change);
  });
  SHOAL_TRY(record.finish());
  return correction;
}

std::string encode(const FixedLabel& fixed) {
  ByteWriter out;
  put(out, fixed.cluster);
  put_enum(out, fixed.by);
  put(out, fixed.correction);
  put(out, fixed.epoch);
  return out.take();
}

Result<FixedLabel> decode_fixed(std::string_view bytes) {
  RecordReader record("a fixed label", bytes);
  ByteReader& in = record.reader();
  FixedLabel fixed;
  fixed.cluster = get_id<ClusterId>(in);
  fixed.by = record.get_enum(FixedBy::kRun);
  fixed.correction = get_id<CorrectionSeq>(in);
  fixed.epoch = get_id<EpochId>(in);
  SHOAL_TRY(record.finish());
  return fixed;
}

std::string encode(const RejectedRecord& record) {
  ByteWriter out;
  put(out, record.at);
  out.string(record.id).string(record.source);
  out.string(record.code).string(record.message);
  return out.take();
}

Result<RejectedRecord> decode_rejected(std::uint64_t number,
                                       std::string_view bytes) {
  ByteReader in(bytes);
  RejectedRecord rejected;
  rejected.number = number;
  rejected.at = get_time(in);
  rejected.id = in.string();
  rejected.source = in.string();
  rejected.code = in.string();
  rejected.message = in.string();
  SHOAL_TRY(in.finish("a rejected record"));
  return rejected;
}

std::string encode(const IngestTotals& totals) {
  ByteWriter out;
  out.number(totals.stored);
  put(out, totals.last_seq);
  return out.take();
}

Result<IngestTotals> decode_ingest_totals(std::string_view bytes) {
  ByteReader in(bytes);
  IngestTotals totals;
  totals.stored = in.number<std::uint64_t>();
  totals.last_seq = get_id<ImageSeq>(in);
  SHOAL_TRY(in.finish("the ingest totals record"));
  return totals;
}

std::string encode(const LabelTotals& totals) {
  ByteWriter out;
  out.number(totals.completed);
  out.number(totals.deleted).number(totals.deleted_pending);
  put(out, totals.last_cluster);
  put(out, totals.last_epoch);
  put(out, totals.last_correction);
  return out.take();
}

Result<LabelTotals> decode_label_totals(std::string_view bytes) {
  ByteReader in(bytes);
  LabelTotals totals;
  totals.completed = in.number<std::uint64_t>();
  totals.deleted = in.number<std::uint64_t>();
  totals.deleted_pending = in.number<std::uint64_t>();
  totals.last_cluster = get_id<ClusterId>(in);
  totals.last_epoch = get_id<EpochId>(in);
  totals.last_correction = get_id<CorrectionSeq>(in);
  SHOAL_TRY(in.finish("the label totals record"));
  return totals;
}

std::string encode_number(std::uint64_t number) {
  return ByteWriter().number(number).take();
}

Result<std::uint64_t> decode_number(std::string_view bytes) {
  ByteReader in(bytes);
  const auto number = in.number<std::uint64_t>();
  SHOAL_TRY(in.finish("a number"));
  return number;
}

std::string encode_halves(const Eigen::Ref<const Vector>& values) {
  static constexpr float kLargest = 65504.0F;
  std::string bytes(
      static_cast<std::size_t>(values.size()) * sizeof(Eigen::half), '\0');
  for (Eigen::Index i = 0; i < values.size(); ++i) {
    const Eigen::half half(std::clamp(values[i], -kLargest, kLargest));
    std::memcpy(&bytes[static_cast<std::size_t>(i) * sizeof half], &half,
                sizeof half);
  }
  return bytes;
}

Result<void> decode_halves(std::string_view bytes,
                           Eigen::Ref<Eigen::RowVectorXf> row) {
  const auto size = static_cast<std::size_t>(row.size()) * sizeof(Eigen::half);
  if (bytes.size() != size) {
    return corruption("a vector has " + std::to_string(bytes.size()) +
                      " bytes where " + std::to_string(size) + " are expected");
  }
  for (Eigen::Index i = 0; i < row.size(); ++i) {
    Eigen::half half;
    std::memcpy(&half, &bytes[static_cast<std::size_t>(i) * sizeof half],
                sizeof half);
    row[i] = static_cast<float>(half);
  }
  return ok();
}

}  // namespace shoal::internal
