#pragma once

#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/neighbour_graph.h"
#include "engine/deep/internal/partition.h"

namespace shoal {

/// The directed graph W: W(i, j) = exp(-|x_i - x_j|^2 / sigma^2) for the
/// nearest neighbours j of i, sigma^2 the mean of all these squared distances
/// (all 0: every weight is 1). Value.
struct AffinityGraph {
  int neighbours = 0;         ///< per row
  std::vector<int> index;     ///< (n * neighbours)
  std::vector<float> weight;  ///< (n * neighbours), 0..1
};
[[nodiscard]] AffinityGraph affinity_graph(const NeighbourGraph& graph);

/// Initial clusters: each row follows the first neighbours until it meets a
/// row that has been placed (its group counts), and joins it; after
/// kChainRows rows a chain ends where it is. Where constraints stand against
/// the next step the chain ends too.
inline constexpr int kChainRows = 50;
void join_chains(const NeighbourGraph& graph, Partition& partition);

struct AgglomerationOptions {
  int target = 1;  ///< clusters that are left
  int ranked_neighbours = 5;
  double lambda = 1;
  int lambda_above_clusters = 100;
  bool exact_affinity = false;
  std::function<bool()> cancelled;
};

/// Merges clusters by graph degree linkage. With w(a, k) and w(k, a) the sums
/// of W from a's rows to row k and back,
///   A(a -> b) = 1 / |a|^2 sum over k in b of w(a, k) w(k, a),
///   A(a, b) = A(a -> b) + A(b -> a).
/// The pair that maximises A(a, b1) + lambda / (K_c - 1) * sum over k = 2..K_c
/// of (A(a, b1) - A(a, bk)) merges next, b1, b2.. being the clusters that a
/// may merge with by falling affinity (one that is missing counts 0); ties:
/// lowest ids. After a merge A(c -> a + b) is the sum of both, which is exact,
/// and A(a + b -> c) their mean weighted by sizes, or the definition again with
/// `exact_affinity`. When no cluster has an affinity left, those with the
/// nearest centres merge, one in twenty at a time.
/// @param data  (n, d) the rows from which W was made
/// Errors: kCancelled. Memory O(n neighbours). Time near O(n log n): a merge
/// costs as much as the rows of the merged clusters' neighbours are long.
/// Source: Zhang et al. 2012 (graph degree linkage); Yang et al. 2016.
[[nodiscard]] Result<void> agglomerate(const AffinityGraph& graph,
                                       MatrixView data,
                                       const AgglomerationOptions& options,
                                       Partition& partition);

}  // namespace shoal
