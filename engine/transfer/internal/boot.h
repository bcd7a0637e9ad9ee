#pragma once

#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/constraints.h"
#include "engine/transfer/transfer_clustering.h"

namespace shoal::internal {

/// Whether `row` must not get `cluster`, for many questions. Immutable.
class ForbiddenClusters {
 public:
  explicit ForbiddenClusters(const ClusterConstraints& constraints);
  [[nodiscard]] bool operator()(std::size_t row, int cluster) const;
  /// The column of the largest allowed value of `row`; ties: lowest.
  [[nodiscard]] int best_allowed(
      std::size_t row,
      const Eigen::Ref<const Eigen::RowVectorXf>& values) const;

 private:
  std::vector<std::pair<int, int>> pairs_;  // sorted
};

/// S1-S2: labels from the boot features that keep the constraints.
/// @return (n)
[[nodiscard]] Result<std::vector<int>> boot_labels(
    MatrixView features, const ClusterConstraints& constraints,
    const TransferOptions& options);

}  // namespace shoal::internal
