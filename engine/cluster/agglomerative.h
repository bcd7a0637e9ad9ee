#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

enum class Linkage { kWard, kAverage, kComplete, kSingle };

struct AgglomerativeOptions {
  int clusters = 8;
  Linkage linkage = Linkage::kWard;
  /// Ward and single linkage hold all distances, which is much the faster way,
  /// while these take no more than this (2 GiB: 32,768 rows).
  std::size_t most_distance_bytes = std::size_t{2} << 30;
  /// Asked now and then; true ends with kCancelled.
  std::function<bool()> cancelled;
};

/// One step of the tree. Clusters 0..n-1 are the rows, n + i that of merge i.
struct Merge {
  int a = 0;  ///< a < b
  int b = 0;
  double distance = 0;
};

struct AgglomerativeResult {
  std::vector<int> labels;    ///< (n), 0..clusters-1, numbered by first row
  std::vector<Merge> merges;  ///< n - 1, by rising distance
};

/// Hierarchical clustering by the nearest-neighbour chain, single linkage by a
/// minimum spanning tree, on n (n - 1) / 2 float32 distances. Beyond
/// `most_distance_bytes` of them ward works on centroids and single linkage on
/// the rows, in O(n d) memory; agglomerative_on_graph is faster for that many.
/// @param data  (n, d), finite; Euclidean distance
/// Errors: kInvalidArgument (n < clusters, not finite), kCancelled,
/// kResourceExhausted when the distances do not fit in memory.
/// Cost: O(n^2 d). Thread-safe. Source: Murtagh 1983; scikit-learn 1.2 for
/// the definitions and the meaning of the distances.
[[nodiscard]] Result<AgglomerativeResult> agglomerative(
    MatrixView data, const AgglomerativeOptions& options);

/// The same on distances; not ward (kInvalidArgument).
/// @param distances  (n, n), symmetric, >= 0, zero diagonal; working copy
[[nodiscard]] Result<AgglomerativeResult> agglomerative_on_distances(
    Matrix distances, const AgglomerativeOptions& options);

/// For large n: only clusters joined by an edge of the symmetrised graph of
/// the `neighbours` nearest neighbours may merge. Average, complete and single
/// linkage count only the graph's edges, ward the centroids. When no edge is
/// left, the parts are joined by the nearest neighbours of their centroids,
/// with the centroids' distance for all linkages but ward. The merges come in
/// the order made; where one lies below an earlier one (a part's may, and
/// ward's on a graph), it is given the earlier one's distance.
/// @param neighbours  at least 1; at most n - 1 are used
/// Memory O(n d + n neighbours). Errors: those of agglomerative.
[[nodiscard]] Result<AgglomerativeResult> agglomerative_on_graph(
    MatrixView data, int neighbours, const AgglomerativeOptions& options);

}  // namespace shoal
