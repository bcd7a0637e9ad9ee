#include "engine/deep/internal/multi_view_trainer.h"

#include <cmath>
#include <utility>

namespace shoal {
namespace {

/// Rows as a net with limit_input sees them.
Matrix limited(const Matrix& rows) {
  Mlp limit;
  limit.limit_input = true;
  return limit.run(rows);
}

}  // namespace

MultiViewTrainer::MultiViewTrainer(const std::vector<Matrix>& views,
                                   MultiViewNet net, const SgdOptions& options)
    : views_(views),
      max_gradient_(options.max_gradient),
      out_(std::move(net.out), options) {
  for (Mlp& branch : net.branches) {
    branches_.emplace_back(std::move(branch), options);
  }
}

Eigen::Index MultiViewTrainer::rows() const { return views_.front().rows(); }

Matrix MultiViewTrainer::run() const { return net().run(views_); }

const Matrix& MultiViewTrainer::forward(const std::vector<int>& rows) {
  std::vector<Matrix> outputs;
  Eigen::Index width = 0;
  for (std::size_t view = 0; view < views_.size(); ++view) {
    const Matrix input = views_[view](rows, Eigen::all);
    outputs.push_back(branches_[view].forward(limited(input)));
    width += outputs.back().cols();
  }
  joined_.resize(static_cast<Eigen::Index>(rows.size()), width);
  Eigen::Index column = 0;
  for (const Matrix& output : outputs) {
    joined_.middleCols(column, output.cols()) = output;
    column += output.cols();
  }
  lengths_ = joined_.rowwise().norm().cwiseMax(1.0F);
  joined_.array().colwise() /= lengths_.array();
  return out_.forward(joined_);
}

void MultiViewTrainer::step(const Matrix& gradient, double rate) {
  Matrix flow = out_.backward(gradient, true);
  // Rows of length 1 or less pass as they are. Only rows of zeros (dead
  // branches) are that short: each branch's output has length 1.
  for (Eigen::Index i = 0; i < flow.rows(); ++i) {
    if (lengths_[i] <= 1) continue;
    const float along = flow.row(i).dot(joined_.row(i));
    flow.row(i) = (flow.row(i) - along * joined_.row(i)).eval() / lengths_[i];
  }
  double squared = out_.squared_gradient();
  Eigen::Index column = 0;
  for (MlpTrainer& branch : branches_) {
    const Eigen::Index width = branch.mlp().layers.back().weight.rows();
    branch.backward(flow.middleCols(column, width), false);
    squared += branch.squared_gradient();
    column += width;
  }
  const double length = std::sqrt(squared);
  const double scale = length > max_gradient_ ? max_gradient_ / length : 1;
  out_.apply(scale, rate);
  for (MlpTrainer& branch : branches_) branch.apply(scale, rate);
}

MultiViewNet MultiViewTrainer::net() const {
  MultiViewNet net;
  for (const MlpTrainer& branch : branches_) {
    net.branches.push_back(branch.mlp());
  }
  net.out = out_.mlp();
  return net;
}

}  // namespace shoal
