#include "daemon/book/cluster_book.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "common/check.h"
#include "common/log.h"

namespace shoal {
namespace {

constexpr std::size_t kPage = 1024;

/// Positions in `views` of a model's inputs; empty when one is missing.
std::vector<std::size_t> match_inputs(const EmbeddingModel* model,
                                      const std::vector<ActiveView>& views) {
  std::vector<std::size_t> positions;
  if (model == nullptr) return positions;
  for (const EmbeddingInput& input : model->inputs()) {
    const auto it = std::find_if(
        views.begin(), views.end(),
        [&](const ActiveView& view) { return view.key.text() == input.view; });
    if (it == views.end()) return {};
    positions.push_back(static_cast<std::size_t>(it - views.begin()));
  }
  return positions;
}

nlohmann::json cluster_list(const std::vector<ClusterId>& clusters) {
  auto list = nlohmann::json::array();
  for (const ClusterId cluster : clusters) list.push_back(cluster.value());
  return list;
}

LineageRecord lineage_record(ClusterId cluster, LineageKind kind, EpochId epoch,
                             std::vector<ClusterId> others) {
  LineageRecord record;
  record.cluster = cluster;
  record.kind = kind;
  record.epoch = epoch;
  record.at = now();
  record.others = std::move(others);
  return record;
}

Error given_up() {
  return {ErrorCode::kInternal,
          "the epoch being staged was given up after a failed write"};
}

}  // namespace

nlohmann::json cluster_json(ClusterId cluster) {
  return cluster.valid() ? nlohmann::json(cluster.value())
                         : nlohmann::json(nullptr);
}

std::optional<Vector> embedding_row(const Matrix& rows, std::size_t i) {
  const auto row = static_cast<Eigen::Index>(i);
  if (rows.cols() == 0 || !std::isfinite(rows(row, 0))) return std::nullopt;
  return Vector(rows.row(row).transpose());
}

ClusterBook::ClusterBook(Store& store, std::vector<ActiveView> views,
                         Options options, EventSink events,
                         EmbeddingListener* listener)
    : store_(store),
      views_(std::move(views)),
      options_(options),
      events_(std::move(events)),
      listener_(listener),
      current_(EpochRecord{}, nullptr) {}

Result<std::unique_ptr<ClusterBook>> ClusterBook::open(
    Store& store, std::vector<ActiveView> views, Options options,
    EventSink events, EmbeddingListener* listener) {
  std::unique_ptr<ClusterBook> book(new ClusterBook(
      store, std::move(views), options, std::move(events), listener));
  SHOAL_TRY(book->refresh());
  SHOAL_TRY(epochs, store.epochs());
  for (const EpochRecord& epoch : epochs) {
    if (epoch.status != EpochStatus::kStaging) continue;
    spdlog::warn("event=run_interrupted run={}", epoch.id.value());
    SHOAL_TRY(book->end_run(epoch.id, EpochStatus::kFailed,
                            "the daemon stopped during the run"));
  }
  return book;
}

void ClusterBook::use_views(std::vector<ActiveView> views) {
  views_ = std::move(views);
  input_of_model_ = match_inputs(current_.model(), views_);
}

Result<void> ClusterBook::refresh() {
  if (!stale_) return ok();
  SHOAL_TRY(totals, store_.label_totals());
  SHOAL_TRY(epoch, store_.current_epoch());
  SHOAL_TRY(state, EpochState::load(store_, epoch));
  current_ = std::move(state);
  input_of_model_ = match_inputs(current_.model(), views_);
  totals_ = totals;
  stale_ = false;
  return ok();
}

Result<void> ClusterBook::commit(std::unique_ptr<StoreBatch> batch,
                                 Durability durability) {
  auto done = store_.commit(std::move(batch), durability);
  if (!done) {
    // What was counted in memory did not happen.
    stale_ = true;
    staging_.reset();
  }
  return done;
}

void ClusterBook::publish_event(std::string topic, nlohmann::json body) const {
  body["v"] = 1;
  body["at"] = format_rfc3339(now());
  events_(Event{std::move(topic), std::move(body)});
}

// ---------------------------------------------------------------- arrivals

Result<std::vector<Settled>> ClusterBook::arrive(
    const std::vector<Arrival>& arrivals) {
  SHOAL_TRY(refresh());
  std::vector<ImageSeq> seqs;
  seqs.reserve(arrivals.size());
  for (const Arrival& arrival : arrivals) seqs.push_back(arrival.seq);
  SHOAL_TRY(records, store_.images(seqs));
  SHOAL_TRY(labels, store_.labels(current_.id(), seqs));

  // Embed all at once: one matrix product instead of one a picture.
  Matrix embeddings;
  std::vector<Eigen::Index> row_of(arrivals.size(), -1);
  if (can_embed()) {
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      if (arrivals[i].features.empty()) continue;
      row_of[i] = static_cast<Eigen::Index>(rows.size());
      rows.push_back(i);
    }
    std::vector<Matrix> inputs;
    for (const std::size_t view : input_of_model_) {
      Matrix input(static_cast<Eigen::Index>(rows.size()),
                   static_cast<Eigen::Index>(views_[view].key.dim));
      for (std::size_t r = 0; r < rows.size(); ++r) {
        input.row(static_cast<Eigen::Index>(r)) =
            arrivals[rows[r]].features[view].transpose();
      }
      inputs.push_back(std::move(input));
    }
    if (!rows.empty()) embeddings = current_.model()->embed(inputs);
  }

  auto batch = store_.new_batch();
  LabelTotals totals = totals_;
  std::vector<Settled> settled;
  std::set<ImageSeq> seen;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    const Arrival& arrival = arrivals[i];
    Settled result;
    result.seq = arrival.seq;
    if (labels[i]) result.label = *labels[i];
    if (!records[i] || labels[i] || !seen.insert(arrival.seq).second) {
      settled.push_back(result);
      continue;
    }
    if (!arrival.failure_code.empty()) {
      ImageRecord record = *records[i];
      record.failure_code = arrival.failure_code;
      record.failure_message = arrival.failure_message;
      batch->put_image(record);
    }
    for (std::size_t v = 0; v < arrival.features.size(); ++v) {
      batch->put_features(views_[v].slot, arrival.seq, arrival.features[v]);
    }
    if (row_of[i] >= 0) {
      const Vector embedding = embeddings.row(row_of[i]).transpose();
      result.label = current_.assign(embedding, {});
      batch->put_embedding(current_.id(), arrival.seq, embedding);
    }
    current_.put_label(*batch, arrival.seq, std::nullopt, result.label);
    HistoryRecord history;
    history.at = now();
    history.epoch = current_.id();
    history.to = result.label.cluster;
    history.state = result.label.state;
    history.cause = "arrival";
    batch->add_history(arrival.seq, history);
    batch->remove_pending(arrival.seq);
    ++totals.completed;
    result.changed = true;
    result.id = records[i]->id;
    result.source = records[i]->source;
    settled.push_back(result);
  }
  current_.write_clusters(*batch);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
  totals_ = totals;

  for (std::size_t i = 0; i < settled.size(); ++i) {
    if (!settled[i].changed) continue;
    const Label& label = settled[i].label;
    if (listener_ != nullptr && row_of[i] >= 0) {
      listener_->on_embedding(current_.id(), settled[i].seq,
                              embeddings.row(row_of[i]).transpose());
    }
    publish_event(
        "image.assigned",
        {{"id", records[i]->id.str()},
         {"cluster", cluster_json(label.cluster)},
         {"confidence", label.confidence},
         {"state", label.cluster.valid() ? "assigned" : "unassigned"}});
  }
  return settled;
}

Result<Vector> ClusterBook::embed(const std::vector<Vector>& features) const {
  if (!can_embed()) {
    return failed_precondition(
        "the current epoch was learned from views that are not extracted now");
  }
  std::vector<Matrix> inputs;
  for (const std::size_t view : input_of_model_) {
    inputs.emplace_back(features.at(view).transpose());
  }
  return Vector(current_.model()->embed(inputs).row(0).transpose());
}

Result<void> ClusterBook::add_features(const std::vector<Arrival>& arrivals) {
  std::vector<ImageSeq> seqs;
  for (const Arrival& arrival : arrivals) seqs.push_back(arrival.seq);
  SHOAL_TRY(records, store_.images(seqs));
  auto batch = store_.new_batch();
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    if (!records[i]) continue;
    for (std::size_t v = 0; v < arrivals[i].features.size(); ++v) {
      batch->put_features(views_[v].slot, arrivals[i].seq,
                          arrivals[i].features[v]);
    }
  }
  return commit(std::move(batch), Durability::kBuffered);
}

Result<std::size_t> ClusterBook::dense_pool(std::size_t limit) const {
  if (!current_.id().valid()) return std::size_t{0};
  std::vector<float> thresholds;
  for (const auto& [id, cluster] : current_.clusters()) {
    for (const Prototype& prototype : cluster.prototypes) {
      thresholds.push_back(prototype.novelty_threshold);
    }
  }
  if (thresholds.empty()) return std::size_t{0};
  const auto middle =
      thresholds.begin() + static_cast<std::ptrdiff_t>(thresholds.size() / 2);
  std::nth_element(thresholds.begin(), middle, thresholds.end());
  std::deque<ImageSeq> newest;
  for (ImageSeq after = learned_up_to(current_.record());;) {
    SHOAL_TRY(members,
              store_.members(current_.id(), ClusterId{}, after, kPage));
    for (const Member& member : members) {
      newest.push_back(member.seq);
      if (newest.size() > limit) newest.pop_front();
    }
    if (members.size() < kPage) break;
    after = members.back().seq;
  }
  const std::vector<ImageSeq> seqs(newest.begin(), newest.end());
  SHOAL_TRY(embeddings, store_.embeddings(current_.id(), seqs));
  std::vector<Vector> known;
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (auto embedding = embedding_row(embeddings, i)) {
      known.push_back(std::move(*embedding));
    }
  }
  Matrix rows(static_cast<Eigen::Index>(known.size()), embeddings.cols());
  for (std::size_t i = 0; i < known.size(); ++i) {
    rows.row(static_cast<Eigen::Index>(i)) = known[i].transpose();
  }
  // Two members of a cluster are about sqrt(2) times as far from each other as
  // from its centre.
  return rows_with_fellows(rows, std::sqrt(2.0F) * *middle);
}

// ---------------------------------------------------------- runs and epochs

Result<ImageSeq> ClusterBook::low_water() const {
  // In this order: what is stored between the two is pending still.
  SHOAL_TRY(totals, store_.ingest_totals());
  SHOAL_TRY(first_pending, store_.pending(ImageSeq{}, 1));
  if (first_pending.empty()) return totals.last_seq;
  return ImageSeq(first_pending.front().value() - 1);
}

Result<EpochId> ClusterBook::begin_run(const std::string& method,
                                       const std::string& reason) {
  SHOAL_TRY(refresh());
  EpochRecord record;
  record.id = EpochId(totals_.last_epoch.value() + 1);
  record.parent = current_.id();
  record.status = EpochStatus::kStaging;
  record.method = method;
  record.reason = reason;
  record.started_at = now();
  SHOAL_TRY(water, low_water());
  record.low_water = water;
  record.corrections_seen = totals_.last_correction;
  LabelTotals totals = totals_;
  totals.last_epoch = record.id;
  auto batch = store_.new_batch();
  batch->put_epoch(record);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  totals_ = totals;
  return record.id;
}

Result<bool> ClusterBook::continue_run(EpochId run, EpochId failed) {
  SHOAL_TRY(refresh());
  const auto found = store_.epoch(failed);
  if (!found && found.error().code != ErrorCode::kNotFound) {
    return found.error();
  }
  if (!found || found.value().status != EpochStatus::kFailed ||
      found.value().parent != current_.id()) {
    return false;
  }
  SHOAL_TRY(record, store_.epoch(run));
  record.low_water = found.value().low_water;
  record.corrections_seen = found.value().corrections_seen;
  auto batch = store_.new_batch();
  batch->put_epoch(record);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  return true;
}

Result<void> ClusterBook::end_run(EpochId run, EpochStatus status,
                                  const std::string& reason) {
  SHOAL_TRY(refresh());
  SHOAL_CHECK(run != current_.id(), "a published run has not failed");
  if (staging_ && staging_->id() == run) staging_.reset();
  staging_born_.clear();
  staging_ended_.clear();
  SHOAL_TRY(record, store_.epoch(run));
  record.status = status;
  record.reason = reason;
  record.finished_at = now();
  auto batch = store_.new_batch();
  batch->put_epoch(record);
  batch->drop_epoch_data(run);
  return commit(std::move(batch), Durability::kSynced);
}

Result<std::vector<ClusterId>> ClusterBook::begin_staging(
    EpochId run, const Candidate& candidate) {
  SHOAL_TRY(refresh());
  SHOAL_TRY(record, store_.epoch(run));
  SHOAL_CHECK(record.status == EpochStatus::kStaging,
              "rows go into a run that has begun");
  record.method = candidate.method;
  record.churn = static_cast<float>(candidate.churn);
  record.scores = candidate.scores;
  record.embedding_dim = static_cast<std::uint32_t>(candidate.model->dim());
  for (const EmbeddingInput& input : candidate.model->inputs()) {
    record.views.push_back(input.view);
  }
  const std::string model_bytes = candidate.model->serialize();
  SHOAL_TRY(model, load_embedding_model(model_bytes));

  EpochState state(record,
                   std::shared_ptr<const EmbeddingModel>(std::move(model)));
  LabelTotals totals = totals_;
  std::vector<ClusterId> ids;
  std::map<ClusterId, std::vector<ClusterId>> born;
  for (const CandidateCluster& cluster : candidate.clusters) {
    ClusterId id = cluster.id;
    EpochId born_epoch = run;
    if (id.valid()) {
      // The worker saw a checkpoint; a person may have merged it away since.
      SHOAL_TRY(alive, resolve(id));
      id = alive;
      born_epoch = current_.clusters().at(id).born_epoch;
    } else {
      id = ClusterId(totals.last_cluster.value() + 1);
      totals.last_cluster = id;
      born[id] = cluster.parents;
    }
    std::vector<Prototype> prototypes = cluster.prototypes;
    if (state.has_cluster(id)) {
      const auto& earlier = state.clusters().at(id).prototypes;
      prototypes.insert(prototypes.end(), earlier.begin(), earlier.end());
    }
    state.set_prototypes(id, born_epoch, std::move(prototypes));
    ids.push_back(id);
  }
  std::map<ClusterId, std::vector<ClusterId>> ended;
  for (const auto& [cluster, successors] : candidate.ended) {
    for (const std::size_t position : successors) {
      ended[cluster].push_back(ids.at(position));
    }
    ended[cluster];  // also when nothing took its images over
  }
  state.touch_all();
  auto batch = store_.new_batch();
  batch->put_epoch(record);
  batch->put_epoch_model(run, model_bytes);
  batch->put_label_totals(totals);
  SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
  totals_ = totals;
  staging_ = std::move(state);
  staging_cause_ = "publish";
  // From the start: a run also leaves out older images, those without
  // features.
  staging_cursor_ = ImageSeq{};
  staging_ended_ = std::move(ended);
  staging_born_ = std::move(born);
  return ids;
}

Result<void> ClusterBook::stage(const std::vector<StagedRow>& rows) {
  if (!staging_) return given_up();
  std::vector<ImageSeq> seqs;
  for (const StagedRow& row : rows) seqs.push_back(row.seq);
  SHOAL_TRY(records, store_.images(seqs));
  SHOAL_TRY(before, store_.labels(staging_->id(), seqs));
  SHOAL_TRY(must_not, store_.must_not(seqs));
  auto batch = store_.new_batch();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!records[i] || before[i]) continue;
    Label label = rows[i].label;
    // A person may have ruled the cluster out, or merged a ruled-out one into
    // it, since the run read the store.
    const auto& ruled_out = must_not[i];
    if (std::find(ruled_out.begin(), ruled_out.end(), label.cluster) !=
        ruled_out.end()) {
      label = staging_->assign(rows[i].embedding, ruled_out);
    }
    // Of an image that a person ruled something out for, a person decides.
    if (!ruled_out.empty() && label.state == LabelState::kConfirmed) {
      label.state = LabelState::kAssigned;
    }
    staging_->put_label(*batch, rows[i].seq, std::nullopt, label);
    batch->put_embedding(staging_->id(), rows[i].seq, rows[i].embedding);
  }
  return commit(std::move(batch), Durability::kBuffered);
}

Result<void> ClusterBook::begin_activation(EpochId epoch) {
  SHOAL_TRY(refresh());
  const std::string name = "epoch " + std::to_string(epoch.value());
  if (epoch == current_.id()) {
    return failed_precondition(name + " is the current one");
  }
  SHOAL_TRY(record, store_.epoch(epoch));
  if (record.status == EpochStatus::kDropped) {
    return failed_precondition(
        name + " is too old: its data is gone (store.keep_epochs)");
  }
  if (record.status != EpochStatus::kPublished &&
      record.status != EpochStatus::kHeld) {
    return failed_precondition(name + " holds no result");
  }
  SHOAL_TRY(state, EpochState::load(store_, epoch));
  staging_ = std::move(state);
  staging_cause_ = record.status == EpochStatus::kHeld ? "publish" : "rollback";
  staging_cursor_ = record.low_water;
  staging_born_.clear();
  staging_ended_.clear();
  return ok();
}

Result<void> ClusterBook::finish_staging(bool publish,
                                         const std::string& reason) {
  SHOAL_TRY(refresh());
  // Nothing settles before this returns, so one pass reaches everything.
  ImageSeq at = staging_cursor_;
  for (bool done = false; !done;) {
    SHOAL_TRY(page, catch_up_after(at, kPage));
    at = page.up_to;
    done = page.last;
  }
  if (publish) return flip(staging_cause_);
  EpochRecord& record = staging_->record();
  SHOAL_TRY(water, low_water());
  record.low_water = water;
  record.finished_at = now();
  record.clusters = staging_->clusters().size();
  record.images = settled_images();
  record.status = EpochStatus::kHeld;
  record.reason = reason;
  auto batch = store_.new_batch();
  staging_->touch_all();
  staging_->write_clusters(*batch);
  batch->put_epoch(record);
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));
  staging_.reset();
  return ok();
}

std::uint64_t ClusterBook::settled_images() const {
  std::uint64_t sum = staging_->pool_size();
  for (const auto& [id, cluster] : staging_->clusters()) sum += cluster.size;
  return sum;
}

Result<Matrix> ClusterBook::embed_stored(
    const EpochState& state, const std::vector<ImageSeq>& seqs) const {
  const auto n = static_cast<Eigen::Index>(seqs.size());
  const EmbeddingModel& model = *state.model();
  Matrix embeddings =
      Matrix::Constant(n, model.dim(), std::numeric_limits<float>::quiet_NaN());
  std::vector<Matrix> inputs;
  for (const EmbeddingInput& input : model.inputs()) {
    const auto it = std::find_if(
        views_.begin(), views_.end(),
        [&](const ActiveView& view) { return view.key.text() == input.view; });
    // An epoch of views that are no longer extracted: arrivals since have no
    // features for it.
    if (it == views_.end()) return embeddings;
    SHOAL_TRY(features, store_.features(it->slot, seqs));
    inputs.push_back(std::move(features));
  }
  std::vector<Eigen::Index> known;
  for (Eigen::Index row = 0; row < n; ++row) {
    if (std::all_of(inputs.begin(), inputs.end(), [&](const Matrix& input) {
          return std::isfinite(input(row, 0));
        })) {
      known.push_back(row);
    }
  }
  if (known.empty()) return embeddings;
  std::vector<Matrix> rows;
  for (const Matrix& input : inputs) {
    rows.emplace_back(static_cast<Eigen::Index>(known.size()), input.cols());
    for (std::size_t k = 0; k < known.size(); ++k) {
      rows.back().row(static_cast<Eigen::Index>(k)) = input.row(known[k]);
    }
  }
  const Matrix embedded = model.embed(rows);
  for (std::size_t k = 0; k < known.size(); ++k) {
    embeddings.row(known[k]) = embedded.row(static_cast<Eigen::Index>(k));
  }
  return embeddings;
}

Result<bool> ClusterBook::catch_up(std::size_t limit) {
  SHOAL_TRY(page, catch_up_after(staging_cursor_, limit));
  // Images settle in another order than they came: what is still pending may
  // be settled before the flip, so the next look begins at the first of them.
  staging_cursor_ = page.settled_up_to;
  return page.last || page.settled_up_to < page.up_to;
}

Result<ClusterBook::CaughtUp> ClusterBook::catch_up_after(ImageSeq after,
                                                          std::size_t limit) {
  if (!staging_) return given_up();
  EpochState& state = *staging_;
  SHOAL_TRY(page, store_.arrivals(after, limit));
  if (page.empty()) return CaughtUp{after, after, true};
  SHOAL_TRY(pending, store_.pending_up_to(after, page.back(), limit));
  std::vector<ImageSeq> settled;
  std::set_difference(page.begin(), page.end(), pending.begin(), pending.end(),
                      std::back_inserter(settled));
  SHOAL_TRY(there, store_.labels(state.id(), settled));
  std::vector<ImageSeq> missing;
  for (std::size_t i = 0; i < settled.size(); ++i) {
    if (!there[i]) missing.push_back(settled[i]);
  }
  if (!missing.empty()) {
    SHOAL_TRY(embeddings, embed_stored(state, missing));
    SHOAL_TRY(must_not, store_.must_not(missing));
    auto batch = store_.new_batch();
    for (std::size_t i = 0; i < missing.size(); ++i) {
      const auto embedding = embedding_row(embeddings, i);
      Label label;
      if (embedding) {
        label = state.assign(*embedding, must_not[i]);
        batch->put_embedding(state.id(), missing[i], *embedding);
      }
      state.put_label(*batch, missing[i], std::nullopt, label);
    }
    state.write_clusters(*batch);
    SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
  }
  CaughtUp done{page.back(), page.back(), page.size() < limit};
  if (!pending.empty()) {
    done.settled_up_to = ImageSeq(pending.front().value() - 1);
  }
  return done;
}

Result<void> ClusterBook::flip(const std::string& cause) {
  EpochState& state = *staging_;
  EpochRecord& record = state.record();
  const bool first_time = record.status != EpochStatus::kPublished;
  flip_fixed_.clear();
  CorrectionRecord confirmed;
  if (first_time) {
    // It builds on what holds now, also where that has changed since the run
    // began: nothing confirmed meanwhile is withdrawn.
    record.parent = current_.id();
  } else {
    SHOAL_TRY(changes, fixed_changes(record.id));
    flip_fixed_ = std::move(changes);
  }
  SHOAL_TRY(replay_corrections(state, first_time));
  std::vector<ImageSeq> changed;
  for (const auto& [seq, fix] : flip_fixed_) changed.push_back(seq);
  SHOAL_TRY(enforce(state, changed, true));
  SHOAL_TRY(apply_fixed_labels(state));
  if (first_time) {
    SHOAL_TRY(leave_to_people(state));
    SHOAL_TRY(found, run_confirmations(state));
    confirmed = std::move(found);
  }
  SHOAL_TRY(tidy_clusters(state));

  LabelTotals totals = totals_;
  if (!confirmed.changes.empty()) {
    confirmed.seq = CorrectionSeq(totals.last_correction.value() + 1);
    totals.last_correction = confirmed.seq;
  }
  SHOAL_TRY(water, low_water());
  record.low_water = water;
  record.corrections_seen = totals.last_correction;
  record.status = EpochStatus::kPublished;
  record.clusters = state.clusters().size();
  if (first_time) {
    record.finished_at = now();
    record.images = settled_images();
  }
  auto batch = store_.new_batch();
  state.touch_all();
  state.write_clusters(*batch);
  batch->put_epoch(record);
  batch->set_current_epoch(record.id);
  for (const auto& [seq, fix] : flip_fixed_) {
    if (fix) {
      batch->put_fixed(seq, *fix);
    } else {
      batch->remove_fixed(seq);
    }
  }
  if (!confirmed.changes.empty()) {
    batch->put_correction(confirmed);
    batch->put_label_totals(totals);
    for (std::size_t i = 0; i < confirmed.changes.size(); ++i) {
      batch->put_fixed(
          confirmed.changes[i].seq,
          FixedLabel{confirmed.target(i), FixedBy::kRun, {}, record.id});
    }
  }
  if (current_.id().valid()) {
    // The one that is left is up to date as of now: what a rollback to it
    // starts from.
    EpochRecord left = current_.record();
    left.low_water = water;
    left.corrections_seen = totals_.last_correction;
    batch->put_epoch(left);
  }
  std::vector<Event> events;
  for (const auto& [id, cluster] : state.clusters()) {
    if (current_.has_cluster(id)) continue;
    const bool is_new = first_time && cluster.born_epoch == record.id;
    const auto known = staging_born_.find(id);
    std::vector<ClusterId> parents;
    if (known != staging_born_.end()) {
      parents = known->second;
    } else if (is_new) {
      SHOAL_TRY(from, overlap(record.id, id, current_.id()));
      parents = from;
    }
    batch->add_lineage(
        lineage_record(id, is_new ? LineageKind::kBorn : LineageKind::kRevived,
                       record.id, parents));
    events.push_back({"cluster.born",
                      {{"cluster", id.value()},
                       {"parents", cluster_list(parents)},
                       {"epoch", record.id.value()}}});
  }
  for (const auto& [id, cluster] : current_.clusters()) {
    if (state.has_cluster(id)) continue;
    const auto known = staging_ended_.find(id);
    std::vector<ClusterId> heirs;
    if (known != staging_ended_.end()) {
      heirs = known->second;
    } else {
      SHOAL_TRY(to, overlap(current_.id(), id, record.id));
      heirs = to;
    }
    batch->add_lineage(
        lineage_record(id, LineageKind::kRetired, record.id, heirs));
    if (!heirs.empty()) {
      events.push_back({"cluster.merged",
                        {{"cluster", id.value()},
                         {"into", heirs.front().value()},
                         {"epoch", record.id.value()}}});
    }
  }
  SHOAL_TRY(commit(std::move(batch), Durability::kSynced));

  // Published. Nothing from here on can fail.
  totals_ = totals;
  flip_fixed_.clear();
  moves_ = Moves{current_.id(), record.id, cause, ImageSeq{}};
  current_ = std::move(state);
  staging_.reset();
  staging_born_.clear();
  staging_ended_.clear();
  input_of_model_ = match_inputs(current_.model(), views_);
  if (listener_ != nullptr) {
    listener_->on_epoch(current_.id(), current_.model()->dim());
  }
  for (Event& event : events) {
    publish_event(std::move(event.topic), std::move(event.body));
  }
  publish_event("epoch.published", {{"epoch", current_.id().value()},
                                    {"run", current_.id().value()},
                                    {"status", "published"},
                                    {"cause", cause},
                                    {"clusters", current_.clusters().size()},
                                    {"images", current_.record().images}});
  return ok();
}

Result<bool> ClusterBook::note_moves(std::size_t limit) {
  if (!moves_) return true;
  SHOAL_TRY(page, store_.arrivals(moves_->cursor, limit));
  SHOAL_TRY(before, store_.labels(moves_->from, page));
  SHOAL_TRY(after, store_.labels(moves_->to, page));
  SHOAL_TRY(records, store_.images(page));
  SHOAL_TRY(embeddings, store_.embeddings(moves_->to, page));
  auto batch = store_.new_batch();
  std::vector<Event> events;
  for (std::size_t i = 0; i < page.size(); ++i) {
    if (!after[i] || !records[i]) continue;
    const auto embedding = embedding_row(embeddings, i);
    if (listener_ != nullptr && embedding) {
      listener_->on_embedding(moves_->to, page[i], *embedding);
    }
    if (!before[i] || (before[i]->cluster == after[i]->cluster &&
                       before[i]->state == after[i]->state)) {
      continue;
    }
    HistoryRecord history;
    history.at = now();
    history.epoch = moves_->to;
    history.from = before[i]->cluster;
    history.to = after[i]->cluster;
    history.state = after[i]->state;
    history.cause = moves_->cause;
    batch->add_history(page[i], history);
    if (history.from == history.to) continue;  // confirmed, or no more
    events.push_back({"image.moved",
                      {{"id", records[i]->id.str()},
                       {"from", cluster_json(before[i]->cluster)},
                       {"to", cluster_json(after[i]->cluster)},
                       {"cause", moves_->cause}}});
  }
  SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
  for (Event& event : events) {
    publish_event(std::move(event.topic), std::move(event.body));
  }
  if (page.size() < limit) {
    moves_.reset();
    return true;
  }
  moves_->cursor = page.back();
  return false;
}

Result<bool> ClusterBook::drop_an_old_epoch() {
  SHOAL_TRY(epochs, store_.epochs());
  std::vector<EpochRecord> published;
  std::vector<EpochRecord> held;
  for (const EpochRecord& epoch : epochs) {
    if (epoch.status == EpochStatus::kHeld &&
        !(staging_ && staging_->id() == epoch.id)) {
      held.push_back(epoch);
    }
    // The one before the current stays, however old: it is what a bad run is
    // rolled back to.
    if (epoch.status == EpochStatus::kPublished && epoch.id != current_.id() &&
        epoch.id != current_.record().parent &&
        !(moves_ && moves_->from == epoch.id)) {
      published.push_back(epoch);
    }
  }
  // The current one and its parent count among those kept.
  const std::size_t others =
      static_cast<std::size_t>(std::max(0, options_.keep_epochs - 2));
  const std::size_t most_held =
      static_cast<std::size_t>(std::max(1, options_.keep_epochs));
  if (published.size() <= others && held.size() <= most_held) return true;
  EpochRecord oldest =
      held.size() > most_held ? held.front() : published.front();
  oldest.status = EpochStatus::kDropped;
  auto batch = store_.new_batch();
  batch->put_epoch(oldest);
  batch->drop_epoch_data(oldest.id);
  SHOAL_TRY(commit(std::move(batch), Durability::kBuffered));
  return false;
}

}  // namespace shoal
