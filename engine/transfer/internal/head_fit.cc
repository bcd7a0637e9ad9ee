#include "engine/transfer/internal/head_fit.h"

#include <cmath>
#include <functional>
#include <limits>

#include "engine/transfer/internal/lbfgs.h"
#include "engine/transfer/internal/split.h"

namespace shoal::internal {
namespace {

/// Watches a minimisation: keeps the best point and says when to end.
class EarlyStop {
 public:
  EarlyStop(const HeadOptions& options, const SoftmaxLoss* held_out)
      : options_(options), held_out_(held_out) {}

  /// @return whether to go on
  bool operator()(const Eigen::VectorXd& x, double value) {
    finite_ = std::isfinite(value);
    cancelled_ = options_.cancelled && options_.cancelled();
    const double now =
        held_out_ == nullptr ? value : held_out_->cross_entropy(x);
    ++since_;
    if (now < lowest_) {
      lowest_ = now;
      best_ = x;
      since_ = 0;
    }
    return finite_ && !cancelled_ && since_ < options_.patience;
  }

  /// @param last  where the minimisation ended
  [[nodiscard]] Result<Eigen::VectorXd> best(Eigen::VectorXd last) {
    if (cancelled_) return Error{ErrorCode::kCancelled, "head: cancelled"};
    // Without a single step the start was the minimum.
    if (best_.size() == 0) best_ = std::move(last);
    if (!finite_ || !best_.allFinite()) {
      return internal_error("head: the loss stopped being finite");
    }
    return best_;
  }

 private:
  const HeadOptions& options_;
  const SoftmaxLoss* held_out_;
  Eigen::VectorXd best_;
  double lowest_ = std::numeric_limits<double>::infinity();
  int since_ = 0;
  bool finite_ = true;
  bool cancelled_ = false;
};

}  // namespace

Result<void> check_head_options(const HeadOptions& options) {
  if (!(options.weight_decay > 0) || options.max_iterations < 1 ||
      options.patience < 1 ||
      !(options.held_out >= 0 && options.held_out < 1)) {
    return invalid_argument(
        "head learner: weight decay, iterations and patience must be above 0 "
        "and the held-out share in [0, 1)");
  }
  return ok();
}

Result<HeadFit> fit_head(const std::vector<MatrixView>& variants,
                         const std::vector<std::size_t>& rows,
                         const std::vector<int>& labels, int classes,
                         const HeadOptions& options) {
  const Split split =
      hold_out(rows, labels, classes, options.held_out, options.seed);
  const SoftmaxLoss loss(variants, split.learned, classes,
                         options.weight_decay);
  const std::vector<MatrixView> plain = {variants.front()};
  const SoftmaxLoss held_out(plain, split.held_out, classes, 0);
  EarlyStop stop(options, split.held_out.rows.empty() ? nullptr : &held_out);
  LbfgsOptions lbfgs;
  lbfgs.max_iterations = options.max_iterations;
  SHOAL_TRY(best,
            stop.best(minimize_lbfgs(Eigen::VectorXd::Zero(loss.parameters()),
                                     std::cref(loss), std::ref(stop), lbfgs)));
  const LabelledRows all{rows, labels, balanced_weights(labels, classes)};
  return HeadFit{loss.head(best),
                 SoftmaxLoss(plain, all, classes, 0).cross_entropy(best)};
}

}  // namespace shoal::internal
