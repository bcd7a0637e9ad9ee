#pragma once

#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

/// CC's input: each view's rows L2-normalised (rows of zeros stay), side by
/// side, so that no view outweighs another.
/// @param views  each (n, d_v), finite
/// @return (n, sum of d_v)
/// Errors: kInvalidArgument (no view, unequal n, a value not finite).
/// Source: MV section 3.2.
[[nodiscard]] Result<Matrix> concatenate_views(
    const std::vector<Matrix>& views);

/// MVEC: average linkage on one minus the share of partitions in which two
/// rows are together. Rows with the same labels everywhere count as one point
/// of that weight, so what limits n is how many different combinations of
/// labels occur: u (u - 1) / 2 float32 (10,000: 200 MB). Distances take few
/// values; ties are broken by the rows' order.
/// @param partitions  each (n), any integers as labels
/// @return (n) 0..clusters-1, numbered by first row; fewer clusters where
///   fewer combinations than `clusters` occur
/// Errors: kInvalidArgument (no partition, unequal n, n < clusters),
/// kResourceExhausted, kCancelled. Cost O(u^2 partitions). Thread-safe.
/// Source: MV section 3.2; Fred & Jain 2005.
[[nodiscard]] Result<std::vector<int>> ensemble_clusters(
    const std::vector<std::vector<int>>& partitions, int clusters,
    const std::function<bool()>& cancelled = {});

/// How far the partitions back a row's place: for each row the share of
/// partitions in which it is together with another member of its cluster,
/// averaged over those members. 0 for a cluster of one, which none backs.
/// @param labels  (n) the clusters
/// @return (n) 0..1
/// Errors: kInvalidArgument (no partition, unequal n).
[[nodiscard]] Result<std::vector<float>> agreement_with_cluster(
    const std::vector<std::vector<int>>& partitions,
    const std::vector<int>& labels);

}  // namespace shoal
