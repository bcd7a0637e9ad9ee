#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/constraints.h"
#include "engine/deep/mlp.h"

namespace shoal {

struct JuleOptions {
  int clusters = 10;
  std::vector<int> hidden = {160, 160};  ///< widths; the last is z's
  int neighbours = 20;                   ///< K_s
  int ranked_neighbours = 5;             ///< K_c of step 4
  double lambda = 1;
  int lambda_above_clusters = 100;  ///< step 4's second term only above this
  double unroll = 0.9;              ///< eta
  /// A(a+b -> c) as defined, not combined by sizes. The combination keeps thin
  /// links between large clusters alive and costs accuracy, not time
  /// (docs/benchmarks.md).
  bool exact_affinity = true;
  int epochs = 20;  ///< per period
  double margin = 0.2;
  double gamma = 1;
  int negatives = 20;  ///< per positive pair
  int batch = 100;
  double learning_rate = 0.01;
  double momentum = 0.9;
  double weight_decay = 5e-5;
  std::uint64_t seed = 0;
  std::function<bool()> cancelled;
  /// @param stage  a word or two; @param fraction  of the whole, 0..1
  std::function<void(std::string_view stage, double fraction)> progress;
  /// After each period: z (n, width) and labels (n).
  std::function<void(const Matrix&, const std::vector<int>&)> period_done;
};

struct JuleResult {
  std::vector<int> labels;  ///< (n), 0..clusters-1; group g has label g
  Matrix embeddings;        ///< (n, width): z
  Mlp net;                  ///< input row -> z
  int periods = 0;
};

/// Joint unsupervised learning on vectors (ALGORITHMS section 3): merging on
/// a sparse affinity graph in turn with training on a triplet loss.
/// Deterministic for a seed on one machine and thread count.
/// Weights start with a standard deviation of 0.01; t of the learning rate's
/// decay counts iterations over all periods. Beyond the source: the gradient
/// is limited to length 1, and half of a batch are anchors, the other half
/// rows drawn from the anchors' clusters.
/// Permuting the rows permutes the merging (up to ties and chains that are
/// cut), but not the random numbers: on data without clear clusters the result
/// may differ.
/// @param data  (n, d), finite; rows longer than 1 are scaled to length 1, also
///   by `net`
/// Errors: kInvalidArgument (options, fewer rows than clusters, values that
/// are not finite, constraints, a learning rate at which the net runs away),
/// kCancelled, kResourceExhausted.
/// Cost: memory O(n (d + neighbours)), time O(n^2 d) for the neighbours of the
/// first period. Thread: one run at a time per process is what the thread
/// settings are made for; calls share no state.
/// Source: Yang, Parikh, Batra 2016 (arXiv:1604.03628); Zhang et al. 2012
/// (graph degree linkage); MV paper sections 3.1 and 4.3.
[[nodiscard]] Result<JuleResult> jule(MatrixView data,
                                      const ClusterConstraints& constraints,
                                      const JuleOptions& options);

}  // namespace shoal
