#pragma once

#include <vector>

#include "common/ids.h"
#include "common/matrix.h"
#include "common/prototype.h"

namespace shoal {

/// Where an arrival belongs.
struct Assignment {
  ClusterId cluster;     ///< none: novel, stays in the unassigned pool
  ClusterId nearest;     ///< the nearest allowed cluster, also when novel
  float confidence = 0;  ///< Student-t q of `nearest` among all clusters
  float distance = 0;    ///< to the nearest prototype of `nearest`
};

/// Nearest-centroid assignment with a per-prototype novelty threshold
/// (ALGORITHMS section 8). A cluster's distance is that to its nearest
/// prototype; confidence is q_j = (1 + d_j^2)^-1 / sum_k (1 + d_k^2)^-1 over
/// clusters k (MV paper, section 3.1: Student t, one degree of freedom).
/// Immutable, thread-safe.
class Assigner {
 public:
  struct Cluster {
    ClusterId id;
    std::vector<Prototype> prototypes;
  };

  Assigner() = default;
  /// Clusters without prototypes take no arrivals.
  explicit Assigner(const std::vector<Cluster>& clusters);

  [[nodiscard]] bool empty() const { return prototype_cluster_.empty(); }

  /// @param embedding  (d)
  /// @param forbidden  clusters that a person ruled out for this image
  /// Cost O(prototypes * d); no allocation beyond O(clusters).
  [[nodiscard]] Assignment assign(
      const Eigen::Ref<const Vector>& embedding,
      const std::vector<ClusterId>& forbidden) const;

 private:
  std::vector<ClusterId> clusters_;
  std::vector<int> prototype_cluster_;
  std::vector<float> thresholds_;
  Matrix centroids_;
};

/// How many of the rows have at least kFellows others within `radius`.
/// @param rows  (n, d), n small: the cost is O(n^2 d)
[[nodiscard]] std::size_t rows_with_fellows(const Matrix& rows, float radius);

inline constexpr int kFellows = 3;

}  // namespace shoal
