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

/// DEC: KL(P||Q) alone. IDEC: reconstruction (mean per value) + `weight`
/// KL(P||Q). DCN: reconstruction (squared_l2 per row) + `weight`/2 times the
/// squared_l2 to the own centroid.
enum class EmbeddedMethod { kDec, kIdec, kDcn };

struct EmbeddedOptions {
  EmbeddedMethod method = EmbeddedMethod::kIdec;
  int clusters = 10;
  std::vector<int> hidden = {500, 500, 2000};
  int code = 0;         ///< width of the code; 0: `clusters` (MV section 4.3)
  double weight = 0.1;  ///< gamma of IDEC, lambda of DCN
  int batch = 256;
  double learning_rate = 1e-3;  ///< Adam
  int pretrain_epochs = 0;      ///< 0: as many as make 4,000 updates
  int max_updates = 20'000;     ///< of the second phase
  int target_interval = 140;    ///< updates between renewals of P
  double tolerance = 1e-3;      ///< share of changed labels that ends it
  std::uint64_t seed = 0;
  std::function<bool()> cancelled;
  std::function<void(std::string_view stage, double fraction)> progress;
  /// After each renewal: codes (n, code) and labels (n).
  std::function<void(const Matrix&, const std::vector<int>&)> target_renewed;
};

struct EmbeddedResult {
  std::vector<int> labels;  ///< (n), 0..clusters-1; group g has label g
  Matrix embeddings;        ///< (n, code)
  Matrix centroids;         ///< (clusters, code)
  Mlp encoder;              ///< input row -> code
  int updates = 0;
  double reconstruction = 0;  ///< mean squared error per value at the end
};

/// Clustering in the code of an autoencoder (ALGORITHMS section 4). The data
/// are divided by the root mean square of their values first, as in DEC, and
/// the result's encoder does that, too. The autoencoder is pretrained end to
/// end to reconstruct the data from a copy of which a fifth of the values is
/// zeroed; the published codes pretrain layer by layer before that, which with
/// Adam and this start of the weights gave worse codes in the same time
/// (docs/benchmarks.md). Centroids start by k-means with 20 restarts.
/// Constraints: rows of a group have one-hot targets and keep their label,
/// groups' centroids are seeded at their rows' mean; a forbidden cluster has
/// target 0. Order of the rows: other batches are drawn, so that results agree
/// only where the clusters are clear.
/// @param data  (n, d), finite
/// Errors: kInvalidArgument (n < clusters, a value that is not finite, options
/// out of range, constraints that cannot be kept), kCancelled,
/// kResourceExhausted, kInternal when the loss stops being finite.
/// Deterministic for a seed on one machine and thread count.
/// Cost: time O(updates * batch * weights), memory O(n (d + clusters) +
/// weights). Thread-safe; uses the process's OpenMP and BLAS threads.
/// Source: Xie et al. 2016 (DEC), Guo et al. 2017 (IDEC), Yang et al. 2017
/// (DCN); MV paper sections 3.1 and 4.3, TL paper baseline 9. Departures: DCN
/// counts the rows that k-means gave a centroid, where its code starts at 100;
/// batches are drawn in random order, where IDEC's code goes through in order.
[[nodiscard]] Result<EmbeddedResult> embedded_clustering(
    MatrixView data, const ClusterConstraints& constraints,
    const EmbeddedOptions& options);

}  // namespace shoal
