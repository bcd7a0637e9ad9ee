#include "engine/deep/internal/soft_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal::internal {
namespace {

/// (n, clusters): 1 / (1 + squared_l2), from differences, since codes may be
/// far from the origin.
Matrix kernel(MatrixView codes, MatrixView centroids) {
  Matrix out(codes.rows(), centroids.rows());
  for (Eigen::Index i = 0; i < codes.rows(); ++i) {
    for (Eigen::Index j = 0; j < centroids.rows(); ++j) {
      out(i, j) =
          1.0F / (1.0F + (codes.row(i) - centroids.row(j)).squaredNorm());
    }
  }
  return out;
}

}  // namespace

AllowedClusters::AllowedClusters(const ClusterConstraints& constraints)
    : groups_(constraints.must_link), forbidden_(constraints.forbidden) {
  std::sort(forbidden_.begin(), forbidden_.end());
}

AllowedClusters::Pairs::const_iterator AllowedClusters::first_of(
    Eigen::Index row) const {
  return std::lower_bound(forbidden_.begin(), forbidden_.end(),
                          std::pair<int, int>(static_cast<int>(row), 0));
}

int AllowedClusters::label(Eigen::Index row, Eigen::RowVectorXf q) const {
  if (group_of(row) >= 0) return group_of(row);
  for_forbidden(row, [&](int cluster) { q[cluster] = -1; });
  Eigen::Index best = 0;
  q.maxCoeff(&best);
  return static_cast<int>(best);
}

std::vector<int> AllowedClusters::labels(const Matrix& q) const {
  std::vector<int> labels(static_cast<std::size_t>(q.rows()));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    labels[i] = label(row, q.row(row));
  }
  return labels;
}

Matrix soft_assignment(MatrixView codes, MatrixView centroids) {
  Matrix q = kernel(codes, centroids);
  const Vector sums = q.rowwise().sum();
  q.array().colwise() /= sums.array();
  return q;
}

Matrix target_distribution(const Matrix& q, const AllowedClusters& allowed) {
  // In double: squares of small shares, sums over very many rows.
  const Eigen::RowVectorXd frequency =
      q.cast<double>().colwise().sum().cwiseMax(
          std::numeric_limits<double>::min());
  Matrix p = Matrix::Zero(q.rows(), q.cols());
  Eigen::RowVectorXd row(q.cols());
  for (Eigen::Index i = 0; i < q.rows(); ++i) {
    const int group = allowed.group_of(i);
    if (group >= 0) {
      p(i, group) = 1;
      continue;
    }
    row = q.row(i).cast<double>().array().square() / frequency.array();
    allowed.for_forbidden(i, [&](int cluster) { row[cluster] = 0; });
    // 0 only where all that is allowed is infinitely far: no pull then.
    const double sum = row.sum();
    if (sum > 0) p.row(i) = (row / sum).cast<float>();
  }
  return p;
}

Divergence divergence(MatrixView codes, MatrixView centroids,
                      MatrixView target) {
  const Matrix near = kernel(codes, centroids);
  const Vector sums = near.rowwise().sum();
  Divergence result;
  result.codes = Matrix::Zero(codes.rows(), codes.cols());
  result.centroids = Matrix::Zero(centroids.rows(), centroids.cols());
  const auto share = 1.0F / static_cast<float>(codes.rows());
  for (Eigen::Index i = 0; i < codes.rows(); ++i) {
    for (Eigen::Index j = 0; j < centroids.rows(); ++j) {
      const float p = target(i, j);
      const float q = near(i, j) / sums[i];
      if (p > 0) {
        result.loss +=
            p * (std::log(p) - std::log(near(i, j)) + std::log(sums[i]));
      }
      const float pull = 2 * share * (p - q) * near(i, j);
      const auto difference = codes.row(i) - centroids.row(j);
      result.codes.row(i) += pull * difference;
      result.centroids.row(j) -= pull * difference;
    }
  }
  result.loss /= static_cast<double>(codes.rows());
  return result;
}

}  // namespace shoal::internal
