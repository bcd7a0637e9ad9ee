#include "engine/online/assigner.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/check.h"

namespace shoal {

Assigner::Assigner(const std::vector<Cluster>& clusters) {
  std::size_t prototypes = 0;
  Eigen::Index dim = 0;
  for (const Cluster& cluster : clusters) {
    prototypes += cluster.prototypes.size();
    if (!cluster.prototypes.empty()) {
      dim = cluster.prototypes.front().centroid.size();
    }
  }
  centroids_.resize(static_cast<Eigen::Index>(prototypes), dim);
  for (const Cluster& cluster : clusters) {
    if (cluster.prototypes.empty()) continue;
    for (const Prototype& prototype : cluster.prototypes) {
      SHOAL_CHECK(prototype.centroid.size() == dim,
                  "prototypes of different dimensions");
      centroids_.row(static_cast<Eigen::Index>(prototype_cluster_.size())) =
          prototype.centroid.transpose();
      prototype_cluster_.push_back(static_cast<int>(clusters_.size()));
      thresholds_.push_back(prototype.novelty_threshold);
    }
    clusters_.push_back(cluster.id);
  }
}

Assignment Assigner::assign(const Eigen::Ref<const Vector>& embedding,
                            const std::vector<ClusterId>& forbidden) const {
  Assignment result;
  if (empty()) return result;
  SHOAL_CHECK(embedding.size() == centroids_.cols(),
              "an embedding of another dimension");
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> squared_l2(clusters_.size(), kInfinity);
  std::vector<float> threshold(clusters_.size(), 0.0F);
  for (std::size_t p = 0; p < prototype_cluster_.size(); ++p) {
    const float squared =
        (centroids_.row(static_cast<Eigen::Index>(p)).transpose() - embedding)
            .squaredNorm();
    const auto cluster = static_cast<std::size_t>(prototype_cluster_[p]);
    if (squared < squared_l2[cluster]) {
      squared_l2[cluster] = squared;
      threshold[cluster] = thresholds_[p];
    }
  }
  double all = 0;
  std::size_t nearest = clusters_.size();
  for (std::size_t c = 0; c < clusters_.size(); ++c) {
    all += 1 / (1 + static_cast<double>(squared_l2[c]));
    if (std::find(forbidden.begin(), forbidden.end(), clusters_[c]) !=
        forbidden.end()) {
      continue;
    }
    if (nearest == clusters_.size() || squared_l2[c] < squared_l2[nearest]) {
      nearest = c;
    }
  }
  if (nearest == clusters_.size()) return result;
  result.nearest = clusters_[nearest];
  result.distance = std::sqrt(squared_l2[nearest]);
  const double own = 1 / (1 + static_cast<double>(squared_l2[nearest]));
  // Positive also where q is too small for a float, or no number at all
  // because every distance overflows.
  result.confidence = std::max(std::numeric_limits<float>::min(),
                               static_cast<float>(own / all));
  if (result.distance <= threshold[nearest]) result.cluster = result.nearest;
  return result;
}

std::size_t rows_with_fellows(const Matrix& rows, float radius) {
  std::size_t count = 0;
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const auto near =
        ((rows.rowwise() - rows.row(i)).rowwise().squaredNorm().array() <=
         radius * radius)
            .count();
    if (near - 1 >= kFellows) ++count;  // less the row itself
  }
  return count;
}

}  // namespace shoal
