#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

struct ConfirmationOptions {
  /// Delta: of each cluster's open members the nearest to its centroid that
  /// may be confirmed. 0: none is.
  double share = 0.2;
  /// Least agreement of the views (agreement_with_cluster); members whose
  /// agreement is not known pass only at 0.
  double min_agreement = 0.8;
  /// A cluster with fewer members confirms nothing.
  int min_members = 10;
};

/// What a run found, row by row.
struct ConfirmationInput {
  const std::vector<int>& labels;       ///< (n) 0..clusters-1, -1: pool
  const std::vector<float>& distances;  ///< (n) to the own centroid
  /// Per view (n) the view's own clusters, -1 where unknown; may be empty.
  const std::vector<std::vector<int>>& partitions;
  const std::vector<bool>& settled;  ///< (n) fixed before
  int clusters = 0;
  /// Rows of one cluster, kLookedAt at most, as loosest_cut is to see them:
  /// (rows, d).
  std::function<Result<Matrix>(const std::vector<std::size_t>&)> rows;
};

/// The rows whose label a run makes final: of every cluster's open members the
/// share nearest to the centroid, rounded up, less those on which the views do
/// not agree enough. A wrong confirmation is for ever, so clusters that are
/// small or look like two (loosest_cut, views_split) confirm nothing.
/// @return (n) 1: confirmed now
/// Errors: those of `rows`.
/// Thread-safe. Source: TL paper S3; the guards are ours.
[[nodiscard]] Result<std::vector<std::uint8_t>> choose_confirmed(
    const ConfirmationInput& input, const ConfirmationOptions& options);

/// How easily the rows fall into two heaps: the least share of edges that a cut
/// of the graph of every row's nearest rows (a quarter of them, 5 to 10) cuts
/// of either side's, with a tenth of the rows, two at least, on each side. 0:
/// they fall apart; 1: too few rows. A round cloud and a long one hold
/// together, and so do the views of a turning object, which are a ring:
/// docs/results.md. Of more than kLookedAt rows only so many, evenly, are
/// looked at.
/// @param rows  (m, d)
/// Source: Shi & Malik 2000 (the cut's start: the second eigenvector);
/// Andersen et al. 2006 (the sweep for the least conductance).
[[nodiscard]] double loosest_cut(const Matrix& rows);

/// A cluster looks like two when its loosest cut is below the one, or below
/// this part of the median of the run's clusters.
inline constexpr double kLooseCut = 0.03;
inline constexpr double kLooserThanOthers = 0.45;
inline constexpr std::size_t kLookedAt = 200;

/// True when the views disagree on whether the rows are one cluster: two views
/// or more, and at least a third of all, put a quarter of them or more in a
/// cluster other than the one that holds most.
/// @param rows  of the partitions; those that a view does not know are passed
///   over
[[nodiscard]] bool views_split(const std::vector<std::vector<int>>& partitions,
                               const std::vector<std::size_t>& rows);

}  // namespace shoal
