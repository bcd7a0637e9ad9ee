#include "engine/deep/internal/mlp_trainer.h"

#include <cmath>
#include <utility>

#include "common/check.h"
#include "engine/deep/internal/products.h"
#include "engine/score/distances.h"

namespace shoal {

void flow_through_length(const Matrix& output, const Vector& lengths,
                         Matrix& flow) {
  // Of z = r / |r|: the part across z, over |r|; a row of zeros has none.
  for (Eigen::Index i = 0; i < flow.rows(); ++i) {
    if (lengths[i] > 0) {
      const float along = flow.row(i).dot(output.row(i));
      flow.row(i) = (flow.row(i) - along * output.row(i)).eval() / lengths[i];
    } else {
      flow.row(i).setZero();
    }
  }
}

MlpTrainer::MlpTrainer(Mlp mlp, const SgdOptions& options)
    : mlp_(std::move(mlp)), options_(options), inputs_(mlp_.layers.size()) {
  SHOAL_CHECK(!mlp_.layers.empty(), "a net without layers learns nothing");
  for (const Mlp::Layer& layer : mlp_.layers) {
    velocity_.push_back({Matrix::Zero(layer.weight.rows(), layer.weight.cols()),
                         Vector::Zero(layer.bias.size())});
  }
  gradient_ = velocity_;
}

const Matrix& MlpTrainer::forward(MatrixView batch) {
  inputs_[0] = batch;
  for (std::size_t l = 0; l < mlp_.layers.size(); ++l) {
    const Mlp::Layer& layer = mlp_.layers[l];
    const bool last = l + 1 == mlp_.layers.size();
    Matrix& out = last ? output_ : inputs_[l + 1];
    out.resize(batch.rows(), layer.weight.rows());
    multiply_transposed(inputs_[l], layer.weight, out);
    out.rowwise() += layer.bias.transpose();
    if (!last) out = out.cwiseMax(0.0F);
  }
  if (mlp_.normalise) {
    lengths_ = output_.rowwise().norm();
    for (Eigen::Index i = 0; i < output_.rows(); ++i) {
      if (lengths_[i] > 0) output_.row(i) /= lengths_[i];
    }
  }
  return output_;
}

void MlpTrainer::step(const Matrix& gradient, double rate) {
  backward(gradient, false);
  const double length = std::sqrt(squared_gradient());
  apply(length > options_.max_gradient ? options_.max_gradient / length : 1,
        rate);
}

Matrix MlpTrainer::backward(const Matrix& gradient, bool by_input) {
  Matrix flow = gradient;
  if (mlp_.normalise) flow_through_length(output_, lengths_, flow);
  for (std::size_t l = mlp_.layers.size(); l-- > 0;) {
    multiply_columns(flow, inputs_[l], gradient_[l].weight);
    gradient_[l].bias = flow.colwise().sum().transpose();
    if (l == 0 && !by_input) return {};
    Matrix back(flow.rows(), inputs_[l].cols());
    multiply(flow, mlp_.layers[l].weight, back);
    if (l == 0) return back;
    flow = (inputs_[l].array() > 0).select(back, 0.0F);
  }
  return flow;
}

double MlpTrainer::squared_gradient() const {
  double sum = 0;
  for (const Mlp::Layer& layer : gradient_) {
    sum += layer.weight.squaredNorm() + layer.bias.squaredNorm();
  }
  return sum;
}

void MlpTrainer::apply(double gradient_scale, double rate) {
  for (std::size_t l = 0; l < gradient_.size(); ++l) {
    update(l, static_cast<float>(gradient_scale), static_cast<float>(rate));
  }
}

void MlpTrainer::update(std::size_t layer, float gradient_scale, float rate) {
  const auto momentum = static_cast<float>(options_.momentum);
  const auto decay = static_cast<float>(options_.weight_decay);
  const Mlp::Layer& gradient = gradient_[layer];
  Mlp::Layer& value = mlp_.layers[layer];
  Mlp::Layer& velocity = velocity_[layer];
  velocity.weight = momentum * velocity.weight + decay * value.weight +
                    gradient_scale * gradient.weight;
  velocity.bias = momentum * velocity.bias + decay * value.bias +
                  gradient_scale * gradient.bias;
  value.weight -= rate * velocity.weight;
  value.bias -= rate * velocity.bias;
}

}  // namespace shoal
