#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

enum class Covariance { kFull, kDiagonal };

struct GaussianMixtureOptions {
  int clusters = 8;
  Covariance covariance = Covariance::kFull;
  int restarts = 1;          ///< of k-means and EM; the best likelihood wins
  int max_iterations = 100;  ///< of EM
  double tolerance = 1e-3;   ///< gain of the mean log-likelihood that ends EM
  double regularisation = 1e-6;  ///< added to the covariances' diagonal
  std::uint64_t seed = 0;
  std::function<bool()> cancelled;
};

struct GaussianMixtureResult {
  std::vector<int> labels;         ///< (n) the most probable component
  std::vector<double> weights;     ///< (k)
  Matrix means;                    ///< (k, d)
  double mean_log_likelihood = 0;  ///< per row, natural logarithm
  int iterations = 0;
  bool converged = false;
};

/// Expectation maximisation in double, with log-sum-exp, from the best of 10
/// k-means runs (scikit-learn: of 1).
/// Full covariances cost O(n k d^2) an iteration: project on principal
/// components first when d is large.
/// @param data  (n, d), finite
/// Errors: kInvalidArgument (n < clusters, n < 2, not finite), kCancelled,
/// kInternal when a covariance stays singular in spite of the regularisation.
/// Thread-safe. Source: scikit-learn 1.2 GaussianMixture.
[[nodiscard]] Result<GaussianMixtureResult> gaussian_mixture(
    MatrixView data, const GaussianMixtureOptions& options);

}  // namespace shoal
