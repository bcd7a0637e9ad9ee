#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "engine/cluster/constraints.h"

namespace shoal {

/// n rows on their way from many clusters to `clusters` of them, under
/// constraints that no merge can break. A cluster's id is its lowest row.
/// What may not merge now may never merge later, and as long as there are more
/// than `clusters` some two may merge. Owner-thread.
class Partition {
 public:
  /// Every row alone, but for the rows of a group, which are together.
  /// @param constraints  valid for `rows` and `clusters`
  Partition(std::size_t rows, const ClusterConstraints& constraints,
            int clusters);

  [[nodiscard]] std::size_t rows() const { return parent_.size(); }
  [[nodiscard]] int count() const { return count_; }
  /// The id of the row's cluster.
  [[nodiscard]] int cluster_of(int row) const;
  [[nodiscard]] int size(int cluster) const { return size_[at(cluster)]; }
  /// The cluster's group or -1.
  [[nodiscard]] int group(int cluster) const { return group_[at(cluster)]; }
  /// By rising id.
  [[nodiscard]] std::vector<int> clusters() const;

  /// @param a, b  ids of two different clusters
  [[nodiscard]] bool may_merge(int a, int b) const;
  /// @pre may_merge(a, b)
  /// @return the id of both: the lower one
  int merge(int a, int b);

  /// (n) 0..count-1: group g has label g, the others follow by lowest row.
  [[nodiscard]] std::vector<int> labels() const;

 private:
  static std::size_t at(int row) { return static_cast<std::size_t>(row); }
  [[nodiscard]] const std::vector<int>& forbidden(int cluster) const;

  mutable std::vector<int> parent_;  // (n) halved paths towards the id
  std::vector<int> size_;            // (n) valid at ids
  std::vector<int> group_;           // (n) valid at ids
  /// Groups that a cluster must not join, sorted; few clusters have any.
  std::unordered_map<int, std::vector<int>> forbidden_;
  int groups_ = 0;
  /// Every cluster at the end is a group's: no cluster may be shut out of all.
  bool groups_only_ = false;
  int count_ = 0;
};

}  // namespace shoal
