#pragma once

#include <functional>
#include <random>
#include <vector>

#include "common/matrix.h"
#include "engine/deep/mlp.h"

namespace shoal::internal {

/// out = op(a) op(b), row-major, on oneDNN's threads. `out` must have the
/// product's shape. Throws std::bad_alloc when oneDNN has no memory.
void multiply(MatrixView a, bool transpose_a, MatrixView b, bool transpose_b,
              Eigen::Ref<Matrix> out);

/// Adam's constants (Kingma & Ba 2015) but for the learning rate.
struct AdamStep {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// Parameters of any shape with Adam's moments, flat. Value.
class AdamState {
 public:
  /// One step along `gradient`, both of the same length in every call.
  void update(Eigen::Ref<Vector> parameters,
              const Eigen::Ref<const Vector>& gradient, const AdamStep& step);

 private:
  Vector first_;
  Vector second_;
  long steps_ = 0;
};

/// A linear layer, with ReLU after it or not, that learns. The weights start
/// at U(-1/sqrt(in), 1/sqrt(in)), the biases at 0. Owner-thread.
class DenseLayer {
 public:
  DenseLayer(int in, int out, bool relu, std::mt19937_64& random);
  DenseLayer(Mlp::Layer weights, bool relu);

  /// (n, in) -> (n, out); valid until the next call.
  const Matrix& forward(MatrixView input);
  /// The gradients of the weights from that of the last forward's output.
  /// @param input  what forward was given
  /// @param output_gradient  (n, out); changed: ReLU's share is applied
  /// @param input_gradient  receives (n, in); null: not wanted
  void backward(MatrixView input, Matrix& output_gradient,
                Matrix* input_gradient);
  void update(const AdamStep& step);
  /// Forgets Adam's moments: another objective begins.
  void reset_moments();

  [[nodiscard]] const Mlp::Layer& weights() const { return weights_; }
  [[nodiscard]] int in() const {
    return static_cast<int>(weights_.weight.cols());
  }
  [[nodiscard]] int out() const {
    return static_cast<int>(weights_.weight.rows());
  }
  [[nodiscard]] const Matrix& output() const { return output_; }

 private:
  Mlp::Layer weights_;
  bool relu_;
  Matrix output_;
  Matrix weight_gradient_;
  Vector bias_gradient_;
  AdamState weight_state_;
  AdamState bias_state_;
};

/// Dense layers one after the other. Owner-thread.
class DenseNet {
 public:
  std::vector<DenseLayer> layers;

  /// The output of the last layer; valid until the next call.
  const Matrix& forward(MatrixView input);
  /// As DenseLayer::backward, through all layers.
  void backward(MatrixView input, Matrix& output_gradient,
                Matrix* input_gradient);
  void update(const AdamStep& step);
  void reset_moments();
  [[nodiscard]] Mlp mlp() const;

 private:
  Matrix gradients_[2];
};

}  // namespace shoal::internal
