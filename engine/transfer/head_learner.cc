#include "engine/transfer/head_learner.h"

#include <string>
#include <utility>

#include "engine/transfer/internal/head_fit.h"
#include "engine/transfer/internal/softmax_head.h"
#include "engine/transfer/internal/split.h"

namespace shoal {
namespace {

using internal::SoftmaxHead;

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
  }

  [[nodiscard]] Result<double> fit(const std::vector<std::size_t>& rows,
                                   const std::vector<int>& labels,
                                   int classes) override {
    SHOAL_TRY(internal::check_examples(
        rows, labels, classes,
        static_cast<std::size_t>(variants_.front().rows())));
    SHOAL_TRY(fitted,
              internal::fit_head(views_, rows, labels, classes, options_));
    head_ = std::move(fitted.head);
    return fitted.loss;
  }

  [[nodiscard]] Result<Prediction> predict(
      const std::vector<std::size_t>& rows) override {
    if (head_.weight.rows() == 0) {
      return failed_precondition("head learner: asked before it was fitted");
    }
    SHOAL_TRY(internal::check_rows(
        rows, static_cast<std::size_t>(variants_.front().rows())));
    Prediction prediction;
    prediction.features = features_of(rows);
    prediction.probabilities = head_.probabilities(prediction.features);
    prediction.labels = internal::most_probable(prediction.probabilities);
    return prediction;
  }

 private:
  [[nodiscard]] Matrix features_of(const std::vector<std::size_t>& rows) const {
    Matrix features(static_cast<Eigen::Index>(rows.size()),
                    variants_.front().cols());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      features.row(static_cast<Eigen::Index>(i)) =
          variants_.front().row(static_cast<Eigen::Index>(rows[i]));
    }
    return features;
  }

  std::vector<Matrix> variants_;   // L2-normalised
  std::vector<MatrixView> views_;  // of variants_
  HeadOptions options_;
  SoftmaxHead head_;
};

}  // namespace

Result<std::unique_ptr<TransferLearner>> make_head_learner(
    HeadFeatures features, const HeadOptions& options) {
  SHOAL_TRY(internal::check_head_options(options));
  SHOAL_TRY(check_features(features));
  return std::make_unique<HeadLearner>(std::move(features), options);
}

}  // namespace shoal
