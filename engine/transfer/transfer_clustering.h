#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/constraints.h"

namespace shoal {

/// What a net says of some rows.
struct Prediction {
  std::vector<int> labels;  ///< (rows) the most probable class
  Matrix features;          ///< (rows, d) what its classifier sees
  Matrix probabilities;     ///< (rows, classes)
};

/// A pretrained net that learns classes from a few of the rows. Owner-thread.
class TransferLearner {
 public:
  virtual ~TransferLearner() = default;

  /// Starts from the pretrained net, not from the fit before (TL eq. 14).
  /// Classes without a row are never predicted.
  /// @param rows    at least one, ascending
  /// @param labels  (rows) 0..classes-1
  /// @return the mean cross-entropy of `rows` under what was learned
  [[nodiscard]] virtual Result<double> fit(const std::vector<std::size_t>& rows,
                                           const std::vector<int>& labels,
                                           int classes) = 0;

  /// By the net of the last fit.
  [[nodiscard]] virtual Result<Prediction> predict(
      const std::vector<std::size_t>& rows) = 0;
};

enum class BootMethod { kKMeans, kGaussianMixture };
/// Euclidean, sum of absolute differences, largest absolute difference.
enum class RowDistance { kEuclidean, kCityBlock, kChessboard };

struct TransferOptions {
  int clusters = 8;
  BootMethod boot = BootMethod::kKMeans;
  /// Principal components that the Gaussian mixture sees.
  int mixture_components = 32;
  double initial_share = 0.2;  ///< Delta; without prior knowledge near 1/K
  double share_step = 0.1;     ///< delta
  int max_iterations = 20;     ///< k_max
  RowDistance distance = RowDistance::kEuclidean;
  std::uint64_t seed = 0;
  /// Whether a row may be confirmed; asked anew in every iteration. Empty:
  /// every row may.
  std::function<bool(std::size_t row)> gate;
  std::function<bool()> cancelled;
  /// @param stage  a word or two; @param fraction  of the whole, 0..1
  std::function<void(std::string_view stage, double fraction)> progress;
};

/// What one iteration did.
struct TransferIteration {
  std::vector<int> labels;    ///< (n) at its end
  std::size_t confirmed = 0;  ///< rows with a final label at its end
  double share = 0;           ///< Delta
  double loss = 0;            ///< of the learner's fit
};

struct TransferResult {
  std::vector<int> labels;  ///< (n), 0..clusters-1; group g has label g
  /// (n) the iteration, from 0, that made the label final; -1: none did (the
  /// row was settled before, or the last prediction labels it).
  std::vector<int> confirmed_in;
  Matrix features;               ///< (n, d) by the last net
  std::vector<int> boot_labels;  ///< (n) of the boot stage
  std::vector<TransferIteration> iterations;
};

/// Clustering by turns of confirming and transfer learning (TL section 3.4,
/// algorithm 1; ALGORITHMS section 6, S1-S11). Boot features give labels; in
/// each iteration the share Delta of each cluster's open rows that is closest
/// to the cluster's centre becomes final, the learner is fitted to all final
/// rows, and its prediction labels the open ones.
///
/// Delta is a share of the cluster's open rows (S3 works on X_s), rounded up:
/// every cluster that has open rows confirms at least one. The centre is the
/// mean of the cluster's open rows, in the boot features in iteration 0 and
/// in the net's features later: S8 gives features to X_s alone. A row that
/// the gate refuses counts in the share but is passed over. Ends when no row
/// is open, when k_max is reached, or when the gate refuses all open rows.
///
/// Always true: no row is confirmed twice; every iteration confirms at least
/// one row; a final label stays; every row has a label at the end, and no row
/// one that is forbidden to it.
/// @param boot_features  (n, d), finite
/// @param constraints    rows of a group are final from the start
/// Errors: kInvalidArgument, kCancelled, kInternal when the learner's answer
/// has a wrong shape, those of boot and learner.
/// Cost: beside the learner's O(n d) per iteration. Thread: owner of `learner`.
/// Departures from the source: docs/transfer.md.
[[nodiscard]] Result<TransferResult> transfer_clustering(
    MatrixView boot_features, TransferLearner& learner,
    const ClusterConstraints& constraints, const TransferOptions& options);

}  // namespace shoal
