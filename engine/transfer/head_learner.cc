#include "engine/transfer/head_learner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "engine/transfer/internal/lbfgs.h"
#include "engine/transfer/internal/softmax_head.h"
#include "engine/transfer/internal/split.h"

namespace shoal {
namespace {

using internal::LabelledRows;
using internal::SoftmaxHead;
using internal::SoftmaxLoss;

Result<void> check_options(const HeadOptions& options) {
  if (!(options.weight_decay > 0) || options.max_iterations < 1 ||
      options.patience < 1 ||
      !(options.held_out >= 0 && options.held_out < 1)) {
    return invalid_argument(
        "head learner: weight decay, iterations and patience must be above 0 "
        "and the held-out share in [0, 1)");
  }
  return ok();
}

Result<void> check_features(const HeadFeatures& features) {
  if (features.variants.empty() || features.variants.front().size() == 0) {
    return invalid_argument("head learner: there are no features");
  }
  const Matrix& first = features.variants.front();
  for (const Matrix& variant : features.variants) {
    if (variant.rows() != first.rows() || variant.cols() != first.cols()) {
      return invalid_argument("head learner: variants of " +
                              std::to_string(first.rows()) + " x " +
                              std::to_string(first.cols()) + " and " +
                              std::to_string(variant.rows()) + " x " +
                              std::to_string(variant.cols()) + " values");
    }
    if (!variant.allFinite()) {
      return invalid_argument("head learner: a feature is not finite");
    }
  }
  return ok();
}

class HeadLearner final : public TransferLearner {
 public:
  HeadLearner(HeadFeatures features, const HeadOptions& options)
      : variants_(std::move(features.variants)), options_(options) {
    for (Matrix& variant : variants_) {
      variant.rowwise().normalize();
      views_.emplace_back(variant);
    }
    plain_.emplace_back(variants_.front());
  }

  [[nodiscard]] Result<double> fit(const std::vector<std::size_t>& rows,
                                   const std::vector<int>& labels,
                                   int classes) override {
    SHOAL_TRY(internal::check_examples(
        rows, labels, classes,
        static_cast<std::size_t>(variants_.front().rows())));
    const auto split = internal::hold_out(rows, labels, classes,
                                          options_.held_out, options_.seed);
    const SoftmaxLoss loss(views_, split.learned, classes,
                           options_.weight_decay);
    SHOAL_TRY(best, minimize(loss, split.held_out, classes));
    head_ = loss.head(best);
    const LabelledRows all{rows, labels,
                           internal::balanced_weights(labels, classes)};
    return SoftmaxLoss(plain_, all, classes, 0).cross_entropy(best);
  }

  [[nodiscard]] Result<Prediction> predict(
      const std::vector<std::size_t>& rows) override {
    if (head_.weight.rows() == 0) {
      return failed_precondition("head learner: asked before it was fitted");
    }
    Prediction prediction;
    prediction.features.resize(static_cast<Eigen::Index>(rows.size()),
                               variants_.front().cols());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= static_cast<std::size_t>(variants_.front().rows())) {
        return invalid_argument("head learner: there is no row " +
                                std::to_string(rows[i]));
      }
      prediction.features.row(static_cast<Eigen::Index>(i)) =
          variants_.front().row(static_cast<Eigen::Index>(rows[i]));
    }
    prediction.probabilities = head_.probabilities(prediction.features);
    prediction.labels = internal::most_probable(prediction.probabilities);
    return prediction;
  }

 private:
  /// @return the parameters of the iteration with the lowest held-out loss
  Result<Eigen::VectorXd> minimize(const SoftmaxLoss& loss,
                                   const LabelledRows& held_out, int classes) {
    const SoftmaxLoss check(plain_, held_out, classes, 0);
    const bool stops_early = !held_out.rows.empty();
    Eigen::VectorXd best = Eigen::VectorXd::Zero(loss.parameters());
    double lowest = std::numeric_limits<double>::infinity();
    int since = 0;
    bool finite = true;
    bool cancelled = false;
    const auto accepted = [&](const Eigen::VectorXd& x, double value) {
      finite = std::isfinite(value);
      cancelled = options_.cancelled && options_.cancelled();
      const double now = stops_early ? check.cross_entropy(x) : value;
      if (now < lowest) {
        lowest = now;
        best = x;
        since = 0;
      } else {
        ++since;
      }
      return finite && !cancelled && since < options_.patience;
    };
    internal::LbfgsOptions lbfgs;
    lbfgs.max_iterations = options_.max_iterations;
    const Eigen::VectorXd last =
        internal::minimize_lbfgs(best, loss, accepted, lbfgs);
    if (cancelled) {
      return Error{ErrorCode::kCancelled, "head learner: cancelled"};
    }
    if (!finite || !last.allFinite()) {
      return internal_error("head learner: the loss stopped being finite");
    }
    return best;
  }

  std::vector<Matrix> variants_;   // L2-normalised
  std::vector<MatrixView> views_;  // of variants_
  std::vector<MatrixView> plain_;  // of variants_.front()
  HeadOptions options_;
  SoftmaxHead head_;
};

}  // namespace

Result<std::unique_ptr<TransferLearner>> make_head_learner(
    HeadFeatures features, const HeadOptions& options) {
  SHOAL_TRY(check_options(options));
  SHOAL_TRY(check_features(features));
  return std::make_unique<HeadLearner>(std::move(features), options);
}

}  // namespace shoal
