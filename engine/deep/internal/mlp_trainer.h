#pragma once

#include <vector>

#include "engine/deep/mlp.h"

namespace shoal {

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-5;  ///< on weights and biases
  /// A gradient longer than this, over all weights, is scaled to this length.
  double max_gradient = 1;
};

/// Turns `flow`, the gradient by rows scaled to length 1, into that by the
/// rows before.
/// @param output   (b, d) the scaled rows
/// @param lengths  (b) of the rows before; 0: a row of zeros
void flow_through_length(const Matrix& output, const Vector& lengths,
                         Matrix& flow);

/// Gradient descent on an Mlp by hand: what autograd does for it, without a
/// graph. Owner-thread; uses the process's BLAS threads.
class MlpTrainer {
 public:
  /// @param mlp  with at least one layer
  MlpTrainer(Mlp mlp, const SgdOptions& options);

  /// The net's output for a batch, which the next `step` refers to.
  /// @param batch  (b, in), as it goes into the first layer: limit_input is
  ///   the caller's
  const Matrix& forward(MatrixView batch);
  /// velocity = momentum * velocity + weight_decay * weight + gradient, this
  /// one limited to max_gradient; weight -= rate * velocity.
  /// @param gradient  (b, out) of the loss by the output of `forward`
  void step(const Matrix& gradient, double rate);

  /// The parts of `step`, for nets of several trainers: the gradients by the
  /// weights, which `apply` uses, and, when wanted, by the batch.
  /// @return (b, in), or nothing
  Matrix backward(const Matrix& gradient, bool by_input);
  /// Of the gradients by all weights.
  [[nodiscard]] double squared_gradient() const;
  void apply(double gradient_scale, double rate);

  [[nodiscard]] const Mlp& mlp() const { return mlp_; }

 private:
  void update(std::size_t layer, float gradient_scale, float rate);

  Mlp mlp_;
  SgdOptions options_;
  std::vector<Mlp::Layer> gradient_;
  std::vector<Mlp::Layer> velocity_;
  std::vector<Matrix> inputs_;  // of each layer
  Vector lengths_;              // (b) of the output before `normalise`
  Matrix output_;
};

}  // namespace shoal
