#pragma once

#include <functional>

#include <Eigen/Core>

namespace shoal::internal {

struct LbfgsOptions {
  int max_iterations = 200;
  int memory = 10;  ///< pairs of steps and gradient changes kept
  /// Ends when the gradient is this much shorter than at the start.
  double tolerance = 1e-4;
};

/// Minimises a smooth function by L-BFGS with backtracking (Armijo). Every
/// accepted step lowers the value.
/// @param function  value at x; fills the gradient, of x's size
/// @param accepted  called after every step; false ends
/// @return the last accepted point
/// Source: Nocedal & Wright 2006, algorithms 7.4 and 3.1.
[[nodiscard]] Eigen::VectorXd minimize_lbfgs(
    Eigen::VectorXd x,
    const std::function<double(const Eigen::VectorXd& x,
                               Eigen::VectorXd& gradient)>& function,
    const std::function<bool(const Eigen::VectorXd& x, double value)>& accepted,
    const LbfgsOptions& options);

}  // namespace shoal::internal
