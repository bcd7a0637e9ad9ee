#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <ATen/core/Tensor.h>

#include "common/result.h"
#include "engine/transfer/internal/frozen_part.h"
#include "engine/transfer/internal/softmax_head.h"
#include "engine/transfer/internal/split.h"
#include "engine/transfer/internal/trained_part.h"
#include "engine/transfer/net_learner.h"
#include "engine/views/internal/graph.h"

namespace shoal::internal {

/// A net with a new last layer on its L2-normalised feature. Value: tensors
/// are shared and never written to.
struct TunedNet {
  std::vector<at::Tensor> parameters;  ///< one for each of the graph's
  at::Tensor weight;                   ///< (classes, d)
  at::Tensor bias;  ///< (classes); minus infinity: a class never seen
};

/// Examples that are run together.
struct Batch {
  std::vector<Form> forms;
  std::vector<std::int64_t> labels;  ///< (forms)
  std::vector<float> weights;        ///< (forms)
};

/// Trains a part of a net and its last layer by SGD with momentum. Borrows
/// all that it is made of. Owner-thread. What it does throws c10::Error.
class FineTuning {
 public:
  FineTuning(const Graph& graph, const TrainedPart& part, FrozenPart& frozen,
             const NetOptions& options)
      : graph_(graph), part_(part), frozen_(frozen), options_(options) {}

  /// @return (forms, d), rows of length 1
  /// Errors: kCancelled, those of FrozenPart::run.
  [[nodiscard]] Result<at::Tensor> features(const TunedNet& net,
                                            const std::vector<Form>& forms);

  /// The weighted cross-entropy of rows in variant 0. Errors: as features;
  /// kInternal when it is not finite.
  [[nodiscard]] Result<double> loss(const TunedNet& net,
                                    const LabelledRows& examples);

  /// Trains from `start` on; only the trained part's parameters are replaced.
  /// @return the net of the epoch, or the start, with the lowest loss on the
  ///         held-out rows; with none held out, that of the last epoch
  /// Errors: as loss.
  [[nodiscard]] Result<TunedNet> tune(const TunedNet& start,
                                      const Split& split);

 private:
  struct Training;

  /// @return a scalar: the sum of the batch's weighted cross-entropies
  [[nodiscard]] Result<at::Tensor> cross_entropy(const TunedNet& net,
                                                 const Batch& batch);
  /// `start` with other values for what is trained.
  [[nodiscard]] TunedNet replaced(const TunedNet& start,
                                  const std::vector<at::Tensor>& trained,
                                  const std::vector<at::Tensor>& head) const;
  [[nodiscard]] Result<void> run_epoch(const TunedNet& start,
                                       const LabelledRows& examples,
                                       Training& training);

  const Graph& graph_;
  const TrainedPart& part_;
  FrozenPart& frozen_;
  const NetOptions& options_;
};

/// Rows in one variant, `size` at a time.
[[nodiscard]] std::vector<std::vector<Form>> batches_of(
    const std::vector<std::size_t>& rows, int variant, int size);

}  // namespace shoal::internal
