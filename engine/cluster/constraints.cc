#include "engine/cluster/constraints.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace shoal {
namespace {

Result<void> check_groups(const ClusterConstraints& constraints,
                          std::size_t rows, int clusters) {
  const int groups = constraints.groups;
  if (groups < 0 || groups > clusters) {
    return invalid_argument("constraints: " + std::to_string(groups) +
                            " groups for " + std::to_string(clusters) +
                            " clusters; each group needs one of its own");
  }
  const std::vector<int>& must_link = constraints.must_link;
  if (!must_link.empty() && must_link.size() != rows) {
    return invalid_argument("constraints: " + std::to_string(must_link.size()) +
                            " groups of rows for " + std::to_string(rows) +
                            " rows");
  }
  std::vector<bool> used(static_cast<std::size_t>(groups), false);
  for (std::size_t row = 0; row < must_link.size(); ++row) {
    const int group = must_link[row];
    if (group < -1 || group >= groups) {
      return invalid_argument("constraints: row " + std::to_string(row) +
                              " is in group " + std::to_string(group) + " of " +
                              std::to_string(groups));
    }
    if (group >= 0) used[static_cast<std::size_t>(group)] = true;
  }
  const auto unused = std::find(used.begin(), used.end(), false);
  if (unused != used.end()) {
    return invalid_argument("constraints: group " +
                            std::to_string(unused - used.begin()) +
                            " has no rows");
  }
  return ok();
}

Result<void> check_forbidden(const ClusterConstraints& constraints,
                             std::size_t rows, int clusters) {
  auto forbidden = constraints.forbidden;
  std::sort(forbidden.begin(), forbidden.end());
  forbidden.erase(std::unique(forbidden.begin(), forbidden.end()),
                  forbidden.end());
  int in_row = 0;
  for (std::size_t i = 0; i < forbidden.size(); ++i) {
    const auto [row, group] = forbidden[i];
    if (row < 0 || static_cast<std::size_t>(row) >= rows || group < 0 ||
        group >= constraints.groups) {
      return invalid_argument("constraints: forbidden pair (" +
                              std::to_string(row) + ", " +
                              std::to_string(group) + ") is out of range");
    }
    const int own = constraints.group_of(static_cast<std::size_t>(row));
    if (own == group) {
      return invalid_argument("constraints: row " + std::to_string(row) +
                              " is forbidden in its own group " +
                              std::to_string(group));
    }
    const bool same_row = i > 0 && forbidden[i - 1].first == row;
    in_row = same_row ? in_row + 1 : 1;
    if (own < 0 && in_row == clusters) {
      return invalid_argument("constraints: row " + std::to_string(row) +
                              " is forbidden in every cluster");
    }
  }
  return ok();
}

}  // namespace

Result<void> check_constraints(const ClusterConstraints& constraints,
                               std::size_t rows, int clusters) {
  SHOAL_TRY(check_groups(constraints, rows, clusters));
  return check_forbidden(constraints, rows, clusters);
}

}  // namespace shoal
