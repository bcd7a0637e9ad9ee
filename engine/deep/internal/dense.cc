#include "engine/deep/internal/dense.h"

#include <algorithm>
#include <cmath>
#include <dnnl.h>
#include <new>
#include <utility>

#include "common/check.h"

namespace shoal::internal {
namespace {

Eigen::Map<Vector> flat(Matrix& matrix) {
  return {matrix.data(), matrix.size()};
}

}  // namespace

void multiply(MatrixView a, bool transpose_a, MatrixView b, bool transpose_b,
              Eigen::Ref<Matrix> out) {
  const Eigen::Index inner = transpose_a ? a.rows() : a.cols();
  SHOAL_CHECK(out.rows() == (transpose_a ? a.cols() : a.rows()) &&
                  out.cols() == (transpose_b ? b.rows() : b.cols()) &&
                  inner == (transpose_b ? b.cols() : b.rows()),
              "shapes do not fit");
  if (out.size() == 0) return;
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', out.rows(),
                 out.cols(), inner, 1.0F, a.data(), a.outerStride(), b.data(),
                 b.outerStride(), 0.0F, out.data(), out.outerStride());
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  SHOAL_CHECK(status == dnnl_success, "dnnl_sgemm refused its arguments");
}

void AdamState::update(Eigen::Ref<Vector> parameters,
                       const Eigen::Ref<const Vector>& gradient,
                       const AdamStep& step) {
  const Eigen::Index size = parameters.size();
  SHOAL_CHECK(gradient.size() == size, "a gradient of another length");
  if (steps_ == 0) {
    first_ = Vector::Zero(size);
    second_ = Vector::Zero(size);
  }
  ++steps_;
  const auto beta1 = static_cast<float>(step.beta1);
  const auto beta2 = static_cast<float>(step.beta2);
  const auto t = static_cast<double>(steps_);
  const auto rate =
      static_cast<float>(step.learning_rate / (1 - std::pow(step.beta1, t)));
  const auto scale =
      static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, t)));
  const auto epsilon = static_cast<float>(step.epsilon);
  // Pieces that stay in the cache from one expression to the next.
  constexpr Eigen::Index kPiece = 2048;
  for (Eigen::Index at = 0; at < size; at += kPiece) {
    const Eigen::Index count = std::min(kPiece, size - at);
    const auto g = gradient.segment(at, count).array();
    auto first = first_.segment(at, count).array();
    auto second = second_.segment(at, count).array();
    first = beta1 * first + (1 - beta1) * g;
    second = beta2 * second + (1 - beta2) * g.square();
    parameters.segment(at, count).array() -=
        rate * first / (second.sqrt() * scale + epsilon);
  }
}

DenseLayer::DenseLayer(int in, int out, bool relu, std::mt19937_64& random)
    : relu_(relu) {
  const float bound = 1.0F / std::sqrt(static_cast<float>(in));
  std::uniform_real_distribution<float> uniform(-bound, bound);
  weights_.weight.resize(out, in);
  for (float& weight : flat(weights_.weight)) weight = uniform(random);
  weights_.bias = Vector::Zero(out);
}

DenseLayer::DenseLayer(Mlp::Layer weights, bool relu)
    : weights_(std::move(weights)), relu_(relu) {}

const Matrix& DenseLayer::forward(MatrixView input) {
  output_.resize(input.rows(), out());
  multiply(input, false, weights_.weight, true, output_);
  const auto bias = weights_.bias.transpose().array();
  for (Eigen::Index i = 0; i < output_.rows(); ++i) {
    auto row = output_.row(i).array();
    if (relu_) {
      row = (row + bias).max(0.0F);
    } else {
      row += bias;
    }
  }
  return output_;
}

void DenseLayer::backward(MatrixView input, Matrix& output_gradient,
                          Matrix* input_gradient) {
  if (relu_) {
    output_gradient =
        (output_.array() > 0.0F).select(output_gradient.array(), 0.0F);
  }
  weight_gradient_.resize(out(), in());
  multiply(output_gradient, true, input, false, weight_gradient_);
  bias_gradient_ = output_gradient.colwise().sum().transpose();
  if (input_gradient == nullptr) return;
  input_gradient->resize(input.rows(), in());
  multiply(output_gradient, false, weights_.weight, false, *input_gradient);
}

void DenseLayer::update(const AdamStep& step) {
  weight_state_.update(flat(weights_.weight), flat(weight_gradient_), step);
  bias_state_.update(weights_.bias, bias_gradient_, step);
}

void DenseLayer::reset_moments() {
  weight_state_ = {};
  bias_state_ = {};
}

const Matrix& DenseNet::forward(MatrixView input) {
  SHOAL_CHECK(!layers.empty(), "a net without layers");
  layers.front().forward(input);
  for (std::size_t i = 1; i < layers.size(); ++i) {
    layers[i].forward(layers[i - 1].output());
  }
  return layers.back().output();
}

void DenseNet::backward(MatrixView input, Matrix& output_gradient,
                        Matrix* input_gradient) {
  Matrix* gradient = &output_gradient;
  for (std::size_t i = layers.size() - 1; i > 0; --i) {
    Matrix* below = &gradients_[i % 2];
    layers[i].backward(layers[i - 1].output(), *gradient, below);
    gradient = below;
  }
  layers.front().backward(input, *gradient, input_gradient);
}

void DenseNet::update(const AdamStep& step) {
  for (DenseLayer& layer : layers) layer.update(step);
}

void DenseNet::reset_moments() {
  for (DenseLayer& layer : layers) layer.reset_moments();
}

Mlp DenseNet::mlp() const {
  Mlp mlp;
  for (const DenseLayer& layer : layers) mlp.layers.push_back(layer.weights());
  return mlp;
}

}  // namespace shoal::internal
