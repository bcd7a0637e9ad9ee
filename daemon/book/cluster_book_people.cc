// The part of ClusterBook in which people change labels, and in which what
// they changed is carried over into another epoch.

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "common/check.h"
#include "daemon/book/cluster_book.h"

namespace shoal {
namespace {

constexpr std::size_t kPage = 1024;

std::string number(ClusterId cluster) {
  return std::to_string(cluster.value());
}

std::optional<Vector> embedding_of(const Store& store, EpochId epoch,
                                   ImageSeq seq) {
  const auto rows = store.embeddings(epoch, {seq});
  if (!rows || rows.value().cols() == 0 || !std::isfinite(rows.value()(0, 0)))
    return std::nullopt;
  return Vector(rows.value().row(0).transpose());
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
  }
  return "unknown";
}

nlohmann::json cluster_json(ClusterId cluster) {
  return cluster.valid() ? nlohmann::json(cluster.value())
                         : nlohmann::json(nullptr);
}

/// The cluster that a rejection ruled out for its i-th image: the named one,
/// or the one that the image was in.
ClusterId rejected_cluster(const CorrectionRecord& record, std::size_t i) {
  return record.cluster.valid() ? record.cluster
                                : record.changes[i].label_before.cluster;
}

/// The mean of the embeddings of (at most a page of) a cluster's members.
Result<std::optional<Vector>> mean_embedding(
    const Store& store, EpochId epoch, const std::vector<ImageSeq>& seqs) {
  SHOAL_TRY(rows, store.embeddings(epoch, seqs));
  Vector sum = Vector::Zero(rows.cols());
  int count = 0;
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    if (rows.cols() == 0 || !std::isfinite(rows(i, 0))) continue;
    sum += rows.row(i).transpose();
    ++count;
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

}  // namespace

Result<ClusterId> ClusterBook::resolve(ClusterId cluster) const {
  std::set<ClusterId> seen;
  ClusterId at = cluster;
  while (!current_.has_cluster(at)) {
    if (!seen.insert(at).second) break;
    ClusterId next;
    for (std::uint64_t after = 0;;) {
      SHOAL_TRY(page, store_.lineage(after, kPage));
      for (const LineageRecord& record : page) {
        const bool ends = record.kind == LineageKind::kMerged ||
                          record.kind == LineageKind::kRetired;
        if (record.cluster == at && ends && !record.others.empty()) {
          next = record.others.front();
        }
      }
      if (page.size() < kPage) break;
      after = page.back().seq;
    }
    if (!next.valid()) break;
    at = next;
  }
  if (current_.has_cluster(at)) return at;
  return not_found("there is no cluster " + number(cluster) +
                   " in the current epoch");
}

Result<std::vector<ClusterBook::LabelledImage>> ClusterBook::find_labelled(
    const std::vector<ImageId>& ids) const {
  std::vector<LabelledImage> found;
  std::set<ImageSeq> seen;
  for (const ImageId& id : ids) {
    SHOAL_TRY(seq, store_.find(id));
    if (!seq) return not_found("there is no image '" + id.str() + "'");
    if (!seen.insert(*seq).second) continue;
    SHOAL_TRY(records, store_.images({*seq}));
    SHOAL_TRY(labels, store_.labels(current_.id(), {*seq}));
    if (!records.front()) {
      return not_found("there is no image '" + id.str() + "'");
    }
    if (!labels.front()) {
      return failed_precondition("image '" + id.str() +
                                 "' is still pending; try again when it has "
                                 "been assigned");
    }
    found.push_back({*records.front(), *labels.front()});
  }
  if (found.empty()) return invalid_argument("no image was named");
  return found;
}

Result<CorrectionOutcome> ClusterBook::correct(
    const CorrectionRequest& request) {
  if (!current_.id().valid()) {
    return failed_precondition(
        "there is no epoch yet, so no cluster to correct; the first one is "
        "learned once enough images are stored (bootstrap.min_images)");
  }
  auto outcome = [&]() -> Result<CorrectionOutcome> {
    switch (request.kind) {
      case CorrectionKind::kConfirm:
      case CorrectionKind::kMove:
        return fix(request);
      case CorrectionKind::kReject:
        return reject(request);
      case CorrectionKind::kMerge:
        return merge(request);
      case CorrectionKind::kSplit:
        return split(request);
      case CorrectionKind::kUndo:
        return undo(request);
    }
    return invalid_argument("unknown kind of correction");
  }();
  if (!outcome) {
    // A request refused half-way has already been counted in memory.
    SHOAL_TRY(reload());
  }
  return outcome;
}

Result<CorrectionOutcome> ClusterBook::fix(const CorrectionRequest& request) {
  SHOAL_TRY(images, find_labelled(request.images));
  ClusterId target;
  if (request.cluster.valid()) {
    SHOAL_TRY(alive, resolve(request.cluster));
    target = alive;
  } else if (request.kind == CorrectionKind::kMove) {
    return invalid_argument("a move needs the cluster to move to");
  }
  CorrectionRecord record;
  record.seq = CorrectionSeq(totals_.last_correction.value() + 1);
  record.kind = request.kind;
  record.at = now();
  record.cluster = target;
  auto batch = store_.new_batch();
  std::vector<Event> events;
  for (const LabelledImage& image : images) {
    const ImageSeq seq = image.record.seq;
    const ClusterId cluster = target.valid() ? target : image.label.cluster;
    if (!cluster.valid()) {
      return invalid_argument("image '" + image.record.id.str() +
                              "' is unassigned: name the cluster to confirm "
                              "it in");
    }
    SHOAL_TRY(rejected, store_.must_not({seq}));
    if (std::count(rejected[0].begin(), rejected[0].end(), cluster) != 0) {
      return failed_precondition("image '" + image.record.id.str() +
                                 "' was rejected from cluster " +
                                 number(cluster) + "; undo that first");
    }
    SHOAL_TRY(fixed, store_.fixed({seq}));
    CorrectionChange change;
    change.seq = seq;
    change.was_fixed = fixed[0].has_value();
    if (fixed[0]) change.fixed_before = fixed[0]->cluster;
    change.label_before = image.label;
    record.images.push_back(seq);
    record.changes.push_back(change);
    const Label after = current_.confirmed_label(
        cluster, embedding_of(store_, current_.id(), seq));
    current_.put_label(*batch, seq, image.label, after);
    FixedLabel fix;
    fix.cluster = cluster;
    fix.by = FixedBy::kPerson;
    fix.correction = record.seq;
    batch->put_fixed(seq, fix);
    batch->add_history(seq, history_record(current_.id(), image.label.cluster,
                                           after, cause_of(request.kind)));
    if (cluster != image.label.cluster) {
      events.push_back({"image.moved",
                        {{"id", image.record.id.str()},
                         {"from", cluster_json(image.label.cluster)},
                         {"to", cluster.value()},
                         {"cause", cause_of(request.kind)}}});
    }
  }
  LabelTotals totals = totals_;
  totals.last_correction = record.seq;
  current_.write_clusters(*batch);
  batch->put_correction(record);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  for (Event& event : events) {
    publish_event(std::move(event.topic), std::move(event.body));
  }
  return CorrectionOutcome{record.seq, target, images.size()};
}

Result<CorrectionOutcome> ClusterBook::reject(
    const CorrectionRequest& request) {
  SHOAL_TRY(images, find_labelled(request.images));
  ClusterId target;
  if (request.cluster.valid()) {
    SHOAL_TRY(alive, resolve(request.cluster));
    target = alive;
  }
  CorrectionRecord record;
  record.seq = CorrectionSeq(totals_.last_correction.value() + 1);
  record.kind = CorrectionKind::kReject;
  record.at = now();
  record.cluster = target;
  auto batch = store_.new_batch();
  std::vector<Event> events;
  for (const LabelledImage& image : images) {
    const ImageSeq seq = image.record.seq;
    const ClusterId cluster = target.valid() ? target : image.label.cluster;
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
    SHOAL_TRY(must_not, store_.must_not({seq}));
    must_not[0].push_back(cluster);
    CorrectionChange change;
    change.seq = seq;
    change.label_before = image.label;
    record.images.push_back(seq);
    record.changes.push_back(change);
    batch->put_must_not(seq, cluster);
    if (image.label.cluster != cluster) continue;
    const auto embedding = embedding_of(store_, current_.id(), seq);
    const Label after =
        embedding ? current_.assign(*embedding, must_not[0]) : Label{};
    current_.put_label(*batch, seq, image.label, after);
    batch->add_history(seq,
                       history_record(current_.id(), cluster, after, "reject"));
    events.push_back({"image.moved",
                      {{"id", image.record.id.str()},
                       {"from", cluster.value()},
                       {"to", cluster_json(after.cluster)},
                       {"cause", "reject"}}});
  }
  LabelTotals totals = totals_;
  totals.last_correction = record.seq;
  current_.write_clusters(*batch);
  batch->put_correction(record);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  for (Event& event : events) {
    publish_event(std::move(event.topic), std::move(event.body));
  }
  return CorrectionOutcome{record.seq, record.cluster, images.size()};
}

Result<CorrectionOutcome> ClusterBook::merge(const CorrectionRequest& request) {
  SHOAL_TRY(into, resolve(request.cluster));
  SHOAL_TRY(from, resolve(request.other));
  if (into == from) {
    return invalid_argument("cluster " + number(from) +
                            " cannot be merged into itself");
  }
  CorrectionRecord record;
  record.seq = CorrectionSeq(totals_.last_correction.value() + 1);
  record.kind = CorrectionKind::kMerge;
  record.at = now();
  record.cluster = into;
  record.other = from;
  record.epoch = current_.id();
  const ClusterRecord absorbed = current_.clusters().at(from);
  record.prototypes = absorbed.prototypes;

  auto batch = store_.new_batch();
  std::vector<Prototype> prototypes = current_.clusters().at(into).prototypes;
  prototypes.insert(prototypes.end(), absorbed.prototypes.begin(),
                    absorbed.prototypes.end());
  current_.set_prototypes(into, current_.clusters().at(into).born_epoch,
                          std::move(prototypes));
  for (ImageSeq after;;) {
    SHOAL_TRY(members, store_.members(current_.id(), from, after, kPage));
    std::vector<ImageSeq> seqs;
    for (const Member& member : members) seqs.push_back(member.seq);
    SHOAL_TRY(labels, store_.labels(current_.id(), seqs));
    SHOAL_TRY(fixed, store_.fixed(seqs));
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      if (!labels[i]) continue;
      Label moved = *labels[i];
      moved.cluster = into;
      current_.put_label(*batch, seqs[i], labels[i], moved);
      batch->add_history(seqs[i],
                         history_record(current_.id(), from, moved, "merge"));
      CorrectionChange change;
      change.seq = seqs[i];
      change.label_before = *labels[i];
      if (fixed[i]) {
        change.was_fixed = true;
        change.fixed_before = fixed[i]->cluster;
        FixedLabel fix = *fixed[i];
        fix.cluster = into;
        batch->put_fixed(seqs[i], fix);
      }
      record.changes.push_back(change);
    }
    if (members.size() < kPage) break;
    after = members.back().seq;
  }
  current_.erase_cluster(from, *batch);
  LineageRecord lineage;
  lineage.cluster = from;
  lineage.kind = LineageKind::kMerged;
  lineage.epoch = current_.id();
  lineage.correction = record.seq;
  lineage.at = record.at;
  lineage.others = {into};
  batch->add_lineage(lineage);
  LabelTotals totals = totals_;
  totals.last_correction = record.seq;
  current_.write_clusters(*batch);
  batch->put_correction(record);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  publish_event("cluster.merged", {{"cluster", from.value()},
                                   {"into", into.value()},
                                   {"epoch", current_.id().value()}});
  return CorrectionOutcome{record.seq, into, record.changes.size()};
}

Result<CorrectionOutcome> ClusterBook::split(const CorrectionRequest& request) {
  SHOAL_TRY(origin, resolve(request.cluster));
  SHOAL_TRY(images, find_labelled(request.images));
  if (images.size() >= current_.clusters().at(origin).size) {
    return invalid_argument("cluster " + number(origin) +
                            " would be left without images: name only those "
                            "that belong to the new cluster");
  }
  LabelTotals totals = totals_;
  totals.last_cluster = ClusterId(totals.last_cluster.value() + 1);
  totals.last_correction = CorrectionSeq(totals.last_correction.value() + 1);
  const ClusterId born = totals.last_cluster;
  CorrectionRecord record;
  record.seq = totals.last_correction;
  record.kind = CorrectionKind::kSplit;
  record.at = now();
  record.cluster = origin;
  record.other = born;
  record.epoch = current_.id();

  std::vector<ImageSeq> seqs;
  for (const LabelledImage& image : images) {
    if (image.label.cluster != origin) {
      return invalid_argument("image '" + image.record.id.str() +
                              "' is not in cluster " + number(origin));
    }
    seqs.push_back(image.record.seq);
  }
  SHOAL_TRY(mean, mean_embedding(store_, current_.id(), seqs));
  std::vector<Prototype> prototypes;
  if (mean) prototypes.push_back({*mean, usual_threshold(current_)});
  auto batch = store_.new_batch();
  current_.set_prototypes(born, current_.id(), std::move(prototypes));
  SHOAL_TRY(fixed, store_.fixed(seqs));
  for (std::size_t i = 0; i < images.size(); ++i) {
    CorrectionChange change;
    change.seq = seqs[i];
    change.was_fixed = fixed[i].has_value();
    if (fixed[i]) change.fixed_before = fixed[i]->cluster;
    change.label_before = images[i].label;
    record.images.push_back(seqs[i]);
    record.changes.push_back(change);
    const Label after = current_.confirmed_label(
        born, embedding_of(store_, current_.id(), seqs[i]));
    current_.put_label(*batch, seqs[i], images[i].label, after);
    FixedLabel fix;
    fix.cluster = born;
    fix.correction = record.seq;
    batch->put_fixed(seqs[i], fix);
    batch->add_history(seqs[i],
                       history_record(current_.id(), origin, after, "split"));
  }
  LineageRecord lineage;
  lineage.cluster = origin;
  lineage.kind = LineageKind::kSplit;
  lineage.epoch = current_.id();
  lineage.correction = record.seq;
  lineage.at = record.at;
  lineage.others = {born};
  batch->add_lineage(lineage);
  lineage.cluster = born;
  lineage.kind = LineageKind::kBorn;
  lineage.others = {origin};
  batch->add_lineage(lineage);
  current_.write_clusters(*batch);
  batch->put_correction(record);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  publish_event("cluster.born", {{"cluster", born.value()},
                                 {"parents", {origin.value()}},
                                 {"epoch", current_.id().value()}});
  return CorrectionOutcome{record.seq, born, images.size()};
}

Result<CorrectionOutcome> ClusterBook::undo(const CorrectionRequest& request) {
  CorrectionSeq wanted = request.correction;
  if (!wanted.valid()) {
    // The latest that is in force, looking back page by page.
    for (std::uint64_t end = totals_.last_correction.value();
         end > 0 && !wanted.valid();) {
      const std::uint64_t begin = end > kPage ? end - kPage : 0;
      SHOAL_TRY(page, store_.corrections(CorrectionSeq(begin), kPage));
      for (const CorrectionRecord& record : page) {
        if (record.seq.value() <= end && !record.undone_by.valid() &&
            record.kind != CorrectionKind::kUndo) {
          wanted = record.seq;
        }
      }
      end = begin;
    }
    if (!wanted.valid()) {
      return failed_precondition("there is no correction to undo");
    }
  }
  SHOAL_TRY(found, store_.corrections(CorrectionSeq(wanted.value() - 1), 1));
  if (found.empty() || found.front().seq != wanted) {
    return not_found("there is no correction " +
                     std::to_string(wanted.value()));
  }
  CorrectionRecord undone = found.front();
  if (undone.kind == CorrectionKind::kUndo) {
    return invalid_argument("correction " + std::to_string(wanted.value()) +
                            " is itself an undo");
  }
  if (undone.undone_by.valid()) {
    return failed_precondition("correction " + std::to_string(wanted.value()) +
                               " has been undone already");
  }
  CorrectionRecord record;
  record.seq = CorrectionSeq(totals_.last_correction.value() + 1);
  record.kind = CorrectionKind::kUndo;
  record.at = now();
  record.undoes = wanted;
  record.cluster = undone.cluster;
  record.other = undone.other;
  undone.undone_by = record.seq;

  auto batch = store_.new_batch();
  const bool same_epoch =
      undone.epoch == current_.id() || !undone.epoch.valid();
  std::vector<ImageSeq> seqs;
  for (const CorrectionChange& change : undone.changes) {
    seqs.push_back(change.seq);
  }
  SHOAL_TRY(records, store_.images(seqs));
  SHOAL_TRY(labels, store_.labels(current_.id(), seqs));
  SHOAL_TRY(fixed, store_.fixed(seqs));
  SHOAL_TRY(embeddings, store_.embeddings(current_.id(), seqs));

  if (undone.kind == CorrectionKind::kMerge) {
    if (current_.has_cluster(undone.other)) {
      return failed_precondition("cluster " + number(undone.other) +
                                 " has come back by other means");
    }
    // Its prototypes, or in another epoch the mean of what it had.
    std::vector<Prototype> prototypes = undone.prototypes;
    if (!same_epoch) {
      SHOAL_TRY(mean, mean_embedding(store_, current_.id(), seqs));
      prototypes.clear();
      if (mean) prototypes.push_back({*mean, usual_threshold(current_)});
    }
    const auto survivor = current_.clusters().find(undone.cluster);
    if (same_epoch && survivor != current_.clusters().end()) {
      std::vector<Prototype> kept;
      for (const Prototype& prototype : survivor->second.prototypes) {
        const bool absorbed =
            std::any_of(undone.prototypes.begin(), undone.prototypes.end(),
                        [&](const Prototype& other) {
                          return other.centroid == prototype.centroid;
                        });
        if (!absorbed) kept.push_back(prototype);
      }
      current_.set_prototypes(undone.cluster, survivor->second.born_epoch,
                              std::move(kept));
    }
    current_.set_prototypes(undone.other, current_.id(), std::move(prototypes));
    LineageRecord lineage;
    lineage.cluster = undone.other;
    lineage.kind = LineageKind::kRevived;
    lineage.epoch = current_.id();
    lineage.correction = record.seq;
    lineage.at = record.at;
    batch->add_lineage(lineage);
  }

  for (std::size_t i = 0; i < undone.changes.size(); ++i) {
    const CorrectionChange& change = undone.changes[i];
    if (!records[i] || !labels[i]) continue;  // deleted since
    const auto row = static_cast<Eigen::Index>(i);
    std::optional<Vector> embedding;
    if (embeddings.cols() > 0 && std::isfinite(embeddings(row, 0))) {
      embedding = embeddings.row(row).transpose();
    }
    SHOAL_TRY(must_not, store_.must_not({change.seq}));
    if (undone.kind == CorrectionKind::kReject) {
      const ClusterId rejected = rejected_cluster(undone, i);
      batch->remove_must_not(change.seq, rejected);
      must_not[0].erase(
          std::remove(must_not[0].begin(), must_not[0].end(), rejected),
          must_not[0].end());
      if (fixed[i]) continue;  // a later decision stands
    } else if (undone.kind == CorrectionKind::kMerge) {
      // Images that a person or a run has moved on since stay there.
      if (labels[i]->cluster != undone.cluster) continue;
    } else if (!fixed[i] || fixed[i]->correction != undone.seq) {
      continue;  // a later correction of the same image stands
    }
    Label after = change.label_before;
    if (undone.kind == CorrectionKind::kMerge) {
      after = *labels[i];
      after.cluster = undone.other;
    } else if (!same_epoch || (after.cluster.valid() &&
                               !current_.has_cluster(after.cluster))) {
      after = embedding ? current_.assign(*embedding, must_not[0]) : Label{};
    }
    if (change.was_fixed) {
      FixedLabel fix;
      SHOAL_TRY(alive, undone.kind == CorrectionKind::kMerge
                           ? Result<ClusterId>(undone.other)
                           : resolve(change.fixed_before));
      fix.cluster = alive;
      fix.correction = record.seq;
      batch->put_fixed(change.seq, fix);
      after = current_.confirmed_label(alive, embedding);
    } else if (fixed[i] && undone.kind != CorrectionKind::kMerge) {
      batch->remove_fixed(change.seq);
    } else if (fixed[i]) {
      FixedLabel fix = *fixed[i];
      fix.cluster = after.cluster;
      batch->put_fixed(change.seq, fix);
    }
    current_.put_label(*batch, change.seq, labels[i], after);
    batch->add_history(
        change.seq,
        history_record(current_.id(), labels[i]->cluster, after, "undo"));
    record.images.push_back(change.seq);
  }
  if (undone.kind == CorrectionKind::kSplit &&
      current_.has_cluster(undone.other) &&
      current_.clusters().at(undone.other).size == 0) {
    current_.erase_cluster(undone.other, *batch);
    LineageRecord lineage;
    lineage.cluster = undone.other;
    lineage.kind = LineageKind::kMerged;
    lineage.epoch = current_.id();
    lineage.correction = record.seq;
    lineage.at = record.at;
    lineage.others = {undone.cluster};
    batch->add_lineage(lineage);
  }
  LabelTotals totals = totals_;
  totals.last_correction = record.seq;
  current_.write_clusters(*batch);
  batch->put_correction(undone);
  batch->put_correction(record);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  return CorrectionOutcome{record.seq, undone.cluster, record.images.size()};
}

Result<void> ClusterBook::name_cluster(ClusterId cluster,
                                       const std::string& name) {
  SHOAL_TRY(alive, resolve(cluster));
  auto batch = store_.new_batch();
  batch->put_cluster_name(alive, name);
  return commit(std::move(batch), Durability::kSynced);
}

Result<std::size_t> ClusterBook::remove(const std::vector<ImageId>& images) {
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

  LabelTotals totals = totals_;
  auto batch = store_.new_batch();
  for (const ImageRecord& record : records) batch->remove_image(record);
  totals.deleted += records.size();
  // Beside the current epoch, those that can still become current.
  SHOAL_TRY(epochs, store_.epochs());
  std::vector<EpochId> with_data{EpochId{}};
  for (const EpochRecord& epoch : epochs) {
    if (epoch.status == EpochStatus::kPublished ||
        epoch.status == EpochStatus::kHeld ||
        epoch.status == EpochStatus::kStaging) {
      with_data.push_back(epoch.id);
    }
  }
  for (const EpochId epoch : with_data) {
    const bool is_current = epoch == current_.id();
    const bool is_staging = staging_ && epoch == staging_->id();
    if (!is_current && !is_staging && epoch.valid()) {
      SHOAL_TRY(record, store_.epoch(epoch));
      if (record.status == EpochStatus::kStaging) continue;  // no rows yet
    }
    SHOAL_TRY(labels, store_.labels(epoch, seqs));
    std::optional<EpochState> loaded;
    if (!is_current && !is_staging) {
      SHOAL_TRY(state, EpochState::load(store_, epoch));
      loaded = std::move(state);
    }
    EpochState& state =
        is_current ? current_ : (is_staging ? *staging_ : *loaded);
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      if (labels[i]) {
        state.remove_label(*batch, seqs[i], *labels[i]);
        batch->remove_embedding(epoch, seqs[i]);
      } else if (is_current) {
        ++totals.deleted_pending;
      }
    }
    if (!is_staging) state.write_clusters(*batch);
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

Result<void> ClusterBook::absorb(EpochState& state, ClusterId from,
                                 ClusterId into) {
  if (!state.has_cluster(from)) return ok();
  auto batch = store_.new_batch();
  std::vector<Prototype> prototypes = state.clusters().at(from).prototypes;
  EpochId born = state.clusters().at(from).born_epoch;
  if (state.has_cluster(into)) {
    const auto& own = state.clusters().at(into);
    prototypes.insert(prototypes.begin(), own.prototypes.begin(),
                      own.prototypes.end());
    born = own.born_epoch;
  }
  state.set_prototypes(into, born, std::move(prototypes));
  for (ImageSeq after;;) {
    SHOAL_TRY(members, store_.members(state.id(), from, after, kPage));
    std::vector<ImageSeq> seqs;
    for (const Member& member : members) seqs.push_back(member.seq);
    SHOAL_TRY(labels, store_.labels(state.id(), seqs));
    for (std::size_t i = 0; i < seqs.size(); ++i) {
      if (!labels[i]) continue;
      Label moved = *labels[i];
      moved.cluster = into;
      state.put_label(*batch, seqs[i], labels[i], moved);
    }
    if (members.size() < kPage) break;
    after = members.back().seq;
  }
  state.erase_cluster(from, *batch);
  state.write_clusters(*batch);
  return commit(std::move(batch), Durability::kBuffered);
}

Result<void> ClusterBook::replay_corrections(EpochState& state) {
  const CorrectionSeq seen = state.record().corrections_seen;
  for (CorrectionSeq after = seen;;) {
    SHOAL_TRY(page, store_.corrections(after, kPage));
    for (const CorrectionRecord& record : page) {
      const bool in_force = !record.undone_by.valid();
      if (record.kind == CorrectionKind::kMerge && in_force) {
        SHOAL_TRY(absorb(state, record.other, record.cluster));
      } else if (record.kind == CorrectionKind::kReject && in_force) {
        SHOAL_TRY(labels, store_.labels(state.id(), record.images));
        SHOAL_TRY(must_not, store_.must_not(record.images));
        SHOAL_TRY(embeddings, store_.embeddings(state.id(), record.images));
        auto batch = store_.new_batch();
        for (std::size_t i = 0; i < record.images.size(); ++i) {
          if (!labels[i] || labels[i]->cluster != rejected_cluster(record, i)) {
            continue;
          }
          const auto row = static_cast<Eigen::Index>(i);
          const bool known =
              embeddings.cols() > 0 && std::isfinite(embeddings(row, 0));
          const Label label =
              known ? state.assign(embeddings.row(row).transpose(), must_not[i])
                    : Label{};
          state.put_label(*batch, record.images[i], labels[i], label);
        }
        state.write_clusters(*batch);
        SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
      } else if (record.kind == CorrectionKind::kUndo &&
                 !(seen < record.undoes)) {
        // What the epoch knows as in force was undone later.
        SHOAL_TRY(labels, store_.labels(state.id(), record.images));
        SHOAL_TRY(ours, store_.labels(current_.id(), record.images));
        SHOAL_TRY(fixed, store_.fixed(record.images));
        auto batch = store_.new_batch();
        for (std::size_t i = 0; i < record.images.size(); ++i) {
          if (!labels[i] || !ours[i] || fixed[i]) continue;
          if (labels[i]->state != LabelState::kConfirmed &&
              labels[i]->cluster == ours[i]->cluster) {
            continue;
          }
          if (ours[i]->cluster.valid() &&
              !state.has_cluster(ours[i]->cluster)) {
            state.set_prototypes(ours[i]->cluster, state.id(), {});
          }
          state.put_label(*batch, record.images[i], labels[i], *ours[i]);
        }
        state.write_clusters(*batch);
        SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
      }
    }
    if (page.size() < kPage) return ok();
    after = page.back().seq;
  }
}

Result<void> ClusterBook::apply_fixed_labels(EpochState& state) {
  for (ImageSeq after;;) {
    SHOAL_TRY(page, store_.fixed_after(after, kPage));
    std::vector<ImageSeq> seqs;
    for (const auto& [seq, fix] : page) seqs.push_back(seq);
    SHOAL_TRY(labels, store_.labels(state.id(), seqs));
    auto batch = store_.new_batch();
    for (std::size_t i = 0; i < page.size(); ++i) {
      const ClusterId cluster = page[i].second.cluster;
      if (!labels[i] || (labels[i]->cluster == cluster &&
                         labels[i]->state == LabelState::kConfirmed)) {
        continue;
      }
      if (!state.has_cluster(cluster)) {
        state.set_prototypes(cluster, state.id(), {});
      }
      state.put_label(*batch, seqs[i], labels[i],
                      state.confirmed_label(
                          cluster, embedding_of(store_, state.id(), seqs[i])));
    }
    state.write_clusters(*batch);
    SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
    if (page.size() < kPage) return ok();
    after = page.back().first;
  }
}

Result<void> ClusterBook::give_prototypes(EpochState& state) {
  std::vector<ClusterId> bare;
  for (const auto& [id, cluster] : state.clusters()) {
    if (cluster.prototypes.empty() && cluster.size > 0) bare.push_back(id);
  }
  const float threshold = usual_threshold(state);
  for (const ClusterId id : bare) {
    SHOAL_TRY(members, store_.members(state.id(), id, ImageSeq{}, kPage));
    std::vector<ImageSeq> seqs;
    for (const Member& member : members) seqs.push_back(member.seq);
    SHOAL_TRY(mean, mean_embedding(store_, state.id(), seqs));
    if (mean) {
      state.set_prototypes(id, state.clusters().at(id).born_epoch,
                           {{*mean, threshold}});
    }
  }
  return ok();
}

}  // namespace shoal
