#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/constraints.h"
#include "engine/deep/embedded_clustering.h"
#include "engine/deep/jule.h"
#include "engine/deep/mlp.h"

namespace shoal {

/// MVnet: an MLP per view, their outputs side by side, an MLP over them (MV
/// paper section 3.2). Value.
struct MultiViewNet {
  std::vector<Mlp> branches;  ///< per view, input row -> 160
  Mlp out;                    ///< 160 m -> 160

  /// @param views  per view (n, its dim)
  /// @return (n, 160). Thread-safe.
  [[nodiscard]] Matrix run(const std::vector<Matrix>& views) const;
};

enum class DeepClusterer { kJule, kIdec };

/// A view's own clustering: what initialises its branch.
struct PretrainedView {
  Mlp net;                  ///< input row -> embedding
  Matrix embeddings;        ///< (n, width)
  std::vector<int> labels;  ///< (n)
};

struct MultiViewOptions {
  int clusters = 10;
  /// What pretrains the branches and the output net.
  DeepClusterer clusterer = DeepClusterer::kJule;
  /// Refine all of MVnet end to end inside JULE (DMVC); else the pretrained
  /// net's labels are the result (DMVC-fix).
  bool joint = true;
  double joint_learning_rate = 0.05;
  JuleOptions jule;          ///< `clusters`, `seed` and callbacks are set here
  EmbeddedOptions embedded;  ///< likewise
  std::uint64_t seed = 0;
  /// Per view what an earlier call with the same views and clusterer gave, or
  /// the clusterer itself; empty: made here.
  std::vector<PretrainedView> pretrained;
  /// Where one view's clustering is kept by who may be cut off: asked for
  /// before it is made, told when it is.
  std::function<std::optional<PretrainedView>(std::size_t view)> find_view;
  std::function<void(std::size_t view, const PretrainedView&)> view_done;
  std::function<bool()> cancelled;
  std::function<void(std::string_view stage, double fraction)> progress;
  /// After each period of the joint refinement: z (n, width), labels (n).
  std::function<void(const Matrix&, const std::vector<int>&)> step_done;
};

struct MultiViewResult {
  std::vector<int> labels;  ///< (n), 0..clusters-1; group g has label g
  Matrix embeddings;        ///< (n, 160)
  MultiViewNet net;
  /// Per view, what its own clustering gave: also the partitions that an
  /// ensemble or an agreement gate needs.
  std::vector<PretrainedView> views;
};

/// Deep multi-view clustering: each branch pretrained on its view by the deep
/// clusterer, the output net on the branches' outputs, then all refined
/// together (ALGORITHMS section 5).
/// @param views  per view (n, d), finite, the same n; at least one
/// Errors: kInvalidArgument, kCancelled, kResourceExhausted, kInternal.
/// Deterministic for a seed on one machine and thread count.
/// Source: MV paper sections 3.2, 4.2 and 4.3.
[[nodiscard]] Result<MultiViewResult> multi_view_clustering(
    const std::vector<Matrix>& views, const ClusterConstraints& constraints,
    const MultiViewOptions& options);

}  // namespace shoal
