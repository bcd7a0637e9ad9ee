#pragma once

#include <utility>
#include <vector>

#include "common/matrix.h"
#include "engine/cluster/constraints.h"

namespace shoal::internal {

/// Constraints ordered for look-up by row. Immutable, thread-safe.
class AllowedClusters {
 public:
  explicit AllowedClusters(const ClusterConstraints& constraints);

  /// The only cluster that the row may get, or -1.
  [[nodiscard]] int group_of(Eigen::Index row) const {
    return groups_.empty() ? -1 : groups_[static_cast<std::size_t>(row)];
  }
  /// Calls use(cluster) for each cluster that is forbidden to the row.
  template <typename Use>
  void for_forbidden(Eigen::Index row, Use use) const {
    for (auto pair = first_of(row);
         pair != forbidden_.end() && pair->first == row; ++pair) {
      use(pair->second);
    }
  }
  /// The row's group, or the cluster with the largest share in `q` that it
  /// may get (ties: lowest index). Shares are >= 0.
  [[nodiscard]] int label(Eigen::Index row, Eigen::RowVectorXf q) const;
  /// The same for rows 0..n-1 of `q` (n, clusters).
  [[nodiscard]] std::vector<int> labels(const Matrix& q) const;

 private:
  using Pairs = std::vector<std::pair<int, int>>;
  [[nodiscard]] Pairs::const_iterator first_of(Eigen::Index row) const;

  std::vector<int> groups_;
  Pairs forbidden_;  // sorted
};

/// q_ij in proportion to 1 / (1 + squared_l2 of code i and centroid j): the
/// Student t distribution with one degree of freedom. (n, clusters), rows sum
/// to 1.
/// Source: DEC eq. (1).
Matrix soft_assignment(MatrixView codes, MatrixView centroids);

/// p_ij in proportion to q_ij^2 / sum_i q_ij. Then the constraints: rows of
/// group g become one-hot at g; a forbidden entry becomes 0 and the rest of
/// its row is scaled to sum 1.
/// Source: DEC eq. (3).
Matrix target_distribution(const Matrix& q, const AllowedClusters& allowed);

/// The mean over rows of KL(p_i || q_i) and its gradients.
struct Divergence {
  double loss = 0;
  Matrix codes;      ///< (n, d)
  Matrix centroids;  ///< (clusters, d)
};
/// @param target  (n, clusters), rows sum to 1
/// Source: DEC eq. (2), (4), (5); here divided by n.
Divergence divergence(MatrixView codes, MatrixView centroids,
                      MatrixView target);

}  // namespace shoal::internal
