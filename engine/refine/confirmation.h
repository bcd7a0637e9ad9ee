#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/matrix.h"

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
  const Matrix& embeddings;          ///< (n, d)
  int clusters = 0;
};

/// The rows whose label a run makes final: of every cluster's open members the
/// share nearest to the centroid, rounded up, less those on which the views do
/// not agree enough. A wrong confirmation is for ever, so clusters that are
/// small or look like two (looks_like_two, views_split) confirm nothing.
/// @return (n) 1: confirmed now
/// Thread-safe. Source: TL paper S3; the guards are ours.
[[nodiscard]] std::vector<std::uint8_t> choose_confirmed(
    const ConfirmationInput& input, const ConfirmationOptions& options);

/// True when the rows fall into two heaps along their main axis: cut where the
/// two sides' variances are least, each side holds a tenth of the rows, two at
/// least, and their means are far apart (Ashman's D above 5; a normal
/// distribution cut in two has 2.7, an even one 3.5, views of a turning object
/// up to 4.1). A few rows of one heap may look like two by chance.
/// @param rows  (m, d)
/// Source: Otsu 1979 (the cut), Ashman et al. 1994 (D).
[[nodiscard]] bool looks_like_two(const Matrix& rows);

/// True when the views disagree on whether the rows are one cluster: two views
/// or more, and at least a third of all, put a quarter of them or more in a
/// cluster other than the one that holds most.
/// @param rows  of the partitions; those that a view does not know are passed
///   over
[[nodiscard]] bool views_split(const std::vector<std::vector<int>>& partitions,
                               const std::vector<std::size_t>& rows);

}  // namespace shoal
