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

/// What one way of counting says.
struct ClusterCountEstimate {
  std::string method;  ///< "silhouette", "eigengap" or "agreement"
  int clusters = 0;
  /// (k, the method's score) for every k tried, ascending; the highest wins,
  /// for the silhouette less its price.
  std::vector<std::pair<int, double>> scores;
};

struct ClusterCountConsensus {
  int clusters = 0;
  std::string reason;  ///< one sentence: what each way said, which was taken
  std::vector<ClusterCountEstimate> estimates;
};

/// Estimates the number of clusters from one or several views of the same
/// rows, in three ways:
/// - silhouette: the estimate above, on the views side by side;
/// - eigengap: the k after whose eigenvalue that of the normalised Laplacian
///   of the graph of 10 nearest neighbours grows most, as a ratio (the
///   difference is drawn to large k where clusters are rings);
/// - agreement, with 2 views or more: the k at which k-means finds most alike
///   partitions in the single views (mean pairwise ARI; ties: fewer).
/// The median of the three is taken. With one view the smaller of the two is:
/// on real features each erred towards many. All on a sample, each view
/// L2-normalised, and projected on its first 64 principal components where
/// k-means runs.
/// @param views  each (n, d_v), finite
/// Errors: as above; also kInvalidArgument for no view, unequal n or a value
/// that is not finite. Thread-safe. Source: von Luxburg 2007 (eigengap); the
/// agreement of views and the choice are ours.
[[nodiscard]] Result<ClusterCountConsensus> estimate_cluster_count(
    const std::vector<Matrix>& views, const ClusterCountOptions& options);

}  // namespace shoal
