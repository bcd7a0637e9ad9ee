// The part of ClusterBook in which people change labels, and in which what
// they changed is carried over into another epoch.
//
// What is fixed and what is ruled out for an image follows from the log of
// corrections: those in force, in their order (settlements()). The fixed and
// must_not records of the store are kept equal to that, so that runs and
// arrivals need not read the log.

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "common/check.h"
#include "daemon/book/cluster_book.h"

namespace shoal {
namespace {

constexpr std::size_t kPage = 1024;
// A record of a big merge holds every image of a cluster.
constexpr std::size_t kCorrectionsAtOnce = 16;
// Members looked at for where a cluster's images went.
constexpr std::size_t kOverlapSample = 256;

std::string number(ClusterId cluster) {
  return std::to_string(cluster.value());
}

bool contains(const std::vector<ClusterId>& list, ClusterId cluster) {
  return std::find(list.begin(), list.end(), cluster) != list.end();
}

std::vector<ImageSeq> seqs_of(const std::vector<CorrectionChange>& changes) {
  std::vector<ImageSeq> seqs;
  seqs.reserve(changes.size());
  for (const CorrectionChange& change : changes) seqs.push_back(change.seq);
  return seqs;
}

std::vector<ImageSeq> seqs_of(const std::vector<Member>& members) {
  std::vector<ImageSeq> seqs;
  seqs.reserve(members.size());
  for (const Member& member : members) seqs.push_back(member.seq);
  return seqs;
}

HistoryRecord history_record(EpochId epoch, ClusterId from, const Label& to,
                             std::string cause) {
  HistoryRecord record;
  record.at = now();
  record.epoch = epoch;
  record.from = from;
  record.to = to.cluster;
  record.state = to.state;
  record.cause = std::move(cause);
  return record;
}

std::string cause_of(CorrectionKind kind) {
  switch (kind) {
    case CorrectionKind::kConfirm:
      return "confirm";
    case CorrectionKind::kReject:
      return "reject";
    case CorrectionKind::kMove:
      return "move";
    case CorrectionKind::kMerge:
      return "merge";
    case CorrectionKind::kSplit:
      return "split";
    case CorrectionKind::kUndo:
      return "undo";
    case CorrectionKind::kRunConfirm:
      return "run";
  }
  return "unknown";
}

LineageRecord lineage_of(const CorrectionRecord& correction, ClusterId cluster,
                         LineageKind kind, std::vector<ClusterId> others) {
  LineageRecord record;
  record.cluster = cluster;
  record.kind = kind;
  record.epoch = correction.epoch;
  record.correction = correction.seq;
  record.at = correction.at;
  record.others = std::move(others);
  return record;
}

/// The mean of the embeddings that there are.
Result<std::optional<Vector>> mean_embedding(
    const Store& store, EpochId epoch, const std::vector<ImageSeq>& seqs) {
  SHOAL_TRY(rows, store.embeddings(epoch, seqs));
  Vector sum = Vector::Zero(rows.cols());
  int count = 0;
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (const auto row = embedding_row(rows, i)) {
      sum += *row;
      ++count;
    }
  }
  if (count == 0) return std::optional<Vector>();
  return std::optional<Vector>(sum / static_cast<float>(count));
}

/// The threshold for a cluster that no run has measured: the median of the
/// others'.
float usual_threshold(const EpochState& state) {
  std::vector<float> thresholds;
  for (const auto& [id, cluster] : state.clusters()) {
    for (const Prototype& prototype : cluster.prototypes) {
      thresholds.push_back(prototype.novelty_threshold);
    }
  }
  if (thresholds.empty()) return std::numeric_limits<float>::infinity();
  const auto middle =
      thresholds.begin() + static_cast<std::ptrdiff_t>(thresholds.size() / 2);
  std::nth_element(thresholds.begin(), middle, thresholds.end());
  return *middle;
}

/// What a person ruled out while a run was rolled back stays ruled out.
bool is_overruled(const std::optional<FixedLabel>& fixed,
                  const std::vector<ClusterId>& must_not) {
  return fixed && fixed->by == FixedBy::kRun &&
         contains(must_not, fixed->cluster);
}

Label nearest_label(EpochState& state, const std::optional<Vector>& embedding,
                    const std::vector<ClusterId>& must_not) {
  return embedding ? state.assign(*embedding, must_not) : Label{};
}

}  // namespace

// ------------------------------------------------------------------- looking

Result<ClusterId> ClusterBook::resolve(ClusterId cluster) const {
  if (current_.has_cluster(cluster)) return cluster;
  std::map<ClusterId, std::vector<ClusterId>> heirs;
  for (std::uint64_t after = 0;;) {
    SHOAL_TRY(page, store_.lineage(after, kPage));
    for (const LineageRecord& record : page) {
      if (record.kind == LineageKind::kMerged ||
          record.kind == LineageKind::kRetired) {
        heirs[record.cluster] = record.others;  // its latest end counts
      }
    }
    if (page.size() < kPage) break;
    after = page.back().seq;
  }
  std::set<ClusterId> seen;
  for (ClusterId at = cluster; seen.insert(at).second;) {
    const auto it = heirs.find(at);
    if (it == heirs.end() || it->second.empty()) break;
    at = it->second.front();
    if (current_.has_cluster(at)) return at;
  }
  return not_found("there is no cluster " + number(cluster) +
                   " in the current epoch");
}

Result<std::vector<ClusterBook::LabelledImage>> ClusterBook::find_labelled(
    const std::vector<ImageId>& ids) const {
  std::vector<LabelledImage> found;
  std::set<ImageSeq> seen;
  for (const ImageId& id : ids) {
    const auto missing = not_found("there is no image '" + id.str() + "'");
    SHOAL_TRY(seq, store_.find(id));
    if (!seq) return missing;
    if (!seen.insert(*seq).second) continue;
    SHOAL_TRY(records, store_.images({*seq}));
    SHOAL_TRY(labels, store_.labels(current_.id(), {*seq}));
    if (!records.front()) return missing;
    if (!labels.front()) {
      return failed_precondition("image '" + id.str() +
                                 "' is still pending; try again when it has "
                                 "been assigned");
    }
    SHOAL_TRY(rows, store_.embeddings(current_.id(), {*seq}));
    found.push_back(
        {*records.front(), *labels.front(), embedding_row(rows, 0)});
  }
  if (found.empty()) return invalid_argument("no image was named");
  return found;
}

Result<std::map<ImageSeq, ClusterBook::Settlement>> ClusterBook::settlements(
    const std::vector<ImageSeq>& seqs, CorrectionSeq without,
    const std::set<EpochId>& epochs) const {
  std::map<ImageSeq, Settlement> settled;
  for (const ImageSeq seq : seqs) settled[seq];
  for (CorrectionSeq after;;) {
    SHOAL_TRY(page, store_.corrections(after, kCorrectionsAtOnce));
    for (const CorrectionRecord& record : page) {
      if (record.undone_by.valid() || record.seq == without ||
          record.kind == CorrectionKind::kUndo) {
        continue;
      }
      if (record.kind == CorrectionKind::kMerge) {
        for (auto& [seq, what] : settled) {
          if (!what.fixed || what.fixed->cluster != record.other) continue;
          if (is_overruled(what.fixed, what.must_not)) {
            what.fixed.reset();
          } else {
            what.fixed->cluster = record.cluster;
          }
        }
        continue;
      }
      const bool by_run = record.kind == CorrectionKind::kRunConfirm;
      if (by_run && epochs.count(record.epoch) == 0) continue;
      for (std::size_t i = 0; i < record.changes.size(); ++i) {
        const auto it = settled.find(record.changes[i].seq);
        if (it == settled.end()) continue;
        if (record.kind == CorrectionKind::kReject) {
          it->second.must_not.push_back(record.target(i));
        } else if (by_run) {
          it->second.fixed =
              FixedLabel{record.target(i), FixedBy::kRun, {}, record.epoch};
        } else {
          it->second.fixed =
              FixedLabel{record.target(i), FixedBy::kPerson, record.seq, {}};
        }
      }
    }
    if (page.size() < kCorrectionsAtOnce) break;
    after = page.back().seq;
  }
  for (auto& [seq, what] : settled) {
    if (is_overruled(what.fixed, what.must_not)) what.fixed.reset();
  }
  return settled;
}

// ---------------------------------------------------------------- correcting

Result<CorrectionOutcome> ClusterBook::correct(
    const CorrectionRequest& request) {
  SHOAL_TRY(refresh());
  if (!current_.id().valid()) {
    return failed_precondition(
        "there is no epoch yet, so no cluster to correct; the first one is "
        "learned once enough images are stored (bootstrap.min_images)");
  }
  Correction correction;
  correction.record.seq = CorrectionSeq(totals_.last_correction.value() + 1);
  correction.record.kind = request.kind;
  correction.record.at = now();
  correction.record.epoch = current_.id();
  correction.totals = totals_;
  correction.totals.last_correction = correction.record.seq;
  correction.batch = store_.new_batch();

  auto done = [&]() -> Result<CorrectionOutcome> {
    switch (request.kind) {
      case CorrectionKind::kConfirm:
      case CorrectionKind::kMove:
        return fix(request, correction);
      case CorrectionKind::kReject:
        return reject(request, correction);
      case CorrectionKind::kMerge:
        return merge(request, correction);
      case CorrectionKind::kSplit:
        return split(request, correction);
      case CorrectionKind::kUndo:
        return undo(request, correction);
      case CorrectionKind::kRunConfirm:
        break;  // not a person's to ask for
    }
    return invalid_argument("unknown kind of correction");
  }();
  if (!done) {
    // A request refused half-way has already been counted in memory.
    stale_ = true;
    SHOAL_TRY(refresh());
    return done;
  }
  current_.write_clusters(*correction.batch);
  correction.batch->put_correction(correction.record);
  correction.batch->put_label_totals(correction.totals);
  SHOAL_TRY(commit(std::move(correction.batch), Durability::kSynced));
  totals_ = correction.totals;
  for (Event& event : correction.events) {
    publish_event(std::move(event.topic), std::move(event.body));
  }
  CorrectionOutcome outcome = done.value();
  outcome.correction = correction.record.seq;
  return outcome;
}

void ClusterBook::relabel(Correction& correction, const ImageRecord& image,
                          const Label& before, const Label& after) {
  current_.put_label(*correction.batch, image.seq, before, after);
  const std::string cause = cause_of(correction.record.kind);
  correction.batch->add_history(
      image.seq, history_record(current_.id(), before.cluster, after, cause));
  if (before.cluster == after.cluster) return;
  correction.events.push_back({"image.moved",
                               {{"id", image.id.str()},
                                {"from", cluster_json(before.cluster)},
                                {"to", cluster_json(after.cluster)},
                                {"cause", cause}}});
}

Result<CorrectionOutcome> ClusterBook::fix(const CorrectionRequest& request,
                                           Correction& correction) {
  SHOAL_TRY(images, find_labelled(request.images));
  CorrectionRecord& record = correction.record;
  if (request.cluster.valid()) {
    SHOAL_TRY(alive, resolve(request.cluster));
    record.cluster = alive;
  } else if (request.kind == CorrectionKind::kMove) {
    return invalid_argument("a move needs the cluster to move to");
  }
  for (const LabelledImage& image : images) {
    const ImageSeq seq = image.record.seq;
    record.changes.push_back({seq, image.label});
    const ClusterId cluster = record.target(record.changes.size() - 1);
    if (!cluster.valid()) {
      return invalid_argument("image '" + image.record.id.str() +
                              "' is unassigned: name the cluster to confirm "
                              "it in");
    }
    SHOAL_TRY(must_not, store_.must_not({seq}));
    if (contains(must_not[0], cluster)) {
      return failed_precondition("image '" + image.record.id.str() +
                                 "' was rejected from cluster " +
                                 number(cluster) + "; undo that first");
    }
    relabel(correction, image.record, image.label,
            current_.confirmed_label(cluster, image.embedding));
    correction.batch->put_fixed(
        seq, FixedLabel{cluster, FixedBy::kPerson, record.seq, {}});
  }
  return CorrectionOutcome{{}, record.cluster, images.size()};
}

Result<CorrectionOutcome> ClusterBook::reject(const CorrectionRequest& request,
                                              Correction& correction) {
  SHOAL_TRY(images, find_labelled(request.images));
  CorrectionRecord& record = correction.record;
  if (request.cluster.valid()) {
    SHOAL_TRY(alive, resolve(request.cluster));
    record.cluster = alive;
  }
  for (const LabelledImage& image : images) {
    const ImageSeq seq = image.record.seq;
    record.changes.push_back({seq, image.label});
    const ClusterId cluster = record.target(record.changes.size() - 1);
    if (!cluster.valid()) {
      return invalid_argument("image '" + image.record.id.str() +
                              "' is unassigned: name the cluster that it does "
                              "not belong to");
    }
    SHOAL_TRY(fixed, store_.fixed({seq}));
    if (fixed[0] && fixed[0]->cluster == cluster) {
      return failed_precondition(
          "image '" + image.record.id.str() + "' is confirmed in cluster " +
          number(cluster) + "; move it elsewhere, or undo the confirmation");
    }
    correction.batch->put_must_not(seq, cluster);
    if (image.label.cluster != cluster) continue;
    SHOAL_TRY(must_not, store_.must_not({seq}));
    must_not[0].push_back(cluster);
    relabel(correction, image.record, image.label,
            nearest_label(current_, image.embedding, must_not[0]));
  }
  return CorrectionOutcome{{}, record.cluster, images.size()};
}

Result<CorrectionOutcome> ClusterBook::merge(const CorrectionRequest& request,
                                             Correction& correction) {
  SHOAL_TRY(into, resolve(request.cluster));
  SHOAL_TRY(from, resolve(request.other));
  if (into == from) {
    return invalid_argument("cluster " + number(from) +
                            " cannot be merged into itself");
  }
  CorrectionRecord& record = correction.record;
  record.cluster = into;
  record.other = from;
  record.prototypes = current_.clusters().at(from).prototypes;
  hand_over_prototypes(current_, from, into);
  for (ImageSeq after;;) {
    SHOAL_TRY(members, store_.members(current_.id(), from, after, kPage));
    const std::vector<ImageSeq> seqs = seqs_of(members);
    SHOAL_TRY(images, store_.images(seqs));
    SHOAL_TRY(labels, store_.labels(current_.id(), seqs));
    SHOAL_TRY(fixed, store_.fixed(seqs));
    SHOAL_TRY(must_not, store_.must_not(seqs));
    SHOAL_TRY(embeddings, store_.embeddings(current_.id(), seqs));
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      if (!labels[i] || !images[i]) continue;
      record.changes.push_back({seqs[i], *labels[i]});
      Label moved = *labels[i];
      moved.cluster = into;
      if (contains(must_not[i], into)) {
        if (fixed[i]) {
          return failed_precondition(
              "image '" + images[i]->id.str() + "' is confirmed in cluster " +
              number(from) + " and was rejected from cluster " + number(into) +
              "; move it, or undo one of the two");
        }
        moved =
            nearest_label(current_, embedding_row(embeddings, i), must_not[i]);
      }
      relabel(correction, *images[i], *labels[i], moved);
      if (fixed[i]) {
        FixedLabel fix = *fixed[i];
        fix.cluster = into;
        correction.batch->put_fixed(seqs[i], fix);
      }
    }
    if (members.size() < kPage) break;
    after = members.back().seq;
  }
  current_.erase_cluster(from, *correction.batch);
  correction.batch->add_lineage(
      lineage_of(record, from, LineageKind::kMerged, {into}));
  correction.events.push_back({"cluster.merged",
                               {{"cluster", from.value()},
                                {"into", into.value()},
                                {"epoch", current_.id().value()}}});
  return CorrectionOutcome{{}, into, record.changes.size()};
}

Result<CorrectionOutcome> ClusterBook::split(const CorrectionRequest& request,
                                             Correction& correction) {
  SHOAL_TRY(origin, resolve(request.cluster));
  SHOAL_TRY(images, find_labelled(request.images));
  if (images.size() >= current_.clusters().at(origin).size) {
    return invalid_argument("cluster " + number(origin) +
                            " would be left without images: name only those "
                            "that belong to the new cluster");
  }
  const ClusterId born(totals_.last_cluster.value() + 1);
  correction.totals.last_cluster = born;
  CorrectionRecord& record = correction.record;
  record.cluster = origin;
  record.other = born;
  for (const LabelledImage& image : images) {
    if (image.label.cluster != origin) {
      return invalid_argument("image '" + image.record.id.str() +
                              "' is not in cluster " + number(origin));
    }
    record.changes.push_back({image.record.seq, image.label});
  }
  SHOAL_TRY(mean,
            mean_embedding(store_, current_.id(), seqs_of(record.changes)));
  std::vector<Prototype> prototypes;
  if (mean) prototypes.push_back({*mean, usual_threshold(current_)});
  current_.set_prototypes(born, current_.id(), std::move(prototypes));
  for (const LabelledImage& image : images) {
    relabel(correction, image.record, image.label,
            current_.confirmed_label(born, image.embedding));
    correction.batch->put_fixed(
        image.record.seq, FixedLabel{born, FixedBy::kPerson, record.seq, {}});
  }
  correction.batch->add_lineage(
      lineage_of(record, origin, LineageKind::kSplit, {born}));
  correction.batch->add_lineage(
      lineage_of(record, born, LineageKind::kBorn, {origin}));
  correction.events.push_back({"cluster.born",
                               {{"cluster", born.value()},
                                {"parents", {origin.value()}},
                                {"epoch", current_.id().value()}}});
  return CorrectionOutcome{{}, born, images.size()};
}

// ------------------------------------------------------------------- undoing

Result<CorrectionRecord> ClusterBook::correction_to_undo(
    CorrectionSeq wanted) const {
  if (!wanted.valid()) {
    // The latest in force, looking back a few at a time.
    for (std::uint64_t end = totals_.last_correction.value(); end > 0;) {
      const std::uint64_t begin =
          end > kCorrectionsAtOnce ? end - kCorrectionsAtOnce : 0;
      SHOAL_TRY(page, store_.corrections(CorrectionSeq(begin), end - begin));
      const auto found =
          std::find_if(page.rbegin(), page.rend(), [](const auto& record) {
            return !record.undone_by.valid() &&
                   record.kind != CorrectionKind::kUndo &&
                   record.kind != CorrectionKind::kRunConfirm;
          });
      if (found != page.rend()) return *found;
      end = begin;
    }
    return failed_precondition("there is no correction to undo");
  }
  const std::string name = "correction " + std::to_string(wanted.value());
  SHOAL_TRY(page, store_.corrections(CorrectionSeq(wanted.value() - 1), 1));
  if (page.empty() || page.front().seq != wanted) {
    return not_found("there is no " + name);
  }
  if (page.front().kind == CorrectionKind::kUndo) {
    return invalid_argument(name + " is itself an undo");
  }
  if (page.front().kind == CorrectionKind::kRunConfirm) {
    return invalid_argument(name + " is what run " +
                            std::to_string(page.front().epoch.value()) +
                            " confirmed; move the images, or roll the run "
                            "back");
  }
  if (page.front().undone_by.valid()) {
    return failed_precondition(name + " has been undone already");
  }
  return page.front();
}

Result<CorrectionOutcome> ClusterBook::undo(const CorrectionRequest& request,
                                            Correction& correction) {
  SHOAL_TRY(undone, correction_to_undo(request.correction));
  CorrectionRecord& record = correction.record;
  record.undoes = undone.seq;
  record.cluster = undone.cluster;
  record.other = undone.other;
  undone.undone_by = record.seq;

  std::vector<ImageSeq> seqs = seqs_of(undone.changes);
  SHOAL_TRY(epochs, ancestry(current_.id()));
  if (undone.kind == CorrectionKind::kMerge) {
    SHOAL_TRY(more, confirmed_behind(undone, epochs));
    seqs.insert(seqs.end(), more.begin(), more.end());
  }
  SHOAL_TRY(settled, settlements(seqs, undone.seq, epochs));
  SHOAL_TRY(images, store_.images(seqs));
  SHOAL_TRY(labels, store_.labels(current_.id(), seqs));
  SHOAL_TRY(fixed, store_.fixed(seqs));
  SHOAL_TRY(embeddings, store_.embeddings(current_.id(), seqs));
  const bool is_merge = undone.kind == CorrectionKind::kMerge;
  if (is_merge) {
    SHOAL_TRY(revive(current_, undone));
    correction.batch->add_lineage(
        lineage_of(record, undone.other, LineageKind::kRevived, {}));
  }

  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (!images[i] || !labels[i]) continue;  // deleted since
    const Label& label = *labels[i];
    const Label& before =
        i < undone.changes.size() ? undone.changes[i].label_before : label;
    Settlement& rest = settled.at(seqs[i]);
    if (rest.fixed) {
      SHOAL_TRY(alive, resolve(rest.fixed->cluster));
      rest.fixed->cluster = alive;
      if (contains(rest.must_not, alive)) {
        return failed_precondition(
            "image '" + images[i]->id.str() +
            "' would be confirmed in "
            "cluster " +
            number(alive) +
            " again, from which it was rejected later; undo that first");
      }
      correction.batch->put_fixed(seqs[i], *rest.fixed);
    } else if (fixed[i]) {
      correction.batch->remove_fixed(seqs[i]);
    }
    if (undone.kind == CorrectionKind::kReject &&
        !contains(rest.must_not, undone.target(i))) {
      correction.batch->remove_must_not(seqs[i], undone.target(i));
    }

    const auto embedding = embedding_row(embeddings, i);
    const bool can_go_back =
        before.state != LabelState::kConfirmed &&
        undone.epoch == current_.id() &&
        (!before.cluster.valid() || (current_.has_cluster(before.cluster) &&
                                     !contains(rest.must_not, before.cluster)));
    Label after = label;
    if (rest.fixed) {
      after = current_.confirmed_label(rest.fixed->cluster, embedding);
    } else if (is_merge) {
      // What has left the merged cluster since stays where it is.
      if (label.cluster == undone.cluster) {
        after.cluster = undone.other;
        after.state = LabelState::kAssigned;
        if (contains(rest.must_not, undone.other)) {
          after = nearest_label(current_, embedding, rest.must_not);
        }
      }
    } else if (undone.kind == CorrectionKind::kReject) {
      if (before.cluster == undone.target(i) && can_go_back) after = before;
    } else if (label.state == LabelState::kConfirmed) {
      after = can_go_back ? before
                          : nearest_label(current_, embedding, rest.must_not);
    }
    if (after == label) continue;
    record.changes.push_back({seqs[i], label});
    relabel(correction, *images[i], label, after);
  }
  if (undone.kind == CorrectionKind::kSplit &&
      current_.has_cluster(undone.other) &&
      current_.clusters().at(undone.other).size == 0) {
    current_.erase_cluster(undone.other, *correction.batch);
    correction.batch->add_lineage(lineage_of(
        record, undone.other, LineageKind::kMerged, {undone.cluster}));
  }
  correction.batch->put_correction(undone);
  return CorrectionOutcome{{}, undone.cluster, record.changes.size()};
}

Result<void> ClusterBook::revive(EpochState& state,
                                 const CorrectionRecord& merge) {
  if (state.has_cluster(merge.other)) {
    return failed_precondition("cluster " + number(merge.other) +
                               " has come back by other means");
  }
  if (!state.has_cluster(merge.cluster)) {
    return failed_precondition("cluster " + number(merge.cluster) +
                               ", into which it was merged, is gone");
  }
  const ClusterRecord survivor = state.clusters().at(merge.cluster);
  std::vector<Prototype> kept;
  std::vector<Prototype> back;
  for (const Prototype& prototype : survivor.prototypes) {
    const bool absorbed = std::any_of(
        merge.prototypes.begin(), merge.prototypes.end(),
        [&](const Prototype& other) {
          return other.centroid.size() == prototype.centroid.size() &&
                 other.centroid == prototype.centroid;
        });
    (absorbed ? back : kept).push_back(prototype);
  }
  if (back.empty()) {
    // Another epoch, which knows nothing of the two: the mean of what it had.
    SHOAL_TRY(mean, mean_embedding(store_, state.id(), seqs_of(merge.changes)));
    if (mean) back.push_back({*mean, usual_threshold(state)});
  } else {
    state.set_prototypes(merge.cluster, survivor.born_epoch, std::move(kept));
  }
  state.set_prototypes(merge.other, survivor.born_epoch, std::move(back));
  return ok();
}

// -------------------------------------------------------- naming and deleting

Result<void> ClusterBook::name_cluster(ClusterId cluster,
                                       const std::string& name) {
  SHOAL_TRY(refresh());
  SHOAL_TRY(alive, resolve(cluster));
  auto batch = store_.new_batch();
  batch->put_cluster_name(alive, name);
  return commit(std::move(batch), Durability::kSynced);
}

Result<std::size_t> ClusterBook::remove(const std::vector<ImageId>& images) {
  SHOAL_TRY(refresh());
  std::vector<ImageRecord> records;
  std::vector<ImageSeq> seqs;
  std::set<ImageSeq> seen;
  for (const ImageId& id : images) {
    SHOAL_TRY(seq, store_.find(id));
    if (!seq || !seen.insert(*seq).second) continue;
    SHOAL_TRY(found, store_.images({*seq}));
    if (!found.front()) continue;
    records.push_back(*found.front());
    seqs.push_back(*seq);
  }
  if (records.empty()) return std::size_t{0};

  // Everything is read before anything is changed: beside the current epoch,
  // those that can still become current.
  struct Held {
    EpochState* state;
    std::vector<std::optional<Label>> labels;
  };
  std::vector<Held> held;
  std::vector<std::unique_ptr<EpochState>> loaded;
  SHOAL_TRY(current_labels, store_.labels(current_.id(), seqs));
  held.push_back({&current_, current_labels});
  if (staging_) {
    SHOAL_TRY(labels, store_.labels(staging_->id(), seqs));
    held.push_back({&*staging_, labels});
  }
  SHOAL_TRY(epochs, store_.epochs());
  for (const EpochRecord& epoch : epochs) {
    const bool has_data = epoch.status == EpochStatus::kPublished ||
                          epoch.status == EpochStatus::kHeld;
    if (!has_data || epoch.id == current_.id() ||
        (staging_ && epoch.id == staging_->id())) {
      continue;
    }
    SHOAL_TRY(labels, store_.labels(epoch.id, seqs));
    SHOAL_TRY(state, EpochState::load(store_, epoch.id));
    loaded.push_back(std::make_unique<EpochState>(std::move(state)));
    held.push_back({loaded.back().get(), labels});
  }
  if (current_.id().valid()) {
    // Labels from before the first epoch.
    SHOAL_TRY(labels, store_.labels(EpochId{}, seqs));
    SHOAL_TRY(state, EpochState::load(store_, EpochId{}));
    loaded.push_back(std::make_unique<EpochState>(std::move(state)));
    held.push_back({loaded.back().get(), labels});
  }

  LabelTotals totals = totals_;
  totals.deleted += records.size();
  auto batch = store_.new_batch();
  for (const ImageRecord& record : records) batch->remove_image(record);
  for (const Held& epoch : held) {
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      if (epoch.labels[i]) {
        epoch.state->remove_label(*batch, seqs[i], *epoch.labels[i]);
        batch->remove_embedding(epoch.state->id(), seqs[i]);
      } else if (epoch.state == &current_) {
        ++totals.deleted_pending;
      }
    }
    epoch.state->write_clusters(*batch);
  }
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  if (listener_ != nullptr) {
    for (const ImageSeq seq : seqs) listener_->on_removed(seq);
  }
  return records.size();
}

// ------------------------------------------- carrying over to another epoch

void ClusterBook::hand_over_prototypes(EpochState& state, ClusterId from,
                                       ClusterId into) {
  const ClusterRecord giver = state.clusters().at(from);
  std::vector<Prototype> prototypes;
  EpochId born = giver.born_epoch;
  if (state.has_cluster(into)) {
    prototypes = state.clusters().at(into).prototypes;
    born = state.clusters().at(into).born_epoch;
  }
  prototypes.insert(prototypes.end(), giver.prototypes.begin(),
                    giver.prototypes.end());
  state.set_prototypes(into, born, std::move(prototypes));
  state.set_prototypes(from, giver.born_epoch, {});
}

Result<void> ClusterBook::absorb(EpochState& state,
                                 const CorrectionRecord& merge) {
  if (!state.has_cluster(merge.other)) return ok();
  auto batch = store_.new_batch();
  hand_over_prototypes(state, merge.other, merge.cluster);
  for (ImageSeq after;;) {
    SHOAL_TRY(members, store_.members(state.id(), merge.other, after, kPage));
    const std::vector<ImageSeq> seqs = seqs_of(members);
    SHOAL_TRY(labels, store_.labels(state.id(), seqs));
    SHOAL_TRY(fixed, fixed_after_flip(seqs));
    SHOAL_TRY(must_not, store_.must_not(seqs));
    SHOAL_TRY(embeddings, store_.embeddings(state.id(), seqs));
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      if (!labels[i]) continue;
      Label moved = *labels[i];
      moved.cluster = merge.cluster;
      if (!fixed[i] && contains(must_not[i], merge.cluster)) {
        moved = nearest_label(state, embedding_row(embeddings, i), must_not[i]);
      }
      state.put_label(*batch, seqs[i], labels[i], moved);
    }
    if (members.size() < kPage) break;
    after = members.back().seq;
  }
  state.erase_cluster(merge.other, *batch);
  state.write_clusters(*batch);
  return commit(std::move(batch), Durability::kBuffered);
}

Result<void> ClusterBook::part(EpochState& state,
                               const CorrectionRecord& merge) {
  if (state.has_cluster(merge.other) || !state.has_cluster(merge.cluster)) {
    return ok();
  }
  SHOAL_TRY(revive(state, merge));
  const std::vector<ImageSeq> seqs = seqs_of(merge.changes);
  SHOAL_TRY(labels, store_.labels(state.id(), seqs));
  auto batch = store_.new_batch();
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (!labels[i] || labels[i]->cluster != merge.cluster) continue;
    Label moved = *labels[i];
    moved.cluster = merge.other;
    state.put_label(*batch, seqs[i], labels[i], moved);
  }
  state.write_clusters(*batch);
  return commit(std::move(batch), Durability::kBuffered);
}

Result<void> ClusterBook::enforce(EpochState& state,
                                  const std::vector<ImageSeq>& seqs,
                                  bool withdraw) {
  SHOAL_TRY(labels, store_.labels(state.id(), seqs));
  SHOAL_TRY(fixed, fixed_after_flip(seqs));
  SHOAL_TRY(must_not, store_.must_not(seqs));
  SHOAL_TRY(embeddings, store_.embeddings(state.id(), seqs));
  auto batch = store_.new_batch();
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (!labels[i] || fixed[i]) continue;
    const bool wrong =
        (withdraw && labels[i]->state == LabelState::kConfirmed) ||
        contains(must_not[i], labels[i]->cluster);
    if (!wrong) continue;
    state.put_label(
        *batch, seqs[i], labels[i],
        nearest_label(state, embedding_row(embeddings, i), must_not[i]));
  }
  state.write_clusters(*batch);
  return commit(std::move(batch), Durability::kBuffered);
}

Result<void> ClusterBook::replay_corrections(EpochState& state,
                                             bool first_time) {
  const CorrectionSeq seen = state.record().corrections_seen;
  for (CorrectionSeq after;;) {
    SHOAL_TRY(page, store_.corrections(after, kCorrectionsAtOnce));
    for (const CorrectionRecord& record : page) {
      const bool in_force = !record.undone_by.valid();
      if (record.kind == CorrectionKind::kMerge && in_force) {
        SHOAL_TRY(absorb(state, record));
      } else if (record.kind == CorrectionKind::kMerge &&
                 !(seen < record.seq) && seen < record.undone_by) {
        // The epoch knows the merge but not that it was undone.
        SHOAL_TRY(part(state, record));
      } else if (record.kind == CorrectionKind::kReject ||
                 record.kind == CorrectionKind::kUndo) {
        // What a run confirms now it confirms knowing the older ones.
        const bool withdraw = !first_time || seen < record.seq;
        SHOAL_TRY(enforce(state, seqs_of(record.changes), withdraw));
      }
    }
    if (page.size() < kCorrectionsAtOnce) return ok();
    after = page.back().seq;
  }
}

Result<void> ClusterBook::apply_fixed_labels(EpochState& state) {
  std::vector<std::pair<ImageSeq, FixedLabel>> changed;
  for (const auto& [seq, fix] : flip_fixed_) {
    if (fix) changed.emplace_back(seq, *fix);
  }
  SHOAL_TRY(apply_fixed(state, changed));
  for (ImageSeq after;;) {
    SHOAL_TRY(page, store_.fixed_after(after, kPage));
    if (page.empty()) return ok();
    after = page.back().first;
    const bool last = page.size() < kPage;
    page.erase(std::remove_if(page.begin(), page.end(),
                              [&](const auto& entry) {
                                return flip_fixed_.count(entry.first) != 0;
                              }),
               page.end());
    SHOAL_TRY(apply_fixed(state, page));
    if (last) return ok();
  }
}

Result<void> ClusterBook::apply_fixed(
    EpochState& state,
    const std::vector<std::pair<ImageSeq, FixedLabel>>& fixed) {
  if (fixed.empty()) return ok();
  std::vector<ImageSeq> seqs;
  for (const auto& [seq, fix] : fixed) seqs.push_back(seq);
  SHOAL_TRY(labels, store_.labels(state.id(), seqs));
  SHOAL_TRY(embeddings, store_.embeddings(state.id(), seqs));
  auto batch = store_.new_batch();
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    const ClusterId cluster = fixed[i].second.cluster;
    if (!labels[i] || (labels[i]->cluster == cluster &&
                       labels[i]->state == LabelState::kConfirmed)) {
      continue;
    }
    if (!state.has_cluster(cluster)) {
      const auto known = current_.clusters().find(cluster);
      state.set_prototypes(cluster,
                           known == current_.clusters().end()
                               ? state.id()
                               : known->second.born_epoch,
                           {});
    }
    state.put_label(
        *batch, seqs[i], labels[i],
        state.confirmed_label(cluster, embedding_row(embeddings, i)));
  }
  state.write_clusters(*batch);
  return commit(std::move(batch), Durability::kBuffered);
}

// ------------------------------------------------- what runs have confirmed

Result<std::set<EpochId>> ClusterBook::ancestry(EpochId epoch) const {
  SHOAL_TRY(records, store_.epochs());
  std::map<EpochId, EpochId> parent;
  for (const EpochRecord& record : records) parent[record.id] = record.parent;
  std::set<EpochId> line;
  while (epoch.valid() && line.insert(epoch).second) {
    const auto found = parent.find(epoch);
    epoch = found == parent.end() ? EpochId{} : found->second;
  }
  return line;
}

Result<ClusterBook::FixedChanges> ClusterBook::fixed_changes(EpochId to) const {
  SHOAL_TRY(now_in_force, ancestry(current_.id()));
  SHOAL_TRY(then_in_force, ancestry(to));
  std::set<ImageSeq> touched;
  for (CorrectionSeq after;;) {
    SHOAL_TRY(page, store_.corrections(after, kCorrectionsAtOnce));
    for (const CorrectionRecord& record : page) {
      if (record.kind != CorrectionKind::kRunConfirm ||
          now_in_force.count(record.epoch) ==
              then_in_force.count(record.epoch)) {
        continue;
      }
      for (const CorrectionChange& change : record.changes) {
        touched.insert(change.seq);
      }
    }
    if (page.size() < kCorrectionsAtOnce) break;
    after = page.back().seq;
  }
  FixedChanges changes;
  if (touched.empty()) return changes;
  const std::vector<ImageSeq> seqs(touched.begin(), touched.end());
  SHOAL_TRY(settled, settlements(seqs, {}, then_in_force));
  SHOAL_TRY(images, store_.images(seqs));
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (images[i]) changes[seqs[i]] = settled.at(seqs[i]).fixed;
  }
  return changes;
}

Result<std::vector<std::optional<FixedLabel>>> ClusterBook::fixed_after_flip(
    const std::vector<ImageSeq>& seqs) const {
  SHOAL_TRY(fixed, store_.fixed(seqs));
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    const auto changed = flip_fixed_.find(seqs[i]);
    if (changed != flip_fixed_.end()) fixed[i] = changed->second;
  }
  return std::move(fixed);
}

Result<CorrectionRecord> ClusterBook::run_confirmations(
    const EpochState& state) const {
  CorrectionRecord record;
  record.kind = CorrectionKind::kRunConfirm;
  record.at = now();
  record.epoch = state.id();
  for (const auto& [id, cluster] : state.clusters()) {
    if (cluster.confirmed == 0) continue;
    for (ImageSeq after;;) {
      SHOAL_TRY(members, store_.members(state.id(), id, after, kPage));
      SHOAL_TRY(found, confirmed_unfixed(state, members));
      record.changes.insert(record.changes.end(), found.begin(), found.end());
      if (members.size() < kPage) break;
      after = members.back().seq;
    }
  }
  return record;
}

Result<std::vector<CorrectionChange>> ClusterBook::confirmed_unfixed(
    const EpochState& state, const std::vector<Member>& members) const {
  std::vector<ImageSeq> seqs;
  for (const Member& member : members) {
    if (member.state == LabelState::kConfirmed) seqs.push_back(member.seq);
  }
  SHOAL_TRY(fixed, fixed_after_flip(seqs));
  SHOAL_TRY(labels, store_.labels(state.id(), seqs));
  std::vector<CorrectionChange> found;
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (!fixed[i] && labels[i]) found.push_back({seqs[i], *labels[i]});
  }
  return found;
}

Result<void> ClusterBook::leave_to_people(EpochState& state) {
  std::set<ClusterId> changed;
  for (CorrectionSeq after = state.record().corrections_seen;;) {
    SHOAL_TRY(page, store_.corrections(after, kCorrectionsAtOnce));
    for (const CorrectionRecord& record : page) {
      if (record.kind != CorrectionKind::kMerge &&
          record.kind != CorrectionKind::kSplit &&
          record.kind != CorrectionKind::kUndo) {
        continue;
      }
      changed.insert(record.cluster);
      changed.insert(record.other);
    }
    if (page.size() < kCorrectionsAtOnce) break;
    after = page.back().seq;
  }
  for (const ClusterId cluster : changed) {
    if (!state.has_cluster(cluster)) continue;
    for (ImageSeq after;;) {
      SHOAL_TRY(members, store_.members(state.id(), cluster, after, kPage));
      SHOAL_TRY(found, confirmed_unfixed(state, members));
      auto batch = store_.new_batch();
      for (const CorrectionChange& change : found) {
        Label label = change.label_before;
        label.state = LabelState::kAssigned;
        state.put_label(*batch, change.seq, change.label_before, label);
      }
      state.write_clusters(*batch);
      SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
      if (members.size() < kPage) break;
      after = members.back().seq;
    }
  }
  return ok();
}

Result<std::vector<ImageSeq>> ClusterBook::confirmed_behind(
    const CorrectionRecord& merge, const std::set<EpochId>& epochs) const {
  std::vector<ImageSeq> seqs;
  for (ImageSeq after;;) {
    SHOAL_TRY(page, store_.fixed_after(after, kPage));
    for (const auto& [seq, fix] : page) {
      if (fix.by == FixedBy::kRun && fix.cluster == merge.cluster) {
        seqs.push_back(seq);
      }
    }
    if (page.size() < kPage) break;
    after = page.back().first;
  }
  std::set<ImageSeq> listed;
  for (const CorrectionChange& change : merge.changes) {
    listed.insert(change.seq);
  }
  SHOAL_TRY(settled, settlements(seqs, merge.seq, epochs));
  std::vector<ImageSeq> behind;
  for (const auto& [seq, what] : settled) {
    const bool returns = !what.fixed || what.fixed->cluster != merge.cluster;
    if (returns && listed.count(seq) == 0) behind.push_back(seq);
  }
  return behind;
}

Result<void> ClusterBook::tidy_clusters(EpochState& state) {
  std::vector<ClusterId> bare;
  std::vector<ClusterId> empty;
  for (const auto& [id, cluster] : state.clusters()) {
    if (cluster.size == 0 && !current_.has_cluster(id)) empty.push_back(id);
    if (cluster.size > 0 && cluster.prototypes.empty()) bare.push_back(id);
  }
  const float threshold = usual_threshold(state);
  for (const ClusterId id : bare) {
    SHOAL_TRY(members, store_.members(state.id(), id, ImageSeq{}, kPage));
    SHOAL_TRY(mean, mean_embedding(store_, state.id(), seqs_of(members)));
    if (mean) {
      state.set_prototypes(id, state.clusters().at(id).born_epoch,
                           {{*mean, threshold}});
    }
  }
  auto batch = store_.new_batch();
  for (const ClusterId id : empty) state.erase_cluster(id, *batch);
  state.write_clusters(*batch);
  return commit(std::move(batch), Durability::kBuffered);
}

Result<std::vector<ClusterId>> ClusterBook::overlap(EpochId of,
                                                    ClusterId cluster,
                                                    EpochId with) const {
  SHOAL_TRY(members, store_.members(of, cluster, ImageSeq{}, kOverlapSample));
  SHOAL_TRY(labels, store_.labels(with, seqs_of(members)));
  std::map<ClusterId, std::size_t> counts;
  for (const auto& label : labels) {
    if (label && label->cluster.valid()) ++counts[label->cluster];
  }
  std::vector<std::pair<std::size_t, ClusterId>> shares;
  for (const auto& [id, count] : counts) {
    if (count * 10 >= members.size()) shares.emplace_back(count, id);
  }
  std::sort(shares.rbegin(), shares.rend());
  std::vector<ClusterId> found;
  for (const auto& [count, id] : shares) found.push_back(id);
  return found;
}

}  // namespace shoal
