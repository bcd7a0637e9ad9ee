#pragma once

#include <cstddef>
#include <vector>

#include "common/matrix.h"

namespace shoal::internal {

/// Linear softmax layer. Value.
struct SoftmaxHead {
  Matrix weight;  ///< (classes, d)
  Vector bias;    ///< (classes); minus infinity: a class never seen

  /// (n, d) -> (n, classes), each row sums to 1.
  [[nodiscard]] Matrix probabilities(MatrixView features) const;
};

/// Rows with labels and weights, in one or more variants of features.
struct LabelledRows {
  std::vector<std::size_t> rows;
  std::vector<int> labels;      ///< (rows)
  std::vector<double> weights;  ///< (rows), sum 1 over what is learned from
};

/// Weights that give every class with rows the same sum; total 1.
[[nodiscard]] std::vector<double> balanced_weights(
    const std::vector<int>& labels, int classes);

/// The weighted cross-entropy of a softmax layer on `variants` of the
/// features, plus weight_decay / 2 * |W|^2; biases are free. Borrows all.
class SoftmaxLoss {
 public:
  /// @param variants  each (n, d)
  SoftmaxLoss(const std::vector<MatrixView>& variants,
              const LabelledRows& examples, int classes, double weight_decay);

  /// @param parameters  (classes * d + classes): weights by rows, then biases
  /// @param gradient    filled, of the same size
  [[nodiscard]] double operator()(const Eigen::VectorXd& parameters,
                                  Eigen::VectorXd& gradient) const;
  /// The weighted cross-entropy alone.
  [[nodiscard]] double cross_entropy(const Eigen::VectorXd& parameters) const;

  [[nodiscard]] Eigen::Index parameters() const;
  /// Classes without examples are given a bias of minus infinity.
  [[nodiscard]] SoftmaxHead head(const Eigen::VectorXd& parameters) const;

 private:
  double evaluate(const Eigen::VectorXd& parameters, Matrix* weight_gradient,
                  Eigen::VectorXd* bias_gradient) const;

  const std::vector<MatrixView>& variants_;
  const LabelledRows& examples_;
  int classes_;
  double weight_decay_;
  std::vector<bool> seen_;  // (classes)
};

}  // namespace shoal::internal
