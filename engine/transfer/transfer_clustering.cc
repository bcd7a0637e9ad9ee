#include "engine/transfer/transfer_clustering.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "engine/transfer/internal/boot.h"

namespace shoal {
namespace {

Result<void> check_options(MatrixView features,
                           const TransferOptions& options) {
  if (options.clusters < 1 || options.max_iterations < 1 ||
      options.mixture_components < 1) {
    return invalid_argument(
        "transfer clustering: clusters, iterations and components must be at "
        "least 1");
  }
  if (!(options.initial_share > 0 && options.initial_share <= 1) ||
      !(options.share_step >= 0 && options.share_step <= 1)) {
    return invalid_argument(
        "transfer clustering: the initial share must be in (0, 1] and its "
        "step in [0, 1]; they are " +
        std::to_string(options.initial_share) + " and " +
        std::to_string(options.share_step));
  }
  if (features.cols() < 1 || features.rows() < options.clusters) {
    return invalid_argument(
        "transfer clustering: " + std::to_string(features.rows()) +
        " rows of " + std::to_string(features.cols()) + " values for " +
        std::to_string(options.clusters) + " clusters");
  }
  if (!features.allFinite()) {
    return invalid_argument(
        "transfer clustering: a boot feature is not finite");
  }
  return ok();
}

float distance_between(const Eigen::Ref<const Eigen::RowVectorXf>& row,
                       const Eigen::RowVectorXf& centre, RowDistance distance) {
  switch (distance) {
    case RowDistance::kEuclidean:
      return (row - centre).squaredNorm();
    case RowDistance::kCityBlock:
      return (row - centre).lpNorm<1>();
    case RowDistance::kChessboard:
      return (row - centre).lpNorm<Eigen::Infinity>();
  }
  return 0;
}

/// How many of `open` rows a share is, rounded up. What floating point adds to
/// a product such as 0.7 * 10 must not round 7 up to 8.
std::size_t share_of(double share, std::size_t open) {
  constexpr double kRounding = 1e-9;
  const double rows = std::ceil(share * static_cast<double>(open) - kRounding);
  return std::clamp(static_cast<std::size_t>(std::max(rows, 1.0)),
                    std::size_t{1}, open);
}

/// X_s, X_t and the labels of one run.
class Clustering {
 public:
  Clustering(MatrixView boot_features, TransferLearner& learner,
             const ClusterConstraints& constraints,
             const TransferOptions& options, std::vector<int> labels)
      : learner_(learner),
        options_(options),
        forbidden_(constraints),
        features_(boot_features),
        final_(labels.size(), false) {
    result_.boot_labels = labels;
    result_.labels = std::move(labels);
    result_.confirmed_in.assign(result_.labels.size(), -1);
    for (std::size_t row = 0; row < final_.size(); ++row) {
      final_[row] = constraints.group_of(row) >= 0;
      if (!final_[row]) open_.push_back(row);
    }
  }

  Result<TransferResult> run() {
    const std::size_t settled = final_.size() - open_.size();
    double share = options_.initial_share;
    for (int k = 0; k < options_.max_iterations; ++k) {
      const std::vector<std::size_t> chosen = closest(std::min(share, 1.0));
      if (chosen.empty()) break;
      confirm(chosen, k);
      report(settled);
      SHOAL_TRY(learn(std::min(share, 1.0)));
      share += options_.share_step;
    }
    return finish();
  }

 private:
  [[nodiscard]] Result<void> check_cancelled() const {
    if (options_.cancelled && options_.cancelled()) {
      return Error{ErrorCode::kCancelled, "transfer clustering was cancelled"};
    }
    return ok();
  }

  void report(std::size_t settled) const {
    if (!options_.progress) return;
    const std::size_t free = final_.size() - settled;
    options_.progress("transfer", static_cast<double>(free - open_.size()) /
                                      static_cast<double>(free));
  }

  /// S3: per cluster the closest of its open rows that the gate lets pass.
  [[nodiscard]] std::vector<std::size_t> closest(double share) const {
    // Positions in open_, which are the rows of features_ as well.
    std::vector<std::vector<std::size_t>> members(
        static_cast<std::size_t>(options_.clusters));
    for (std::size_t at = 0; at < open_.size(); ++at) {
      members[static_cast<std::size_t>(result_.labels[open_[at]])].push_back(
          at);
    }
    std::vector<std::size_t> chosen;
    for (const auto& cluster : members) {
      if (!cluster.empty()) choose(cluster, share, chosen);
    }
    return chosen;
  }

  void choose(const std::vector<std::size_t>& members, double share,
              std::vector<std::size_t>& chosen) const {
    Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(features_of(0).size());
    for (const std::size_t at : members) {
      sum += features_of(at).cast<double>();
    }
    const Eigen::RowVectorXf centre =
        (sum / static_cast<double>(members.size())).cast<float>();
    std::vector<std::pair<float, std::size_t>> by_distance;
    for (const std::size_t at : members) {
      if (options_.gate && !options_.gate(open_[at])) continue;
      by_distance.emplace_back(
          distance_between(features_of(at), centre, options_.distance),
          open_[at]);
    }
    std::sort(by_distance.begin(), by_distance.end());
    by_distance.resize(
        std::min(by_distance.size(), share_of(share, members.size())));
    for (const auto& [distance, row] : by_distance) chosen.push_back(row);
  }

  /// The features of the open row at `at`: the boot's until a net has spoken.
  [[nodiscard]] Eigen::Ref<const Eigen::RowVectorXf> features_of(
      std::size_t at) const {
    if (result_.iterations.empty()) {
      return features_.row(static_cast<Eigen::Index>(open_[at]));
    }
    return open_features_.row(static_cast<Eigen::Index>(at));
  }

  /// S4-S5.
  void confirm(const std::vector<std::size_t>& chosen, int iteration) {
    for (const std::size_t row : chosen) {
      final_[row] = true;
      result_.confirmed_in[row] = iteration;
    }
    open_.erase(std::remove_if(open_.begin(), open_.end(),
                               [&](std::size_t row) { return final_[row]; }),
                open_.end());
  }

  /// S6. @return the loss
  Result<double> fit() {
    SHOAL_TRY(check_cancelled());
    std::vector<std::size_t> rows;
    std::vector<int> labels;
    for (std::size_t row = 0; row < final_.size(); ++row) {
      if (!final_[row]) continue;
      rows.push_back(row);
      labels.push_back(result_.labels[row]);
    }
    return learner_.fit(rows, labels, options_.clusters);
  }

  Result<Prediction> predict(const std::vector<std::size_t>& rows) {
    SHOAL_TRY(check_cancelled());
    SHOAL_TRY(prediction, learner_.predict(rows));
    const auto n = static_cast<Eigen::Index>(rows.size());
    if (prediction.labels.size() != rows.size() ||
        prediction.features.rows() != n ||
        prediction.probabilities.rows() != n ||
        prediction.probabilities.cols() != options_.clusters) {
      return Error(internal_error(
          "transfer clustering: the learner was asked for " +
          std::to_string(n) + " rows and " + std::to_string(options_.clusters) +
          " classes and gave " + std::to_string(prediction.labels.size()) +
          " labels, " + std::to_string(prediction.features.rows()) +
          " features and probabilities " +
          std::to_string(prediction.probabilities.rows()) + " x " +
          std::to_string(prediction.probabilities.cols())));
    }
    if (!prediction.features.allFinite()) {
      return Error(internal_error(
          "transfer clustering: the learner gave a feature that is not "
          "finite"));
    }
    return std::move(prediction);
  }

  /// S6-S8.
  Result<void> learn(double share) {
    SHOAL_TRY(loss, fit());
    if (!open_.empty()) {
      SHOAL_TRY(prediction, predict(open_));
      for (std::size_t at = 0; at < open_.size(); ++at) {
        SHOAL_TRY(label, allowed_label(prediction, at));
        result_.labels[open_[at]] = label;
      }
      open_features_ = std::move(prediction.features);
    }
    result_.iterations.push_back(
        {result_.labels, final_.size() - open_.size(), share, loss});
    return ok();
  }

  Result<int> allowed_label(const Prediction& prediction,
                            std::size_t at) const {
    const int label = prediction.labels[at];
    if (label < 0 || label >= options_.clusters) {
      return Error(internal_error(
          "transfer clustering: the learner gave label " +
          std::to_string(label) + " of " + std::to_string(options_.clusters)));
    }
    if (!forbidden_(open_[at], label)) return label;
    return forbidden_.best_allowed(
        open_[at], prediction.probabilities.row(static_cast<Eigen::Index>(at)));
  }

  Result<TransferResult> finish() {
    if (result_.iterations.empty() && open_.size() == final_.size()) {
      return failed_precondition(
          "transfer clustering: the gate refuses every row, so there is "
          "nothing to learn from");
    }
    // All rows were settled before, or the gate refuses those that were not:
    // the net has yet to learn.
    if (result_.iterations.empty()) {
      SHOAL_TRY(learn(0));
      result_.iterations.clear();
    }
    std::vector<std::size_t> all(final_.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    SHOAL_TRY(prediction, predict(all));
    result_.features = std::move(prediction.features);
    return std::move(result_);
  }

  TransferLearner& learner_;
  const TransferOptions& options_;
  internal::ForbiddenClusters forbidden_;
  MatrixView features_;            // (n, d) of the boot stage
  Matrix open_features_;           // (open rows, d) of the last net
  std::vector<bool> final_;        // (n) X_t
  std::vector<std::size_t> open_;  // X_s, ascending
  TransferResult result_;
};

}  // namespace

Result<TransferResult> transfer_clustering(
    MatrixView boot_features, TransferLearner& learner,
    const ClusterConstraints& constraints, const TransferOptions& options) {
  SHOAL_TRY(check_options(boot_features, options));
  SHOAL_TRY(check_constraints(constraints,
                              static_cast<std::size_t>(boot_features.rows()),
                              options.clusters));
  SHOAL_TRY(labels, internal::boot_labels(boot_features, constraints, options));
  return Clustering(boot_features, learner, constraints, options,
                    std::move(labels))
      .run();
}

}  // namespace shoal
