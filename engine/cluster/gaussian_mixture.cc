#include "engine/cluster/gaussian_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "engine/cluster/kmeans.h"
#include "engine/score/distances.h"

extern "C" {
void dsyrk_(const char* half, const char* transpose, const int* n, const int* k,
            const double* alpha, const double* a, const int* lda,
            const double* beta, double* c, const int* ldc);
void dtrmm_(const char* side, const char* half, const char* transpose,
            const char* diagonal, const int* m, const int* n,
            const double* alpha, const double* a, const int* lda, double* b,
            const int* ldb);
void dtrtri_(const char* half, const char* diagonal, const int* n, double* a,
             const int* lda, int* info);
void dpotrf_(const char* half, const int* n, double* a, const int* lda,
             int* info);
}

namespace shoal {
namespace {

/// Rows turned to double at a time: the data need no copy of twice their size.
constexpr Eigen::Index kBlockRows = 1024;
constexpr double kLogTwoPi = 1.8378770664093454836;
/// Of the k-means that each EM starts from.
constexpr int kSeedRestarts = 10;

struct Problem {
  MatrixView data;
  const GaussianMixtureOptions& options;
  /// Taken off the data, so that nothing far from zero cancels.
  Eigen::VectorXd origin;
};

struct Component {
  double weight = 0;
  Eigen::VectorXd mean;  // less the origin
  /// What makes the differences to the mean uncorrelated and of deviation 1.
  /// Full: the inverse of the covariance's lower Cholesky factor (d, d);
  /// diagonal: one over the deviations (d, 1).
  Eigen::MatrixXd whitening;
  double log_determinant = 0;  // of the whitening
};

using Mixture = std::vector<Component>;

Error cancelled_error() {
  return {ErrorCode::kCancelled, "the Gaussian mixture was cancelled"};
}

bool is_cancelled(const Problem& problem) {
  return problem.options.cancelled && problem.options.cancelled();
}

/// (d, count) rows less the origin, a row in each column.
Eigen::MatrixXd block_of(const Problem& problem, Eigen::Index start,
                         Eigen::Index count) {
  return (problem.data.middleRows(start, count).cast<double>().rowwise() -
          problem.origin.transpose())
      .transpose();
}

/// Calls `use(start, block)` for all rows.
template <typename Use>
void for_blocks(const Problem& problem, Use use) {
  for (Eigen::Index start = 0; start < problem.data.rows();
       start += kBlockRows) {
    use(start, block_of(problem, start,
                        std::min(kBlockRows, problem.data.rows() - start)));
  }
}

/// Squared Mahalanobis distances of rows, one in each column, to a component.
Eigen::VectorXd mahalanobis(const Component& component, Covariance kind,
                            const Eigen::MatrixXd& rows) {
  Eigen::MatrixXd difference = rows.colwise() - component.mean;
  if (kind == Covariance::kDiagonal) {
    difference.array().colwise() *= component.whitening.col(0).array();
  } else {
    const int d = static_cast<int>(rows.rows());
    const int count = static_cast<int>(rows.cols());
    const double one = 1;
    dtrmm_("L", "L", "N", "N", &d, &count, &one, component.whitening.data(), &d,
           difference.data(), &d);
  }
  return difference.colwise().squaredNorm();
}

/// E-step: the share of each component in each row.
/// @param shares  (n, k) receives them
/// @return the mean log-likelihood of the rows
double expect(const Problem& problem, const Mixture& mixture,
              Eigen::MatrixXd& shares) {
  const auto d = static_cast<double>(problem.data.cols());
  double sum = 0;
  for_blocks(problem, [&](Eigen::Index start, const Eigen::MatrixXd& block) {
    auto logs = shares.middleRows(start, block.cols());
    for (std::size_t j = 0; j < mixture.size(); ++j) {
      const Component& component = mixture[j];
      const double constant = std::log(component.weight) +
                              component.log_determinant - d * kLogTwoPi / 2;
      logs.col(static_cast<Eigen::Index>(j)) =
          constant -
          mahalanobis(component, problem.options.covariance, block).array() / 2;
    }
    const Eigen::ArrayXd highest = logs.rowwise().maxCoeff();
    logs.array().colwise() -= highest;
    logs = logs.array().exp();
    const Eigen::ArrayXd sums = logs.rowwise().sum();
    logs.array().colwise() /= sums;
    sum += (highest + sums.log()).sum();
  });
  return sum / static_cast<double>(problem.data.rows());
}

/// Adds share * (x - mean) (x - mean)' of a block of rows.
void add_scatter(const Problem& problem, const Component& component,
                 const Eigen::Ref<const Eigen::VectorXd>& shares,
                 const Eigen::MatrixXd& block, Eigen::MatrixXd& scatter) {
  Eigen::MatrixXd rows = block.colwise() - component.mean;
  if (problem.options.covariance == Covariance::kDiagonal) {
    scatter.col(0) += rows.array().square().matrix() * shares;
    return;
  }
  rows.array().rowwise() *= shares.transpose().array().sqrt();
  const int d = static_cast<int>(rows.rows());
  const int count = static_cast<int>(rows.cols());
  const double one = 1;
  dsyrk_("L", "N", &d, &count, &one, rows.data(), &d, &one, scatter.data(), &d);
}

/// Sets the component's whitening for its covariance.
Result<void> whiten(const Problem& problem, Eigen::MatrixXd covariance,
                    std::size_t number, Component& component) {
  const Error singular = internal_error(
      "Gaussian mixture: the covariance of component " +
      std::to_string(number) +
      " is singular; a larger regularisation or fewer clusters help");
  const double added = problem.options.regularisation;
  if (problem.options.covariance == Covariance::kDiagonal) {
    covariance.array() += added;
    if (!(covariance.minCoeff() > 0)) return singular;
    component.whitening = covariance.array().rsqrt();
    component.log_determinant = component.whitening.array().log().sum();
    return ok();
  }
  covariance.diagonal().array() += added;
  const int d = static_cast<int>(covariance.rows());
  int info = 0;
  dpotrf_("L", &d, covariance.data(), &d, &info);
  if (info != 0) return singular;
  dtrtri_("L", "N", &d, covariance.data(), &d, &info);
  if (info != 0) return singular;
  component.log_determinant = covariance.diagonal().array().log().sum();
  component.whitening = std::move(covariance);
  return ok();
}

/// M-step: the components that the shares call for.
Result<Mixture> maximise(const Problem& problem,
                         const Eigen::MatrixXd& shares) {
  const Eigen::Index d = problem.data.cols();
  const Eigen::Index k = shares.cols();
  // As scikit-learn: a component without rows divides by no zero.
  const Eigen::VectorXd sizes = shares.colwise().sum().transpose().array() +
                                10 * std::numeric_limits<double>::epsilon();
  Eigen::MatrixXd means = Eigen::MatrixXd::Zero(d, k);
  for_blocks(problem, [&](Eigen::Index start, const Eigen::MatrixXd& block) {
    means += block * shares.middleRows(start, block.cols());
  });
  Mixture mixture(static_cast<std::size_t>(k));
  const bool diagonal = problem.options.covariance == Covariance::kDiagonal;
  for (Eigen::Index j = 0; j < k; ++j) {
    Component& component = mixture[static_cast<std::size_t>(j)];
    component.mean = means.col(j) / sizes[j];
    component.weight = sizes[j] / sizes.sum();
  }
  std::vector<Eigen::MatrixXd> scatter(
      mixture.size(), Eigen::MatrixXd::Zero(d, diagonal ? 1 : d));
  for_blocks(problem, [&](Eigen::Index start, const Eigen::MatrixXd& block) {
    for (Eigen::Index j = 0; j < k; ++j) {
      const auto at = static_cast<std::size_t>(j);
      add_scatter(problem, mixture[at],
                  shares.col(j).segment(start, block.cols()), block,
                  scatter[at]);
    }
  });
  for (std::size_t j = 0; j < mixture.size(); ++j) {
    SHOAL_TRY(whiten(problem, scatter[j] / sizes[static_cast<Eigen::Index>(j)],
                     j, mixture[j]));
  }
  return mixture;
}

Result<Eigen::MatrixXd> kmeans_shares(const Problem& problem,
                                      std::uint64_t seed) {
  KMeansOptions options;
  options.clusters = problem.options.clusters;
  options.restarts = kSeedRestarts;
  options.seed = seed;
  options.cancelled = problem.options.cancelled;
  SHOAL_TRY(partition, kmeans(problem.data, options));
  Eigen::MatrixXd shares =
      Eigen::MatrixXd::Zero(problem.data.rows(), options.clusters);
  for (Eigen::Index i = 0; i < shares.rows(); ++i) {
    shares(i, partition.labels[static_cast<std::size_t>(i)]) = 1;
  }
  return shares;
}

GaussianMixtureResult describe(const Problem& problem, const Mixture& mixture,
                               const Eigen::MatrixXd& shares) {
  GaussianMixtureResult result;
  result.means.resize(static_cast<Eigen::Index>(mixture.size()),
                      problem.data.cols());
  for (std::size_t j = 0; j < mixture.size(); ++j) {
    result.weights.push_back(mixture[j].weight);
    result.means.row(static_cast<Eigen::Index>(j)) =
        (mixture[j].mean + problem.origin).transpose().cast<float>();
  }
  for (Eigen::Index i = 0; i < shares.rows(); ++i) {
    Eigen::Index most = 0;
    shares.row(i).maxCoeff(&most);
    result.labels.push_back(static_cast<int>(most));
  }
  return result;
}

Result<GaussianMixtureResult> run_once(const Problem& problem,
                                       std::uint64_t seed) {
  SHOAL_TRY(shares, kmeans_shares(problem, seed));
  SHOAL_TRY(mixture, maximise(problem, shares));
  double likelihood = expect(problem, mixture, shares);
  int iterations = 0;
  bool converged = false;
  while (!converged && iterations < problem.options.max_iterations) {
    if (is_cancelled(problem)) return cancelled_error();
    ++iterations;
    SHOAL_TRY(next, maximise(problem, shares));
    mixture = std::move(next);
    const double before =
        std::exchange(likelihood, expect(problem, mixture, shares));
    converged = std::abs(likelihood - before) < problem.options.tolerance;
  }
  GaussianMixtureResult result = describe(problem, mixture, shares);
  result.mean_log_likelihood = likelihood;
  result.iterations = iterations;
  result.converged = converged;
  return result;
}

Result<void> check(MatrixView data, const GaussianMixtureOptions& options) {
  if (options.clusters < 1 || options.restarts < 1 ||
      options.max_iterations < 1) {
    return invalid_argument(
        "Gaussian mixture: clusters, restarts and iterations must be at least "
        "1");
  }
  if (!(options.tolerance >= 0) || !(options.regularisation >= 0)) {
    return invalid_argument(
        "Gaussian mixture: tolerance and regularisation must not be negative");
  }
  if (data.cols() < 1 || data.rows() < 2 || data.rows() < options.clusters) {
    return invalid_argument("Gaussian mixture: " + std::to_string(data.rows()) +
                            " rows of " + std::to_string(data.cols()) +
                            " values for " + std::to_string(options.clusters) +
                            " clusters; 2 rows are needed");
  }
  if (!data.allFinite()) {
    return invalid_argument(
        "Gaussian mixture: the data hold a value that is not finite");
  }
  return ok();
}

}  // namespace

Result<GaussianMixtureResult> gaussian_mixture(
    MatrixView data, const GaussianMixtureOptions& options) {
  SHOAL_TRY(check(data, options));
  const Problem problem{data, options, mean_row(data).cast<double>()};
  std::mt19937_64 seeds(options.seed);
  GaussianMixtureResult best;
  for (int restart = 0; restart < options.restarts; ++restart) {
    SHOAL_TRY(result, run_once(problem, seeds()));
    if (restart == 0 || result.mean_log_likelihood > best.mean_log_likelihood) {
      best = std::move(result);
    }
  }
  return best;
}

}  // namespace shoal
