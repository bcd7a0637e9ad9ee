#include "daemon/book/epoch_state.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/check.h"

namespace shoal {

ImageSeq learned_up_to(const EpochRecord& epoch) {
  const auto known = epoch.scores.find(kLearnedUpTo);
  if (known == epoch.scores.end()) return epoch.low_water;
  return ImageSeq(static_cast<std::uint64_t>(known->second));
}

Result<EpochState> EpochState::load(const Store& store, EpochId epoch) {
  EpochState state(EpochRecord{}, nullptr);
  if (epoch.valid()) {
    SHOAL_TRY(record, store.epoch(epoch));
    SHOAL_TRY(bytes, store.epoch_model(epoch));
    auto model = load_embedding_model(bytes);
    if (!model) {
      return model.error().within("model of epoch " +
                                  std::to_string(epoch.value()));
    }
    state = EpochState(record, std::move(model).value());
  }
  SHOAL_TRY(clusters, store.clusters(epoch));
  for (auto& cluster : clusters) {
    if (cluster.id.valid()) {
      state.clusters_[cluster.id] = std::move(cluster);
    } else {
      state.pool_ = std::move(cluster);
    }
  }
  return state;
}

EpochState::EpochState(EpochRecord record,
                       std::shared_ptr<const EmbeddingModel> model)
    : record_(std::move(record)), model_(std::move(model)) {}

std::uint64_t EpochState::confirmed() const {
  std::uint64_t sum = 0;
  for (const auto& [id, cluster] : clusters_) sum += cluster.confirmed;
  return sum;
}

void EpochState::set_prototypes(ClusterId cluster, EpochId born,
                                std::vector<Prototype> prototypes) {
  SHOAL_CHECK(cluster.valid(), "the pool has no prototypes");
  ClusterRecord& record = clusters_[cluster];
  if (!record.id.valid()) {
    record.id = cluster;
    record.born_epoch = born;
  }
  record.prototypes = std::move(prototypes);
  touched_.insert(cluster);
  assigner_.reset();
}

void EpochState::erase_cluster(ClusterId cluster, StoreBatch& batch) {
  const auto it = clusters_.find(cluster);
  SHOAL_CHECK(it != clusters_.end() && it->second.size == 0,
              "only an empty cluster can be taken out");
  clusters_.erase(it);
  touched_.erase(cluster);
  batch.remove_cluster(record_.id, cluster);
  assigner_.reset();
}

Label EpochState::assign(const Eigen::Ref<const Vector>& embedding,
                         const std::vector<ClusterId>& must_not) {
  if (!assigner_) {
    std::vector<Assigner::Cluster> clusters;
    clusters.reserve(clusters_.size());
    for (const auto& [id, record] : clusters_) {
      clusters.push_back({id, record.prototypes});
    }
    assigner_.emplace(clusters);
  }
  if (assigner_->empty()) return Label{};
  const Assignment found = assigner_->assign(embedding, must_not);
  Label label;
  label.cluster = found.cluster;
  label.state =
      found.cluster.valid() ? LabelState::kAssigned : LabelState::kUnassigned;
  label.confidence = found.confidence;
  label.distance = found.distance;
  return label;
}

Label EpochState::confirmed_label(
    ClusterId cluster, const std::optional<Vector>& embedding) const {
  Label label;
  label.cluster = cluster;
  label.state = LabelState::kConfirmed;
  label.confidence = 1;
  const auto it = clusters_.find(cluster);
  if (embedding && it != clusters_.end()) {
    float nearest = std::numeric_limits<float>::infinity();
    for (const Prototype& prototype : it->second.prototypes) {
      nearest = std::min(nearest, (*embedding - prototype.centroid).norm());
    }
    if (!it->second.prototypes.empty()) label.distance = nearest;
  }
  return label;
}

void EpochState::put_label(StoreBatch& batch, ImageSeq seq,
                           const std::optional<Label>& before,
                           const Label& after) {
  SHOAL_CHECK(!after.cluster.valid() || has_cluster(after.cluster),
              "a label names a cluster of its epoch");
  if (before) count(*before, -1);
  count(after, +1);
  batch.put_label(record_.id, seq, before, after);
}

void EpochState::remove_label(StoreBatch& batch, ImageSeq seq,
                              const Label& before) {
  count(before, -1);
  batch.remove_label(record_.id, seq, before);
}

void EpochState::write_clusters(StoreBatch& batch) {
  for (const ClusterId id : touched_) {
    batch.put_cluster(record_.id, id.valid() ? clusters_.at(id) : pool_);
  }
  touched_.clear();
}

void EpochState::touch_all() {
  touched_.insert(ClusterId{});
  for (const auto& [id, cluster] : clusters_) touched_.insert(id);
}

void EpochState::count(const Label& label, std::int64_t by) {
  ClusterRecord& record =
      label.cluster.valid() ? clusters_.at(label.cluster) : pool_;
  record.size += static_cast<std::uint64_t>(by);
  if (label.state == LabelState::kConfirmed) {
    record.confirmed += static_cast<std::uint64_t>(by);
  }
  touched_.insert(label.cluster);
}

}  // namespace shoal
