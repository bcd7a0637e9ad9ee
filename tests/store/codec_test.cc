#include "store/internal/codec.h"

#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::internal {
namespace {

Timestamp at(std::int64_t microseconds) {
  return Timestamp(std::chrono::microseconds(microseconds));
}

/// Every proper prefix, and one byte too many, are told as corruption.
template <typename Decode>
void expect_exact_length(const std::string& bytes, const Decode& decode) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto decoded = decode(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(decoded.has_value()) << size << " of " << bytes.size();
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorruption);
  }
  const auto decoded = decode(bytes + '\0');
  ASSERT_FALSE(decoded.has_value());
  EXPECT_EQ(decoded.error().code, ErrorCode::kCorruption);
}

/// Random bytes and every single changed byte are decoded or refused, without
/// any other effect (a sanitizer run sees more here).
template <typename Decode>
void expect_survives_damage(const std::string& bytes, const Decode& decode) {
  std::mt19937 random(1);
  const auto check = [&](const std::string& damaged) {
    const auto decoded = decode(damaged);
    if (!decoded.has_value()) {
      EXPECT_EQ(decoded.error().code, ErrorCode::kCorruption);
    }
  };
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    for (const int value : {0x00, 0x7f, 0xff}) {
      damaged[i] = static_cast<char>(value);
      check(damaged);
    }
  }
  for (int round = 0; round < 500; ++round) {
    std::string noise(random() % 200, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    check(noise);
  }
}

template <typename T, typename Decode>
T round_trip(const T& record, const Decode& decode) {
  const std::string bytes = encode(record);
  expect_exact_length(bytes, decode);
  expect_survives_damage(bytes, decode);
  auto decoded = decode(bytes);
  EXPECT_TRUE(decoded.has_value());
  EXPECT_EQ(encode(decoded.value()), bytes);
  return std::move(decoded).value();
}

ImageRecord some_image() {
  ImageRecord image;
  image.seq = ImageSeq(9);
  image.id = ImageId::parse("front/door \xc3\xa9").value();
  for (std::size_t i = 0; i < image.digest.size(); ++i) {
    image.digest[i] = static_cast<std::uint8_t>(i);
  }
  image.size_bytes = 20'480;
  image.format = "png";
  image.width = 1'920;
  image.height = 1'080;
  image.source = "cam-3";
  image.captured_at = at(-5);
  image.received_at = at(1'700'000'000'123'456);
  image.meta = {{"", ""}, {"shelf", "7"}};
  image.failure_code = "decode_failed";
  image.failure_message = "the pixels end early";
  return image;
}

TEST(Codec, KeepsAnImageRecord) {
  const ImageRecord image = some_image();
  const ImageRecord copy = round_trip(image, [](std::string_view bytes) {
    return decode_image(ImageSeq(9), bytes);
  });
  EXPECT_EQ(copy.seq, image.seq);
  EXPECT_EQ(copy.id, image.id);
  EXPECT_EQ(copy.digest, image.digest);
  EXPECT_EQ(copy.size_bytes, image.size_bytes);
  EXPECT_EQ(copy.format, image.format);
  EXPECT_EQ(copy.width, image.width);
  EXPECT_EQ(copy.height, image.height);
  EXPECT_EQ(copy.source, image.source);
  EXPECT_EQ(copy.captured_at, image.captured_at);
  EXPECT_EQ(copy.received_at, image.received_at);
  EXPECT_EQ(copy.meta, image.meta);
  EXPECT_EQ(copy.failure_code, image.failure_code);
  EXPECT_EQ(copy.failure_message, image.failure_message);
}

TEST(Codec, AnImageRecordWithABadIdIsCorruption) {
  std::string bytes = encode(some_image());
  bytes[4] = '\x01';  // A control character at the id's start.
  const auto decoded = decode_image(ImageSeq(9), bytes);
  ASSERT_FALSE(decoded.has_value());
  EXPECT_EQ(decoded.error().code, ErrorCode::kCorruption);
  EXPECT_THAT(decoded.error().message, ::testing::HasSubstr("id"));
}

TEST(Codec, KeepsALabel) {
  const Label label{ClusterId(7), LabelState::kConfirmed, 0.25F, 3.5F};
  EXPECT_EQ(round_trip(label, decode_label), label);
}

TEST(Codec, AnUnknownLabelStateIsCorruption) {
  for (const char state : {'\0', '\4', '\x7f'}) {
    std::string bytes =
        encode(Label{ClusterId(7), LabelState::kAssigned, 0, 0});
    bytes[8] = state;
    EXPECT_FALSE(decode_label(bytes).has_value()) << int{state};
  }
}

TEST(Codec, KeepsAMember) {
  const Member member{ImageSeq(3), LabelState::kAssigned, 0.75F};
  const Member copy = round_trip(member, [](std::string_view bytes) {
    return decode_member(ImageSeq(3), bytes);
  });
  EXPECT_EQ(copy.seq, member.seq);
  EXPECT_EQ(copy.state, member.state);
  EXPECT_EQ(copy.confidence, member.confidence);
}

TEST(Codec, KeepsAClusterRecord) {
  ClusterRecord cluster;
  cluster.id = ClusterId(4);
  cluster.size = 1'000'000'000'000;
  cluster.confirmed = 12;
  cluster.born_epoch = EpochId(2);
  cluster.prototypes.resize(2);
  cluster.prototypes[0].centroid = Vector::LinSpaced(5, -1, 1);
  cluster.prototypes[0].novelty_threshold = 2.5F;
  cluster.prototypes[1].novelty_threshold =
      std::numeric_limits<float>::infinity();
  const auto copy = round_trip(cluster, [](std::string_view bytes) {
    return decode_cluster(ClusterId(4), bytes);
  });
  EXPECT_EQ(copy.id, cluster.id);
  EXPECT_EQ(copy.size, cluster.size);
  EXPECT_EQ(copy.confirmed, cluster.confirmed);
  EXPECT_EQ(copy.born_epoch, cluster.born_epoch);
  ASSERT_EQ(copy.prototypes.size(), 2U);
  EXPECT_EQ(copy.prototypes[0].centroid, cluster.prototypes[0].centroid);
  EXPECT_EQ(copy.prototypes[0].novelty_threshold, 2.5F);
  EXPECT_EQ(copy.prototypes[1].centroid.size(), 0);
  EXPECT_TRUE(std::isinf(copy.prototypes[1].novelty_threshold));
}

TEST(Codec, KeepsAnEpochRecord) {
  EpochRecord epoch;
  epoch.id = EpochId(6);
  epoch.parent = EpochId(5);
  epoch.status = EpochStatus::kHeld;
  epoch.method = "dmvc";
  epoch.reason = "scores fell";
  epoch.started_at = at(1);
  epoch.finished_at = at(2);
  epoch.images = 3;
  epoch.clusters = 4;
  epoch.churn = 0.125F;
  epoch.scores = {{"dbi", 1.25}, {"silhouette", -0.5}};
  epoch.low_water = ImageSeq(7);
  epoch.corrections_seen = CorrectionSeq(8);
  epoch.embedding_dim = 160;
  epoch.views = {"hog@none@ab@100", "resnet50@cd@ef@2048"};
  const auto copy = round_trip(epoch, [](std::string_view bytes) {
    return decode_epoch(EpochId(6), bytes);
  });
  EXPECT_EQ(copy.id, epoch.id);
  EXPECT_EQ(copy.parent, epoch.parent);
  EXPECT_EQ(copy.status, epoch.status);
  EXPECT_EQ(copy.method, epoch.method);
  EXPECT_EQ(copy.reason, epoch.reason);
  EXPECT_EQ(copy.started_at, epoch.started_at);
  EXPECT_EQ(copy.finished_at, epoch.finished_at);
  EXPECT_EQ(copy.images, epoch.images);
  EXPECT_EQ(copy.clusters, epoch.clusters);
  EXPECT_EQ(copy.churn, epoch.churn);
  EXPECT_EQ(copy.scores, epoch.scores);
  EXPECT_EQ(copy.low_water, epoch.low_water);
  EXPECT_EQ(copy.corrections_seen, epoch.corrections_seen);
  EXPECT_EQ(copy.embedding_dim, epoch.embedding_dim);
  EXPECT_EQ(copy.views, epoch.views);
}

TEST(Codec, KeepsALineageRecord) {
  LineageRecord lineage;
  lineage.seq = 11;
  lineage.cluster = ClusterId(1);
  lineage.kind = LineageKind::kMerged;
  lineage.epoch = EpochId(2);
  lineage.correction = CorrectionSeq(3);
  lineage.at = at(4);
  lineage.others = {ClusterId(5), ClusterId(6)};
  const auto copy = round_trip(lineage, [](std::string_view bytes) {
    return decode_lineage(11, bytes);
  });
  EXPECT_EQ(copy.seq, lineage.seq);
  EXPECT_EQ(copy.cluster, lineage.cluster);
  EXPECT_EQ(copy.kind, lineage.kind);
  EXPECT_EQ(copy.epoch, lineage.epoch);
  EXPECT_EQ(copy.correction, lineage.correction);
  EXPECT_EQ(copy.at, lineage.at);
  EXPECT_EQ(copy.others, lineage.others);
}

TEST(Codec, KeepsAHistoryRecord) {
  const HistoryRecord history{
      at(1),    EpochId(2), ClusterId(3), ClusterId(4), LabelState::kAssigned,
      "publish"};
  const auto copy = round_trip(history, decode_history);
  EXPECT_EQ(copy.at, history.at);
  EXPECT_EQ(copy.epoch, history.epoch);
  EXPECT_EQ(copy.from, history.from);
  EXPECT_EQ(copy.to, history.to);
  EXPECT_EQ(copy.state, history.state);
  EXPECT_EQ(copy.cause, history.cause);
}

TEST(Codec, KeepsACorrection) {
  CorrectionRecord correction;
  correction.seq = CorrectionSeq(5);
  correction.kind = CorrectionKind::kMerge;
  correction.at = at(6);
  correction.cluster = ClusterId(3);
  correction.other = ClusterId(4);
  correction.undoes = CorrectionSeq(1);
  correction.undone_by = CorrectionSeq(9);
  correction.epoch = EpochId(7);
  correction.prototypes = {{Vector::LinSpaced(3, 0, 1), 0.5F}};
  correction.changes = {
      {ImageSeq(1), {ClusterId(8), LabelState::kConfirmed, 0.5F, 0.25F}},
      {ImageSeq(2), {}}};
  const auto copy = round_trip(correction, [](std::string_view bytes) {
    return decode_correction(CorrectionSeq(5), bytes);
  });
  EXPECT_EQ(copy.seq, correction.seq);
  EXPECT_EQ(copy.kind, correction.kind);
  EXPECT_EQ(copy.at, correction.at);
  EXPECT_EQ(copy.cluster, correction.cluster);
  EXPECT_EQ(copy.other, correction.other);
  EXPECT_EQ(copy.undoes, correction.undoes);
  EXPECT_EQ(copy.undone_by, correction.undone_by);
  EXPECT_EQ(copy.epoch, correction.epoch);
  ASSERT_EQ(copy.prototypes.size(), 1U);
  EXPECT_EQ(copy.prototypes[0].centroid, correction.prototypes[0].centroid);
  EXPECT_EQ(copy.prototypes[0].novelty_threshold, 0.5F);
  ASSERT_EQ(copy.changes.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(copy.changes[i].seq, correction.changes[i].seq);
    EXPECT_EQ(copy.changes[i].label_before, correction.changes[i].label_before);
  }
}

TEST(Codec, KeepsAFixedLabel) {
  const FixedLabel fixed{ClusterId(1), FixedBy::kRun, CorrectionSeq(2),
                         EpochId(3)};
  const auto copy = round_trip(fixed, decode_fixed);
  EXPECT_EQ(copy.cluster, fixed.cluster);
  EXPECT_EQ(copy.by, fixed.by);
  EXPECT_EQ(copy.correction, fixed.correction);
  EXPECT_EQ(copy.epoch, fixed.epoch);
}

TEST(Codec, KeepsARejectedRecord) {
  const RejectedRecord rejected{12, at(1), "id", "cam", "too_large", "why"};
  const auto copy = round_trip(rejected, [](std::string_view bytes) {
    return decode_rejected(12, bytes);
  });
  EXPECT_EQ(copy.number, rejected.number);
  EXPECT_EQ(copy.at, rejected.at);
  EXPECT_EQ(copy.id, rejected.id);
  EXPECT_EQ(copy.source, rejected.source);
  EXPECT_EQ(copy.code, rejected.code);
  EXPECT_EQ(copy.message, rejected.message);
}

TEST(Codec, KeepsTheTotals) {
  const auto ingest =
      round_trip(IngestTotals{5, ImageSeq(6)}, decode_ingest_totals);
  EXPECT_EQ(ingest.stored, 5U);
  EXPECT_EQ(ingest.last_seq, ImageSeq(6));
  const auto labels = round_trip(
      LabelTotals{1, 2, 3, ClusterId(4), EpochId(5), CorrectionSeq(6)},
      decode_label_totals);
  EXPECT_EQ(labels.completed, 1U);
  EXPECT_EQ(labels.deleted, 2U);
  EXPECT_EQ(labels.deleted_pending, 3U);
  EXPECT_EQ(labels.last_cluster, ClusterId(4));
  EXPECT_EQ(labels.last_epoch, EpochId(5));
  EXPECT_EQ(labels.last_correction, CorrectionSeq(6));
}

TEST(Codec, AListThatClaimsMoreThanIsThereIsCorruption) {
  LineageRecord lineage;
  std::string bytes = encode(lineage);
  bytes.replace(bytes.size() - 4, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(decode_lineage(1, bytes).has_value());
}

TEST(Codec, TheBytesOfALabelAreThoseOfTheFormatDocument) {
  // cluster u64, state u8, confidence f32, distance f32, little-endian.
  const std::string bytes =
      encode(Label{ClusterId(0x0102), LabelState::kConfirmed, 1.0F, -2.0F});
  EXPECT_EQ(bytes, std::string("\x02\x01\0\0\0\0\0\0"
                               "\x03"
                               "\0\0\x80\x3f"
                               "\0\0\0\xc0",
                               17));
}

TEST(Codec, HalvesKeepElevenBitsAndClampBeyondTheirRange) {
  Vector values(6);
  values << 1.0F, -0.333F, 65'504.0F, 1e9F, -1e9F, 1e-3F;
  const std::string bytes = encode_halves(values);
  ASSERT_EQ(bytes.size(), 12U);
  Eigen::RowVectorXf copy(6);
  ASSERT_TRUE(decode_halves(bytes, copy).has_value());
  EXPECT_EQ(copy[0], 1.0F);
  EXPECT_NEAR(copy[1], -0.333F, 0.333F / 2048);
  EXPECT_EQ(copy[2], 65'504.0F);
  EXPECT_EQ(copy[3], 65'504.0F);
  EXPECT_EQ(copy[4], -65'504.0F);
  EXPECT_NEAR(copy[5], 1e-3F, 1e-3F / 2048);
  EXPECT_EQ(encode_halves(copy.transpose()), bytes);
  EXPECT_EQ(bytes.substr(0, 2), std::string("\0\x3c", 2));
}

TEST(Codec, HalvesOfAnotherLengthAreCorruption) {
  Eigen::RowVectorXf row(3);
  for (const std::size_t size : {0U, 5U, 7U, 8U}) {
    const auto decoded = decode_halves(std::string(size, 'x'), row);
    ASSERT_FALSE(decoded.has_value());
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorruption);
  }
}

}  // namespace
}  // namespace shoal::internal
