#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/prototype.h"
#include "common/sha256.h"
#include "common/time.h"

namespace shoal {

/// What is known of an image beside its bytes. Immutable once stored but for
/// the failure.
struct ImageRecord {
  ImageSeq seq;
  ImageId id;
  Sha256Digest digest{};
  std::uint64_t size_bytes = 0;
  /// "jpeg", "png", ...: what the bytes are, whatever they were called.
  std::string format;
  std::uint32_t width = 0;   ///< pixels, as stored (before EXIF rotation)
  std::uint32_t height = 0;  ///< pixels, as stored
  std::string source;        ///< client's word for where it comes from; or ""
  Timestamp captured_at{};   ///< client's; unknown: the epoch value
  Timestamp received_at{};
  std::map<std::string, std::string> meta;
  /// Set when processing failed for good after the image was stored (the
  /// pixels do not decode, say): an error code of the wire protocol and a
  /// sentence. The bytes are kept and the image stays in the unassigned pool.
  std::string failure_code;
  std::string failure_message;
};

/// An image about to be stored.
struct NewImage {
  ImageId id;
  std::string bytes;
  Sha256Digest digest{};
  std::string format;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::string source;
  Timestamp captured_at{};
  Timestamp received_at{};
  std::map<std::string, std::string> meta;
};

/// Persistent values; do not renumber.
enum class LabelState : std::uint8_t {
  kUnassigned = 1,  ///< in the pool: cluster is none
  kAssigned = 2,    ///< by nearest centroid or a run; may change
  kConfirmed = 3,   ///< for ever, unless a person moves it
};

/// An image's place in one epoch. An image without a Label is pending.
struct Label {
  ClusterId cluster;  ///< none in the unassigned pool
  LabelState state = LabelState::kUnassigned;
  float confidence = 0;  ///< Student-t q of the cluster, 0..1
  float distance = 0;    ///< to the nearest centroid, in embedding units

  friend bool operator==(const Label& a, const Label& b) {
    return a.cluster == b.cluster && a.state == b.state &&
           a.confidence == b.confidence && a.distance == b.distance;
  }
};

/// One image of a cluster as listed from the members index.
struct Member {
  ImageSeq seq;
  LabelState state = LabelState::kUnassigned;
  float confidence = 0;
};

/// A cluster as one epoch knows it. The id 0 is the unassigned pool: it has a
/// size and nothing else.
struct ClusterRecord {
  ClusterId id;
  std::uint64_t size = 0;       ///< images, confirmed ones included
  std::uint64_t confirmed = 0;  ///< images
  EpochId born_epoch;
  std::vector<Prototype> prototypes;
};

/// Persistent values; do not renumber.
enum class EpochStatus : std::uint8_t {
  kStaging = 1,    ///< being written; found at start-up: a crash, discard it
  kPublished = 2,  ///< was, or is, current; can be rolled back to
  kHeld = 3,       ///< complete, not published; a person may publish it
  kFailed = 4,     ///< no data but the reason
  kSkipped = 5,    ///< no data: the run found nothing worth doing
  kDropped = 6,    ///< data garbage-collected; the record remains
};

/// One run of the refinement and what became of it.
struct EpochRecord {
  EpochId id;
  EpochId parent;  ///< current when the run started; none for the first
  EpochStatus status = EpochStatus::kStaging;
  std::string method;
  std::string reason;  ///< why it was held, failed, skipped or asked for
  Timestamp started_at{};
  Timestamp finished_at{};
  std::uint64_t images = 0;    ///< labelled by the run
  std::uint64_t clusters = 0;  ///< the pool not counted
  float churn = 0;  ///< share of unconfirmed images that changed cluster
  std::map<std::string, double> scores;
  /// Every image up to this one had left the pending state when the run read
  /// the store: images after it may lack a label in this epoch.
  ImageSeq low_water;
  /// Corrections up to this one are part of the epoch.
  CorrectionSeq corrections_seen;
  std::uint32_t embedding_dim = 0;
  /// ViewKey::text() of the views the embedding reads, in its order.
  std::vector<std::string> views;
};

/// Names one version of a view; equal keys mean comparable features.
struct ViewKey {
  std::string name;                ///< [a-z0-9_.-]+
  std::string weights_hash;        ///< hex; "none" for handcrafted views
  std::string preprocessing_hash;  ///< hex
  std::uint32_t dim = 0;

  /// "name@weights@preprocessing@dim": unique, used as column family name.
  [[nodiscard]] std::string text() const {
    return name + "@" + weights_hash + "@" + preprocessing_hash + "@" +
           std::to_string(dim);
  }
};

/// What happened to a cluster. Persistent values; do not renumber.
enum class LineageKind : std::uint8_t {
  kBorn = 1,     ///< `cluster` is new; parents: where its images came from
  kSplit = 2,    ///< `cluster` gave images to `others`, which are new
  kMerged = 3,   ///< `cluster` ended in others[0]
  kRetired = 4,  ///< `cluster` ended; its images went to `others`
  kRevived = 5,  ///< a rollback or an undo brought `cluster` back
};

struct LineageRecord {
  std::uint64_t seq = 0;  ///< position in the log, from 1; set by the store
  ClusterId cluster;
  LineageKind kind = LineageKind::kBorn;
  EpochId epoch;             ///< current when it happened
  CorrectionSeq correction;  ///< set when a person did it
  Timestamp at{};
  std::vector<ClusterId> others;
};

/// One change of an image's label.
struct HistoryRecord {
  Timestamp at{};
  EpochId epoch;
  ClusterId from;
  ClusterId to;
  LabelState state = LabelState::kUnassigned;
  /// "arrival", "publish", "rollback", or a CorrectionKind's name.
  std::string cause;
};

/// What a person asked for. Persistent values; do not renumber.
enum class CorrectionKind : std::uint8_t {
  kConfirm = 1,
  kReject = 2,
  kMove = 3,
  kMerge = 4,
  kSplit = 5,
  kUndo = 6,
  kRunConfirm = 7,  ///< by a run, in force where its epoch is
};

/// One image touched by a correction, and its label before.
struct CorrectionChange {
  ImageSeq seq;
  Label label_before;
};

/// A person's correction, or the labels that a published run made final. Never
/// rewritten but for `undone_by`. What holds for an image follows from the
/// corrections in force, in their order. A run's is in force while the current
/// epoch is the run's or descends from it.
struct CorrectionRecord {
  CorrectionSeq seq;
  CorrectionKind kind = CorrectionKind::kConfirm;
  Timestamp at{};
  /// Target; merge: the survivor; split: the origin. None: each image's own
  /// cluster, that of its label before.
  ClusterId cluster;
  ClusterId other;          ///< merge: the absorbed one; split: the new one
  CorrectionSeq undoes;     ///< kUndo: which one
  CorrectionSeq undone_by;  ///< none while it is in force
  EpochId epoch;            ///< current when it was made; a run's: its own
  /// kMerge: the prototypes of the absorbed cluster.
  std::vector<Prototype> prototypes;
  std::vector<CorrectionChange> changes;

  /// The cluster that the correction is about for its i-th image.
  [[nodiscard]] ClusterId target(std::size_t i) const {
    if (kind == CorrectionKind::kSplit) return other;
    return cluster.valid() ? cluster : changes[i].label_before.cluster;
  }
};

/// A label that no run may change. Persistent values; do not renumber.
enum class FixedBy : std::uint8_t { kPerson = 1, kRun = 2 };

struct FixedLabel {
  ClusterId cluster;
  FixedBy by = FixedBy::kPerson;
  CorrectionSeq correction;  ///< when by a person
  EpochId epoch;             ///< when by a run: rolling it back withdraws it
};

/// Input that was refused, or that failed after it had been stored.
struct RejectedRecord {
  std::uint64_t number = 0;  ///< counts all there ever were; set by the store
  Timestamp at{};
  std::string id;  ///< as the client gave it, at most 256 bytes, may be ""
  std::string source;
  std::string code;
  std::string message;
};

/// Totals of one store; each is kept by a single writer.
struct IngestTotals {
  std::uint64_t stored = 0;  ///< images ever stored
  ImageSeq last_seq;
};
struct LabelTotals {
  std::uint64_t completed = 0;        ///< left the pending state
  std::uint64_t deleted = 0;          ///< images removed
  std::uint64_t deleted_pending = 0;  ///< of those, while still pending
  ClusterId last_cluster;             ///< highest cluster id ever given
  EpochId last_epoch;                 ///< highest epoch id ever given
  CorrectionSeq last_correction;
};

}  // namespace shoal
