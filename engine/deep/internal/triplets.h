#pragma once

#include <random>
#include <vector>

#include "common/matrix.h"

namespace shoal {

/// Rows of one batch: anchor and positive are of a cluster, negative is not.
struct Triplet {
  int anchor = 0;
  int positive = 0;
  int negative = 0;
};

struct TripletLoss {
  double value = 0;
  Matrix gradient;  ///< (b, width) by z
};

/// The mean over the triplets of
///   max(0, gamma |z_a - z_p|^2 - |z_a - z_n|^2 + margin).
/// @param z  (b, width)
/// @param triplets  at least one
/// Cost: O(b^2 width + triplets). Source: Yang et al. 2016, their weighted
/// triplet loss.
[[nodiscard]] TripletLoss triplet_loss(MatrixView z,
                                       const std::vector<Triplet>& triplets,
                                       double gamma, double margin);

/// Makes the batches of an epoch. Random batches of many small clusters hold
/// hardly any two rows of one cluster, so half of a batch are anchors and the
/// other half rows drawn from the anchors' clusters: in an epoch each row that
/// is not alone in its cluster is an anchor once.
class TripletSampler {
 public:
  /// @param labels  (n) 0..k-1
  /// @param batch  rows, at least 2
  explicit TripletSampler(const std::vector<int>& labels, int batch);

  /// A new random order of the anchors.
  void shuffle(std::mt19937_64& random);
  [[nodiscard]] int batches() const;
  /// @return row indices, rows of a cluster side by side
  [[nodiscard]] std::vector<int> batch(int number, std::mt19937_64& random);
  /// All pairs of a cluster within a batch, each with `negatives` rows of the
  /// batch drawn from outside of the cluster; none when it is all one cluster.
  /// @param rows  what `batch` returned
  [[nodiscard]] std::vector<Triplet> triplets(const std::vector<int>& rows,
                                              int negatives,
                                              std::mt19937_64& random) const;

 private:
  const std::vector<int>& labels_;
  int anchors_per_batch_ = 0;
  std::vector<int> first_;    // (k + 1) of each label's rows in members_
  std::vector<int> members_;  // (n) by label
  std::vector<int> place_;    // (n) of a row in members_
  std::vector<int> anchors_;
};

}  // namespace shoal
