#pragma once

#include <cstddef>
#include <vector>

#include "common/result.h"
#include "engine/cluster/agglomerative.h"
#include "engine/cluster/internal/condensed.h"

namespace shoal::internal {

/// Sets of rows that only ever join.
class DisjointSets {
 public:
  explicit DisjointSets(std::size_t n);
  [[nodiscard]] int find(int row);
  /// @param a, b  representatives; `a` stands for both from now on
  void join(int a, int b) { parent_[static_cast<std::size_t>(b)] = a; }

 private:
  std::vector<int> parent_;
};

/// The labels of the sets numbered by their first row.
[[nodiscard]] std::vector<int> labels_by_first_row(DisjointSets& sets,
                                                   std::size_t rows);

/// A merge as found: any row of each of the two clusters.
struct FoundMerge {
  int row_a = 0;
  int row_b = 0;
  double distance = 0;
};

/// Names the clusters of merges in their order and cuts the tree after
/// rows - clusters of them.
[[nodiscard]] AgglomerativeResult make_tree(
    const std::vector<FoundMerge>& merges, std::size_t rows, int clusters);

/// Merges by the nearest-neighbour chain and the Lance-Williams update, by
/// rising distance. `distances` is used up; ward wants squared ones.
/// @param sizes  how many rows each of the things stands for
/// Errors: kCancelled.
[[nodiscard]] Result<std::vector<FoundMerge>> merge_by_chain(
    CondensedDistances distances, std::vector<double> sizes, Linkage linkage,
    const std::function<bool()>& cancelled);

/// Errors: kInvalidArgument for fewer rows than clusters or no clusters.
[[nodiscard]] Result<void> check_cluster_number(std::size_t rows, int clusters);

[[nodiscard]] Error agglomeration_cancelled();

}  // namespace shoal::internal
