#include "engine/transfer/internal/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

namespace shoal::internal {
namespace {

/// A step and what it did to the gradient.
struct Pair {
  Eigen::VectorXd step;
  Eigen::VectorXd change;
  double curvature = 0;  ///< step . change, above 0
};

/// -H gradient by the two-loop recursion; the first pair is the oldest.
Eigen::VectorXd descent(const Eigen::VectorXd& gradient,
                        const std::deque<Pair>& pairs) {
  Eigen::VectorXd direction = -gradient;
  if (pairs.empty()) {
    // A first step of length at most 1.
    return direction / std::max(1.0, gradient.norm());
  }
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].step.dot(direction) / pairs[i].curvature;
    direction -= alpha[i] * pairs[i].change;
  }
  const Pair& last = pairs.back();
  direction *= last.curvature / last.change.squaredNorm();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double beta = pairs[i].change.dot(direction) / pairs[i].curvature;
    direction += (alpha[i] - beta) * pairs[i].step;
  }
  return direction;
}

}  // namespace

Eigen::VectorXd minimize_lbfgs(
    Eigen::VectorXd x,
    const std::function<double(const Eigen::VectorXd& x,
                               Eigen::VectorXd& gradient)>& function,
    const std::function<bool(const Eigen::VectorXd& x, double value)>& accepted,
    const LbfgsOptions& options) {
  constexpr double kSufficient = 1e-4;  // share of the decrease promised
  constexpr int kMaxHalvings = 30;
  Eigen::VectorXd gradient(x.size());
  double value = function(x, gradient);
  const double stop = options.tolerance * gradient.norm();
  std::deque<Pair> pairs;
  for (int i = 0; i < options.max_iterations && gradient.norm() > stop; ++i) {
    const Eigen::VectorXd direction = descent(gradient, pairs);
    const double slope = direction.dot(gradient);
    double length = 1;
    Eigen::VectorXd next;
    Eigen::VectorXd next_gradient(x.size());
    double next_value = value;
    bool lower = false;
    for (int halving = 0; halving < kMaxHalvings && !lower; ++halving) {
      next = x + length * direction;
      next_value = function(next, next_gradient);
      lower = next_value < value + kSufficient * length * slope;
      length /= 2;
    }
    if (!lower) break;
    Pair pair{next - x, next_gradient - gradient, 0};
    pair.curvature = pair.step.dot(pair.change);
    if (pair.curvature > 0) {
      pairs.push_back(std::move(pair));
      if (pairs.size() > static_cast<std::size_t>(options.memory)) {
        pairs.pop_front();
      }
    }
    x = std::move(next);
    gradient = std::move(next_gradient);
    value = next_value;
    if (!accepted(x, value)) break;
  }
  return x;
}

}  // namespace shoal::internal
