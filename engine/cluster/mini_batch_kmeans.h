#pragma once

#include <cstdint>
#include <functional>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/kmeans.h"

namespace shoal {

struct MiniBatchKMeansOptions {
  int clusters = 8;
  int batch_rows = 4096;
  /// Times that every row is drawn, at most.
  int max_passes = 10;
  std::uint64_t seed = 0;
  /// Asked before each batch; true ends with kCancelled.
  std::function<bool()> cancelled;
};

/// K-means for data too large for passes over everything. The centroids start
/// from k-means on a sample and follow random batches, each with the step
/// 1 / (rows that it has had); one that a long stretch of rows never chose is
/// set on a far row. It ends when the batches' inertia no longer falls. Then
/// two passes over all rows set the centroids to their members' mean and give
/// the labels. Constraints: see kmeans.
/// @param data  (n, d), finite
/// @return iterations: batches used; fewer clusters have members only where
///   the data have fewer different rows
/// Errors: kInvalidArgument (n < clusters, a value not finite, options),
/// kCancelled. Memory O(n + (batch_rows + clusters) d) beside the data.
/// Deterministic for a seed. Thread-safe; uses the process's BLAS threads.
/// Source: Sculley 2010; scikit-learn 1.2 MiniBatchKMeans for the stop.
[[nodiscard]] Result<KMeansResult> mini_batch_kmeans(
    MatrixView data, const MiniBatchKMeansOptions& options);

}  // namespace shoal
