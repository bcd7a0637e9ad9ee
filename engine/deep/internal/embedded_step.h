#pragma once

#include <vector>

#include "common/matrix.h"
#include "engine/deep/embedded_clustering.h"
#include "engine/deep/internal/autoencoder.h"
#include "engine/deep/internal/soft_assignment.h"

namespace shoal::internal {

/// A step's loss in its parts, each before its weight.
struct EmbeddedLoss {
  double reconstruction = 0;  ///< DEC: 0
  double clustering = 0;      ///< KL(P||Q), or mean squared_l2 to centroids
};

/// The net and the centroids of the second phase, and one step of each
/// method on a batch. Owner-thread.
class EmbeddedState {
 public:
  /// @param centroids  (clusters, code)
  /// @param counts  (clusters) the rows that each centroid is the mean of
  EmbeddedState(Autoencoder net, Matrix centroids, std::vector<double> counts);

  /// DEC: down KL(P||Q). The net and the centroids move by Adam.
  /// @param target  (rows of batch, clusters)
  /// Source: Xie et al. 2016, eq. (2) to (5).
  EmbeddedLoss step_dec(MatrixView batch, MatrixView target,
                        const AdamStep& step);
  /// IDEC: down reconstruction (mean per value) + `weight` KL(P||Q).
  /// Source: Guo et al. 2017, eq. (6) to (11).
  EmbeddedLoss step_idec(MatrixView batch, MatrixView target, double weight,
                         const AdamStep& step);
  /// DCN: the net moves down reconstruction (squared_l2, mean over rows) +
  /// `weight`/2 squared_l2 to the own centroid; then the rows get the nearest
  /// centroid that they may get, and then each moves that by 1/count.
  /// @param rows  the batch's rows in the data
  /// @param labels  (n) of all the data; those of `rows` are renewed
  /// Source: Yang et al. 2017, eq. (5) to (8), algorithm 1.
  EmbeddedLoss step_dcn(MatrixView batch, const std::vector<int>& rows,
                        const AllowedClusters& allowed,
                        std::vector<int>& labels, double weight,
                        const AdamStep& step);

  [[nodiscard]] Autoencoder& net() { return net_; }
  [[nodiscard]] const Matrix& centroids() const { return centroids_; }

 private:
  void move_centroids(const Matrix& gradient, const AdamStep& step);

  Autoencoder net_;
  Matrix centroids_;
  std::vector<double> counts_;
  AdamState centroid_state_;
};

}  // namespace shoal::internal
