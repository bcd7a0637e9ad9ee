#include "engine/refine/internal/outcome.h"

#include <algorithm>
#include <cmath>

#include "engine/score/distances.h"
#include "engine/score/sampling.h"
#include "engine/score/scores.h"

namespace shoal {
namespace {

/// Rows that the silhouette is taken over.
constexpr int kScoreSample = 2000;

/// The smallest of `values` that at least a share `quantile` does not exceed.
float quantile_of(std::vector<float> values, double quantile) {
  const auto n = static_cast<double>(values.size());
  const auto rank = static_cast<std::size_t>(
      std::clamp(std::ceil(quantile * n) - 1, 0.0, n - 1));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

void measure_rows(const MethodResult& result, Candidate& candidate) {
  const Matrix& z = result.embeddings;
  const Vector origin = mean_row(z);
  const Vector norms = squared_norms(z, origin);
  const PointDistances distances(result.centroids, origin);
  Matrix block(std::min(PointDistances::kBlockRows, z.rows()),
               result.centroids.rows());
  for (Eigen::Index start = 0; start < z.rows(); start += block.rows()) {
    const Eigen::Index count = std::min(block.rows(), z.rows() - start);
    auto head = block.topRows(count);
    distances.measure(z.middleRows(start, count), norms.segment(start, count),
                      head);
    for (Eigen::Index i = 0; i < count; ++i) {
      const int label = result.labels[static_cast<std::size_t>(start + i)];
      if (label < 0) {
        candidate.distances.push_back(std::sqrt(head.row(i).minCoeff()));
        candidate.confidences.push_back(0);
        continue;
      }
      // Exactly, as the assigner does it: the product's rounding would matter
      // for images on their centroid.
      const float own =
          (z.row(start + i) - result.centroids.row(label)).squaredNorm();
      head(i, label) = own;
      const float all = (1 + head.row(i).array()).inverse().sum();
      candidate.distances.push_back(std::sqrt(own));
      candidate.confidences.push_back(std::min(1.0F, 1 / (1 + own) / all));
    }
  }
}

std::vector<float> find_thresholds(
    const std::vector<RowConstraint>& constraints, const Candidate& candidate,
    std::size_t clusters, const RefinementOptions& options) {
  std::vector<std::vector<float>> members(clusters);
  std::vector<std::vector<float>> chosen(clusters);
  std::vector<float> all;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    if (candidate.labels[i] < 0) continue;
    const auto label = static_cast<std::size_t>(candidate.labels[i]);
    all.push_back(candidate.distances[i]);
    members[label].push_back(candidate.distances[i]);
    if (constraints[i].fixed.valid() && constraints[i].by_person) {
      chosen[label].push_back(candidate.distances[i]);
    }
  }
  std::vector<float> thresholds(clusters, 0.0F);
  if (all.empty()) return thresholds;
  const float overall = quantile_of(all, options.novelty_quantile);
  for (std::size_t c = 0; c < clusters; ++c) {
    float radius = overall;
    if (chosen[c].size() >= kMinThresholdMembers) {
      radius = quantile_of(chosen[c], options.novelty_quantile);
    } else if (members[c].size() >= kMinThresholdMembers) {
      radius = quantile_of(members[c], options.novelty_quantile);
    }
    thresholds[c] = std::max(radius, overall / 10) *
                    static_cast<float>(options.novelty_slack);
  }
  return thresholds;
}

double find_churn(const std::vector<RowConstraint>& constraints,
                  const Candidate& candidate, bool learned_only) {
  std::size_t free = 0;
  std::size_t moved = 0;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    if (constraints[i].fixed.valid() || !constraints[i].previous.valid() ||
        (learned_only && !constraints[i].learned)) {
      continue;
    }
    ++free;
    const int label = candidate.labels[i];
    if (label < 0 || candidate.clusters[static_cast<std::size_t>(label)].id !=
                         constraints[i].previous) {
      ++moved;
    }
  }
  return free == 0 ? 0 : static_cast<double>(moved) / static_cast<double>(free);
}

Result<void> add_embedding_scores(std::uint64_t seed, Candidate& candidate) {
  double inertia = 0;
  for (std::size_t i = 0; i < candidate.labels.size(); ++i) {
    if (candidate.labels[i] < 0) continue;
    inertia += static_cast<double>(candidate.distances[i]) *
               static_cast<double>(candidate.distances[i]);
  }
  candidate.scores["inertia"] = inertia;
  std::vector<std::size_t> rows;
  std::vector<int> labels;
  for (const std::size_t row : sample_without_replacement(
           candidate.labels.size(), kScoreSample, seed)) {
    if (candidate.labels[row] < 0) continue;
    rows.push_back(row);
    labels.push_back(candidate.labels[row]);
  }
  if (rows.empty()) return ok();
  SHOAL_TRY(value,
            silhouette(take_rows(candidate.embeddings, rows), labels, 0, 0));
  candidate.scores["silhouette"] = value;
  return ok();
}

void add_changes(const std::vector<RowConstraint>& constraints,
                 Candidate& candidate) {
  std::size_t moved = 0;
  std::size_t placed = 0;
  std::size_t to_pool = 0;
  std::size_t confirmed = 0;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const ClusterId before = constraints[i].previous;
    const int label = candidate.labels[i];
    if (candidate.confirmed[i] != 0) ++confirmed;
    if (label < 0) {
      if (before.valid()) ++to_pool;
    } else if (!before.valid()) {
      ++placed;
    } else if (candidate.clusters[static_cast<std::size_t>(label)].id !=
               before) {
      ++moved;
    }
  }
  std::size_t born = 0;
  std::size_t split = 0;
  std::size_t merged = 0;
  for (const CandidateCluster& cluster : candidate.clusters) {
    if (cluster.id.valid()) continue;
    ++(cluster.parents.empty() ? born : split);
  }
  for (const auto& [id, heirs] : candidate.ended) {
    if (!heirs.empty()) ++merged;
  }
  const auto add = [&](const char* name, std::size_t value) {
    candidate.scores[name] = static_cast<double>(value);
  };
  add("images_moved", moved);
  add("images_placed", placed);
  add("images_to_pool", to_pool);
  add("images_confirmed", confirmed);
  add("clusters_born", born);
  add("clusters_split_off", split);
  add("clusters_merged", merged);
  add("clusters_retired", candidate.ended.size() - merged);
}

}  // namespace shoal
