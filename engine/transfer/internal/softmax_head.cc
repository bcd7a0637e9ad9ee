#include "engine/transfer/internal/softmax_head.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/score/distances.h"

extern "C" void sgemm_(const char* transpose_a, const char* transpose_b,
                       const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda,
                       const float* b, const int* ldb, const float* beta,
                       float* c, const int* ldc);

namespace shoal::internal {
namespace {

constexpr Eigen::Index kBlockRows = 512;
constexpr float kNever = -std::numeric_limits<float>::infinity();

/// out += a' * b.
void add_transposed_product(MatrixView a, MatrixView b, Matrix& out) {
  // BLAS counts by columns, so it sees each matrix transposed: out' += b' * a.
  const int m = static_cast<int>(b.cols());
  const int n = static_cast<int>(a.cols());
  const int k = static_cast<int>(a.rows());
  const int lda = static_cast<int>(b.outerStride());
  const int ldb = static_cast<int>(a.outerStride());
  const int ldc = static_cast<int>(out.outerStride());
  const float one = 1;
  sgemm_("N", "T", &m, &n, &k, &one, b.data(), &lda, a.data(), &ldb, &one,
         out.data(), &ldc);
}

/// Rows of logits -> rows of probabilities.
void softmax(Eigen::Ref<Matrix> logits) {
  logits.colwise() -= logits.rowwise().maxCoeff().eval();
  logits = logits.array().exp();
  logits.array().colwise() /= logits.rowwise().sum().array().eval();
}

}  // namespace

Matrix SoftmaxHead::probabilities(MatrixView features) const {
  Matrix out(features.rows(), weight.rows());
  multiply_transposed(features, weight, out);
  out.rowwise() += bias.transpose();
  softmax(out);
  return out;
}

std::vector<double> balanced_weights(const std::vector<int>& labels,
                                     int classes) {
  std::vector<double> count(static_cast<std::size_t>(classes), 0);
  for (const int label : labels) count[static_cast<std::size_t>(label)] += 1;
  const auto seen = static_cast<double>(
      classes - std::count(count.begin(), count.end(), 0.0));
  std::vector<double> weights;
  weights.reserve(labels.size());
  for (const int label : labels) {
    weights.push_back(1 / (seen * count[static_cast<std::size_t>(label)]));
  }
  return weights;
}

SoftmaxLoss::SoftmaxLoss(const std::vector<MatrixView>& variants,
                         const LabelledRows& examples, int classes,
                         double weight_decay)
    : variants_(variants),
      examples_(examples),
      classes_(classes),
      weight_decay_(weight_decay),
      seen_(static_cast<std::size_t>(classes), false) {
  for (const int label : examples.labels) {
    seen_[static_cast<std::size_t>(label)] = true;
  }
}

Eigen::Index SoftmaxLoss::parameters() const {
  return classes_ * (variants_.front().cols() + 1);
}

SoftmaxHead SoftmaxLoss::head(const Eigen::VectorXd& parameters) const {
  const Eigen::Index d = variants_.front().cols();
  SoftmaxHead head;
  head.weight =
      Eigen::Map<const Eigen::VectorXd>(parameters.data(), classes_ * d)
          .cast<float>()
          .reshaped<Eigen::RowMajor>(classes_, d);
  head.bias = parameters.tail(classes_).cast<float>();
  for (int c = 0; c < classes_; ++c) {
    if (!seen_[static_cast<std::size_t>(c)]) head.bias[c] = kNever;
  }
  return head;
}

double SoftmaxLoss::operator()(const Eigen::VectorXd& parameters,
                               Eigen::VectorXd& gradient) const {
  const Eigen::Index d = variants_.front().cols();
  Matrix weight_gradient = Matrix::Zero(classes_, d);
  Eigen::VectorXd bias_gradient = Eigen::VectorXd::Zero(classes_);
  const double loss = evaluate(parameters, &weight_gradient, &bias_gradient);
  const auto weights = parameters.head(classes_ * d);
  gradient.head(classes_ * d) =
      Eigen::Map<const Vector>(weight_gradient.data(), classes_ * d)
          .cast<double>() +
      weight_decay_ * weights;
  gradient.tail(classes_) = bias_gradient;
  return loss + weight_decay_ / 2 * weights.squaredNorm();
}

double SoftmaxLoss::cross_entropy(const Eigen::VectorXd& parameters) const {
  return evaluate(parameters, nullptr, nullptr);
}

double SoftmaxLoss::evaluate(const Eigen::VectorXd& parameters,
                             Matrix* weight_gradient,
                             Eigen::VectorXd* bias_gradient) const {
  const SoftmaxHead layer = head(parameters);
  const auto n = static_cast<Eigen::Index>(examples_.rows.size());
  Matrix block(std::min(kBlockRows, n), layer.weight.cols());
  double loss = 0;
  for (const MatrixView& features : variants_) {
    for (Eigen::Index start = 0; start < n; start += block.rows()) {
      const Eigen::Index count = std::min(block.rows(), n - start);
      for (Eigen::Index i = 0; i < count; ++i) {
        block.row(i) = features.row(static_cast<Eigen::Index>(
            examples_.rows[static_cast<std::size_t>(start + i)]));
      }
      Matrix residual = layer.probabilities(block.topRows(count));
      for (Eigen::Index i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(start + i);
        const auto weight = static_cast<float>(examples_.weights[at]) /
                            static_cast<float>(variants_.size());
        float& own = residual(i, examples_.labels[at]);
        constexpr float kSmallest = std::numeric_limits<float>::min();
        loss -= static_cast<double>(weight) *
                std::log(static_cast<double>(std::max(own, kSmallest)));
        own -= 1;
        residual.row(i) *= weight;
      }
      if (weight_gradient == nullptr) continue;
      add_transposed_product(residual, block.topRows(count), *weight_gradient);
      *bias_gradient += residual.colwise().sum().transpose().cast<double>();
    }
  }
  return loss;
}

}  // namespace shoal::internal
