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
/// sample; the k with the highest mean silhouette wins, less a price of a
/// tenth of the highest one per e-fold of k (ties: fewer). Without the price a
/// plateau, where clusters only fall into ever finer parts, is followed to its
/// far end; a peak is sharper than the price and stays where it is.
/// At most one cluster fewer than rows is considered.
/// Errors: kInvalidArgument (fewer than 4 rows, options), kCancelled, those of
/// k-means. Thread-safe. Source: Rousseeuw 1987; the price is ours.
[[nodiscard]] Result<ClusterCountResult> estimate_cluster_count(
    MatrixView data, const ClusterCountOptions& options);

}  // namespace shoal
