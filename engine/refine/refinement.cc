#include "engine/refine/refinement.h"

#include <algorithm>
#include <cmath>

#include "engine/refine/cluster_identity.h"
#include "engine/refine/internal/deep_method.h"
#include "engine/refine/internal/kmeans_method.h"
#include "engine/refine/internal/training.h"
#include "engine/score/distances.h"
#include "engine/score/sampling.h"
#include "engine/score/scores.h"

namespace shoal {
namespace {

/// Rows that the silhouette is taken over.
constexpr int kScoreSample = 2000;
/// Share of the run that the method takes, as progress tells it.
constexpr double kLearnEnd = 0.9;

bool contains(const std::vector<ClusterId>& ids, ClusterId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

Result<void> check_request(std::size_t rows,
                           const std::vector<RowConstraint>& constraints,
                           const RefinementOptions& options) {
  if (constraints.size() != rows) {
    return invalid_argument(std::to_string(constraints.size()) +
                            " constraints for " + std::to_string(rows) +
                            " images");
  }
  const int needed = std::max(2, options.clusters);
  if (rows < static_cast<std::size_t>(needed)) {
    return invalid_argument(std::to_string(rows) + " images are too few: " +
                            std::to_string(needed) + " are needed");
  }
  if (options.clusters < 0 || options.max_clusters < 1 ||
      options.embedding_dim < 1 || options.max_train_images < needed ||
      !(options.novelty_quantile > 0) || options.novelty_quantile > 1 ||
      !(options.novelty_slack > 0) || !(options.confirmation.share >= 0) ||
      options.confirmation.share > 1 ||
      !(options.confirmation.min_agreement >= 0) ||
      options.confirmation.min_agreement > 1) {
    return invalid_argument("refinement options are out of range");
  }
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const RowConstraint& row = constraints[i];
    if (row.fixed.valid() && contains(row.must_not, row.fixed)) {
      return invalid_argument(
          "image " + std::to_string(i) + " is fixed in cluster " +
          std::to_string(row.fixed.value()) + " and forbidden there");
    }
  }
  return ok();
}

MethodInput describe(FeatureSource& features, const RefinementOptions& options,
                     const std::vector<RowConstraint>& constraints) {
  MethodInput input{features, options, {}, 0, {}, {}};
  std::map<ClusterId, int> groups;
  std::map<ClusterId, int> strata;
  for (const RowConstraint& row : constraints) {
    if (row.fixed.valid()) groups.emplace(row.fixed, 0);
    strata.emplace(row.previous, 0);
  }
  for (auto& [id, group] : groups) group = input.groups++;
  int stratum_count = 0;
  for (auto& [id, stratum] : strata) stratum = stratum_count++;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const RowConstraint& row = constraints[i];
    input.must_link.push_back(row.fixed.valid() ? groups.at(row.fixed) : -1);
    input.strata.push_back(strata.at(row.previous));
    for (const ClusterId id : row.must_not) {
      const auto group = groups.find(id);
      if (group != groups.end()) {
        input.forbidden.emplace_back(static_cast<int>(i), group->second);
      }
    }
  }
  return input;
}

/// A method is other people's code: what it gives is checked once, here.
Result<void> check_result(const MethodResult& result, std::size_t rows) {
  const bool fits =
      result.model != nullptr && result.centroids.rows() > 0 &&
      result.centroids.cols() == result.model->dim() &&
      result.embeddings.cols() == result.model->dim() &&
      result.embeddings.rows() == static_cast<Eigen::Index>(rows) &&
      (result.agreement.empty() || result.agreement.size() == rows) &&
      result.labels.size() == rows &&
      std::all_of(result.labels.begin(), result.labels.end(), [&](int label) {
        return label >= -1 && label < result.centroids.rows();
      });
  if (!fits) return internal_error("the method's result has another shape");
  if (!result.centroids.allFinite() || !result.embeddings.allFinite()) {
    return internal_error(
        "the method's result holds values that are not "
        "finite");
  }
  return ok();
}

/// Moves every image that a person ruled out of its cluster to the nearest one
/// where it may be, or to the pool.
void keep_must_not(const std::vector<RowConstraint>& constraints,
                   const std::vector<ClusterId>& continues,
                   MethodResult& result) {
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const std::vector<ClusterId>& must_not = constraints[i].must_not;
    if (must_not.empty() || result.labels[i] < 0) continue;
    const auto allowed = [&](int cluster) {
      return !contains(must_not, continues[static_cast<std::size_t>(cluster)]);
    };
    if (allowed(result.labels[i])) continue;
    result.labels[i] = nearest_allowed(
        result.embeddings.row(static_cast<Eigen::Index>(i)).transpose(),
        result.centroids, allowed);
  }
}

/// Takes clusters without images away from the result and its identity.
void drop_empty_clusters(MethodResult& result, IdentityResult& identity) {
  const auto k = static_cast<std::size_t>(result.centroids.rows());
  std::vector<bool> used(k, false);
  for (const int label : result.labels) {
    if (label >= 0) used[static_cast<std::size_t>(label)] = true;
  }
  std::vector<int> position(k, -1);
  std::size_t kept = 0;
  for (std::size_t c = 0; c < k; ++c) {
    if (!used[c]) {
      const ClusterId id = identity.continues[c];
      if (id.valid()) identity.ended[id] = {};
      continue;
    }
    position[c] = static_cast<int>(kept);
    result.centroids.row(static_cast<Eigen::Index>(kept)) =
        result.centroids.row(static_cast<Eigen::Index>(c));
    identity.continues[kept] = identity.continues[c];
    identity.parents[kept] = identity.parents[c];
    ++kept;
  }
  result.centroids.conservativeResize(static_cast<Eigen::Index>(kept),
                                      Eigen::NoChange);
  identity.continues.resize(kept);
  identity.parents.resize(kept);
  for (int& label : result.labels) {
    if (label >= 0) label = position[static_cast<std::size_t>(label)];
  }
  for (auto& [id, heirs] : identity.ended) {
    std::vector<std::size_t> renamed;
    for (const std::size_t heir : heirs) {
      if (position[heir] >= 0) {
        renamed.push_back(static_cast<std::size_t>(position[heir]));
      }
    }
    heirs = std::move(renamed);
  }
}

/// Distance to the own centroid and Student-t confidence of every row. A row
/// in the pool has the distance of the nearest centroid and confidence 0.
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

/// The smallest of `values` that at least a share `quantile` does not exceed.
float quantile_of(std::vector<float> values, double quantile) {
  const auto n = static_cast<double>(values.size());
  const auto rank = static_cast<std::size_t>(
      std::clamp(std::ceil(quantile * n) - 1, 0.0, n - 1));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// Novelty threshold of every cluster.
std::vector<float> find_thresholds(
    const std::vector<RowConstraint>& constraints, const Candidate& candidate,
    std::size_t clusters, const RefinementOptions& options) {
  std::vector<std::vector<float>> members(clusters);
  std::vector<std::vector<float>> fixed(clusters);
  std::vector<float> all;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    if (candidate.labels[i] < 0) continue;
    const auto label = static_cast<std::size_t>(candidate.labels[i]);
    all.push_back(candidate.distances[i]);
    members[label].push_back(candidate.distances[i]);
    if (constraints[i].fixed.valid()) {
      fixed[label].push_back(candidate.distances[i]);
    }
  }
  std::vector<float> thresholds(clusters, 0.0F);
  if (all.empty()) return thresholds;
  const float overall = quantile_of(all, options.novelty_quantile);
  for (std::size_t c = 0; c < clusters; ++c) {
    float radius = overall;
    if (fixed[c].size() >= kMinThresholdMembers) {
      radius = quantile_of(fixed[c], options.novelty_quantile);
    } else if (members[c].size() >= kMinThresholdMembers) {
      radius = quantile_of(members[c], options.novelty_quantile);
    }
    thresholds[c] = std::max(radius, overall / 10) *
                    static_cast<float>(options.novelty_slack);
  }
  return thresholds;
}

double find_churn(const std::vector<RowConstraint>& constraints,
                  const Candidate& candidate) {
  std::size_t free = 0;
  std::size_t moved = 0;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    if (constraints[i].fixed.valid() || !constraints[i].previous.valid()) {
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

Result<std::map<std::string, double>> find_scores(const Candidate& candidate,
                                                  std::uint64_t seed) {
  std::map<std::string, double> scores;
  double inertia = 0;
  for (std::size_t i = 0; i < candidate.labels.size(); ++i) {
    if (candidate.labels[i] < 0) continue;
    inertia += static_cast<double>(candidate.distances[i]) *
               static_cast<double>(candidate.distances[i]);
  }
  scores["inertia"] = inertia;
  std::vector<std::size_t> rows;
  std::vector<int> labels;
  for (const std::size_t row : sample_without_replacement(
           candidate.labels.size(), kScoreSample, seed)) {
    if (candidate.labels[row] < 0) continue;
    rows.push_back(row);
    labels.push_back(candidate.labels[row]);
  }
  if (rows.empty()) return scores;
  SHOAL_TRY(value,
            silhouette(take_rows(candidate.embeddings, rows), labels, 0, 0));
  scores["silhouette"] = value;
  return scores;
}

}  // namespace

Result<std::unique_ptr<RefinementMethod>> make_refinement_method(
    std::string_view name) {
  if (name == "km") {
    return std::unique_ptr<RefinementMethod>(std::make_unique<KMeansMethod>());
  }
  std::string known = "km";
  for (const DeepMethod::Recipe& recipe : DeepMethod::recipes()) {
    if (name == recipe.name) {
      return std::unique_ptr<RefinementMethod>(
          std::make_unique<DeepMethod>(recipe));
    }
    known += ", " + std::string(recipe.name);
  }
  return not_found("no refinement method is called '" + std::string(name) +
                   "'; there is: " + known);
}

Result<Candidate> run_refinement(const RefinementMethod& method,
                                 FeatureSource& features,
                                 const std::vector<RowConstraint>& constraints,
                                 const std::vector<ClusterId>& known,
                                 const RefinementOptions& options,
                                 const RunControl& control) {
  SHOAL_TRY(check_request(features.size(), constraints, options));
  RunControl learning = control;
  if (control.progress) {
    learning.progress = [&](std::string_view stage, double fraction) {
      control.progress(stage, kLearnEnd * fraction);
    };
  }
  SHOAL_TRY(result,
            method.learn(describe(features, options, constraints), learning));
  SHOAL_TRY(check_result(result, constraints.size()));
  if (is_cancelled(control)) return run_cancelled();

  std::vector<ClusterId> previous;
  std::vector<ClusterId> fixed;
  for (const RowConstraint& row : constraints) {
    previous.push_back(row.previous);
    fixed.push_back(row.fixed);
  }
  IdentityResult identity =
      match_clusters(result.labels, static_cast<int>(result.centroids.rows()),
                     previous, fixed);
  keep_must_not(constraints, identity.continues, result);
  drop_empty_clusters(result, identity);
  report(control, "match", 0.92);

  Candidate candidate;
  candidate.method = std::string(method.name());
  candidate.note = std::move(result.note);
  candidate.labels = result.labels;
  measure_rows(result, candidate);
  const auto clusters = static_cast<std::size_t>(result.centroids.rows());
  const std::vector<float> thresholds =
      find_thresholds(constraints, candidate, clusters, options);
  for (std::size_t c = 0; c < clusters; ++c) {
    CandidateCluster cluster;
    cluster.id = identity.continues[c];
    cluster.prototypes.push_back(
        {result.centroids.row(static_cast<Eigen::Index>(c)).transpose(),
         thresholds[c]});
    if (!cluster.id.valid()) cluster.parents = std::move(identity.parents[c]);
    candidate.clusters.push_back(std::move(cluster));
  }
  candidate.ended = std::move(identity.ended);
  for (const ClusterId id : known) {
    if (!contains(identity.continues, id)) candidate.ended.try_emplace(id);
  }
  std::vector<bool> settled;
  for (const RowConstraint& row : constraints) {
    settled.push_back(row.fixed.valid());
  }
  candidate.confirmed =
      choose_confirmed({candidate.labels, candidate.distances, result.agreement,
                        settled, result.embeddings, static_cast<int>(clusters)},
                       options.confirmation);
  candidate.model = std::move(result.model);
  candidate.embeddings = std::move(result.embeddings);
  candidate.churn = find_churn(constraints, candidate);
  SHOAL_TRY(scores, find_scores(candidate, options.seed));
  candidate.scores = std::move(scores);
  report(control, "score", 1);
  return candidate;
}

}  // namespace shoal
