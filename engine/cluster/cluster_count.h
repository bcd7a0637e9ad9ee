#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

struct ClusterCountOptions {
  int min_clusters = 2;
  int max_clusters = 100;
  int max_sample = 2000;  ///< rows used, drawn by the seed
  std::uint64_t seed = 0;
  std::function<bool()> cancelled;
};

struct ClusterCountResult {
  int clusters = 0;
  std::string reason;  ///< one sentence: what was tried and why this won
  /// (k, mean silhouette) for every k tried, ascending.
  std::vector<std::pair<int, double>> silhouettes;
};

/// Estimates the number of clusters: k-means over a widening range of k on a
/// sample, the k with the highest mean silhouette wins (ties: fewer).
/// Errors: kInvalidArgument (fewer than 4 rows), kCancelled. Thread-safe.
[[nodiscard]] Result<ClusterCountResult> estimate_cluster_count(
    MatrixView data, const ClusterCountOptions& options);

}  // namespace shoal
