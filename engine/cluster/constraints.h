#pragma once

#include <utility>
#include <vector>

#include "common/result.h"

namespace shoal {

/// What is settled before a clustering: rows of one group share a cluster,
/// rows of different groups never do, and a row may be kept out of a group's
/// cluster. Every method that takes constraints gives group g the label g.
/// Value.
struct ClusterConstraints {
  /// (n) a group 0..groups-1 or -1; empty: no row has one.
  std::vector<int> must_link;
  int groups = 0;
  /// (row, group): the row must not get that group's cluster.
  std::vector<std::pair<int, int>> forbidden;

  [[nodiscard]] bool empty() const { return groups == 0; }
  [[nodiscard]] int group_of(std::size_t row) const {
    return must_link.empty() ? -1 : must_link[row];
  }
};

/// Errors: kInvalidArgument for a wrong length, a group out of range or
/// without rows, more groups than clusters, a row forbidden in its own group,
/// a free row forbidden in every cluster.
[[nodiscard]] Result<void> check_constraints(
    const ClusterConstraints& constraints, std::size_t rows, int clusters);

}  // namespace shoal
