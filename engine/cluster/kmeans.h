#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

struct KMeansOptions {
  int clusters = 8;
  int restarts = 10;         ///< the lowest inertia wins
  int max_iterations = 300;  ///< Lloyd iterations per restart
  /// Stop when the squared movement of all centroids falls below this share
  /// of the mean variance of the columns (scikit-learn's rule).
  double tolerance = 1e-4;
  std::uint64_t seed = 0;
  /// Per row the cluster that it must stay in, or -1. Empty: none. Clusters
  /// with such rows are seeded at their mean.
  std::vector<int> fixed;
  /// Pairs (row, cluster) that are forbidden; sorted by row not required.
  std::vector<std::pair<int, int>> forbidden;
  /// Asked between iterations; true ends with kCancelled.
  std::function<bool()> cancelled;
};

struct KMeansResult {
  Matrix centroids;         ///< (clusters, d)
  std::vector<int> labels;  ///< (n), 0..clusters-1
  double inertia = 0;       ///< sum of squared_l2 to the own centroid
  int iterations = 0;       ///< of the winning restart
};

/// Lloyd's k-means with k-means++ seeding (greedy, 2 + ln k candidates, as
/// scikit-learn). A cluster that runs empty takes the row farthest from its
/// centroid. Deterministic for a seed.
/// @param data  (n, d), finite
/// Errors: kInvalidArgument when n < clusters, a value is not finite, or the
/// constraints contradict each other; kCancelled.
/// Cost: O(restarts * iterations * n * clusters * d), memory O(n + clusters *
/// d) beside the data. Thread-safe; uses the process's BLAS threads.
/// Source: Arthur & Vassilvitskii 2007; scikit-learn 1.2 KMeans for defaults.
[[nodiscard]] Result<KMeansResult> kmeans(MatrixView data,
                                          const KMeansOptions& options);

/// Per row of `data` the nearest centroid (squared_l2; ties: lowest index).
struct NearestResult {
  std::vector<int> index;
  std::vector<float> squared_l2;
};
[[nodiscard]] NearestResult nearest_centroids(MatrixView data,
                                              MatrixView centroids);

}  // namespace shoal
