#include "daemon/refine/checkpoint_source.h"

#include <algorithm>
#include <cmath>

#include "daemon/book/epoch_state.h"

namespace shoal {
namespace {

constexpr std::size_t kPage = 1024;

}  // namespace

Result<std::unique_ptr<CheckpointSource>> CheckpointSource::open(
    Store& store, const std::vector<std::string>& views) {
  std::unique_ptr<CheckpointSource> source(new CheckpointSource(store));
  const std::vector<ViewKey> known = store.views();
  for (const std::string& view : views) {
    const auto it =
        std::find_if(known.begin(), known.end(),
                     [&](const ViewKey& key) { return key.text() == view; });
    if (it == known.end()) {
      return not_found("the store has no features of view " + view);
    }
    SHOAL_TRY(slot, store.open_view(*it));
    source->slots_.push_back(slot);
    source->inputs_.push_back({view, static_cast<int>(it->dim)});
  }
  SHOAL_TRY(epoch, store.current_epoch());
  for (ImageSeq after;;) {
    SHOAL_TRY(page, store.arrivals(after, kPage));
    SHOAL_TRY(labels, store.labels(epoch, page));
    std::vector<bool> complete(page.size(), true);
    for (const ViewSlot slot : source->slots_) {
      SHOAL_TRY(features, store.features(slot, page));
      for (std::size_t i = 0; i < page.size(); ++i) {
        if (!std::isfinite(features(static_cast<Eigen::Index>(i), 0))) {
          complete[i] = false;
        }
      }
    }
    for (std::size_t i = 0; i < page.size(); ++i) {
      if (!labels[i]) continue;  // pending: the next run's
      if (complete[i]) {
        source->seqs_.push_back(page[i]);
      } else {
        ++source->left_out_;
      }
    }
    if (page.size() < kPage) break;
    after = page.back();
  }
  return source;
}

Result<std::vector<Matrix>> CheckpointSource::read(
    const std::vector<std::size_t>& rows) {
  std::vector<Matrix> all;
  for (std::size_t v = 0; v < slots_.size(); ++v) {
    Matrix features(static_cast<Eigen::Index>(rows.size()), inputs_[v].dim);
    for (std::size_t begin = 0; begin < rows.size(); begin += kPage) {
      const std::size_t end = std::min(rows.size(), begin + kPage);
      std::vector<ImageSeq> seqs;
      for (std::size_t i = begin; i < end; ++i) {
        seqs.push_back(seqs_.at(rows[i]));
      }
      SHOAL_TRY(part, store_.features(slots_[v], seqs));
      if (!part.allFinite()) {
        return corruption("features of view " + inputs_[v].view +
                          " are missing or not finite");
      }
      features.middleRows(static_cast<Eigen::Index>(begin), part.rows()) = part;
    }
    all.push_back(std::move(features));
  }
  return all;
}

Result<std::vector<RowConstraint>> CheckpointSource::constraints() const {
  SHOAL_TRY(epoch, store_.current_epoch());
  ImageSeq learned;
  if (epoch.valid()) {
    SHOAL_TRY(record, store_.epoch(epoch));
    learned = learned_up_to(record);
  }
  std::vector<RowConstraint> constraints;
  constraints.reserve(seqs_.size());
  for (std::size_t begin = 0; begin < seqs_.size(); begin += kPage) {
    const auto first = seqs_.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<ImageSeq> page(
        first, first + static_cast<std::ptrdiff_t>(
                           std::min(kPage, seqs_.size() - begin)));
    SHOAL_TRY(labels, store_.labels(epoch, page));
    SHOAL_TRY(fixed, store_.fixed(page));
    SHOAL_TRY(must_not, store_.must_not(page));
    for (std::size_t i = 0; i < page.size(); ++i) {
      RowConstraint constraint;
      if (fixed[i]) {
        constraint.fixed = fixed[i]->cluster;
        constraint.by_person = fixed[i]->by == FixedBy::kPerson;
      }
      constraint.must_not = must_not[i];
      if (labels[i]) constraint.previous = labels[i]->cluster;
      constraint.learned = !(learned < page[i]);
      constraints.push_back(std::move(constraint));
    }
  }
  return constraints;
}

void CheckpointSource::note_learned(Candidate& candidate) const {
  candidate.scores[kImagesLearned] = static_cast<double>(seqs_.size());
  // Exact: a double holds every number up to 2^53.
  candidate.scores[kLearnedUpTo] =
      seqs_.empty() ? 0.0 : static_cast<double>(seqs_.back().value());
}

Result<EarlierEpoch> CheckpointSource::earlier() const {
  EarlierEpoch earlier;
  SHOAL_TRY(epoch, store_.current_epoch());
  if (!epoch.valid()) return earlier;
  SHOAL_TRY(record, store_.epoch(epoch));
  const auto learned = record.scores.find(kImagesLearned);
  earlier.images = learned == record.scores.end()
                       ? record.images
                       : static_cast<std::uint64_t>(learned->second);
  SHOAL_TRY(clusters, store_.clusters(epoch));
  std::vector<Vector> centroids;
  for (const ClusterRecord& cluster : clusters) {
    if (!cluster.id.valid()) continue;
    earlier.clusters.push_back(cluster.id);
    for (const Prototype& prototype : cluster.prototypes) {
      earlier.centroid_clusters.push_back(cluster.id);
      centroids.push_back(prototype.centroid);
    }
  }
  SHOAL_TRY(bytes, store_.epoch_model(epoch));
  auto model = load_embedding_model(bytes);
  if (!model) {
    return model.error().within("model of epoch " +
                                std::to_string(epoch.value()));
  }
  earlier.model = std::move(model).value();
  earlier.centroids.resize(static_cast<Eigen::Index>(centroids.size()),
                           earlier.model->dim());
  for (std::size_t i = 0; i < centroids.size(); ++i) {
    if (centroids[i].size() != earlier.model->dim()) {
      return corruption("a centroid of epoch " + std::to_string(epoch.value()) +
                        " has another size than its embedding");
    }
    earlier.centroids.row(static_cast<Eigen::Index>(i)) =
        centroids[i].transpose();
  }
  return earlier;
}

}  // namespace shoal
