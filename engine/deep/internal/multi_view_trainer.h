#pragma once

#include <vector>

#include "engine/deep/internal/joint_learning.h"
#include "engine/deep/internal/mlp_trainer.h"
#include "engine/deep/multi_view.h"

namespace shoal {

/// All of MVnet under one loss: the gradient flows from the output net through
/// the concatenation into every branch. Owner-thread.
class MultiViewTrainer final : public EmbeddingNet {
 public:
  /// @param views  per view (n, d); outlives the trainer
  /// @param net    every branch and the output net normalise their output and
  ///   limit their input, as JULE's nets do
  MultiViewTrainer(const std::vector<Matrix>& views, MultiViewNet net,
                   const SgdOptions& options);

  [[nodiscard]] Eigen::Index rows() const override;
  [[nodiscard]] Matrix run() const override;
  const Matrix& forward(const std::vector<int>& rows) override;
  void step(const Matrix& gradient, double rate) override;

  [[nodiscard]] MultiViewNet net() const;

 private:
  const std::vector<Matrix>& views_;
  const double max_gradient_;
  std::vector<MlpTrainer> branches_;
  MlpTrainer out_;
  Matrix joined_;   // (b, sum of widths), rows no longer than 1
  Vector lengths_;  // (b) of the rows before; at least 1
};

}  // namespace shoal
