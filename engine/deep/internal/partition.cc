#include "engine/deep/internal/partition.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "common/check.h"

namespace shoal {
namespace {

std::vector<int> united(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(),
                 std::back_inserter(all));
  return all;
}

bool contains(const std::vector<int>& sorted, int value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

}  // namespace

Partition::Partition(std::size_t rows, const ClusterConstraints& constraints,
                     int clusters)
    : parent_(rows),
      size_(rows, 1),
      group_(rows, -1),
      groups_(constraints.groups),
      groups_only_(constraints.groups == clusters),
      count_(static_cast<int>(rows)) {
  std::iota(parent_.begin(), parent_.end(), 0);
  auto pairs = constraints.forbidden;
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  for (const auto& [row, group] : pairs) forbidden_[row].push_back(group);

  std::vector<int> first(static_cast<std::size_t>(groups_), -1);
  for (std::size_t row = 0; row < rows; ++row) {
    const int group = constraints.group_of(row);
    if (group < 0) continue;
    group_[row] = group;
    int& cluster = first[at(group)];
    const int id = static_cast<int>(row);
    cluster = cluster < 0 ? id : merge(cluster, id);
  }
}

int Partition::cluster_of(int row) const {
  while (parent_[at(row)] != row) {
    parent_[at(row)] = parent_[at(parent_[at(row)])];
    row = parent_[at(row)];
  }
  return row;
}

std::vector<int> Partition::clusters() const {
  std::vector<int> ids;
  ids.reserve(at(count_));
  for (std::size_t row = 0; row < parent_.size(); ++row) {
    if (at(parent_[row]) == row) ids.push_back(static_cast<int>(row));
  }
  return ids;
}

const std::vector<int>& Partition::forbidden(int cluster) const {
  static const std::vector<int> none;
  const auto found = forbidden_.find(cluster);
  return found == forbidden_.end() ? none : found->second;
}

bool Partition::may_merge(int a, int b) const {
  const int group_a = group(a);
  const int group_b = group(b);
  if (group_a >= 0 && group_b >= 0) return group_a == group_b;
  if (forbidden_.empty()) return true;
  if (group_a >= 0) return !contains(forbidden(b), group_a);
  if (group_b >= 0) return !contains(forbidden(a), group_b);
  return !groups_only_ ||
         united(forbidden(a), forbidden(b)).size() < at(groups_);
}

int Partition::merge(int a, int b) {
  SHOAL_CHECK(a != b && may_merge(a, b), "these clusters may not merge");
  const int kept = std::min(a, b);
  const int gone = std::max(a, b);
  if (!forbidden_.empty()) {
    auto both = united(forbidden(kept), forbidden(gone));
    forbidden_.erase(gone);
    if (!both.empty()) forbidden_[kept] = std::move(both);
  }
  parent_[at(gone)] = kept;
  size_[at(kept)] += size_[at(gone)];
  group_[at(kept)] = std::max(group_[at(kept)], group_[at(gone)]);
  --count_;
  return kept;
}

std::vector<int> Partition::labels() const {
  std::vector<int> label_of(rows(), -1);
  int next = groups_;
  for (const int id : clusters()) {
    label_of[at(id)] = group(id) >= 0 ? group(id) : next++;
  }
  std::vector<int> labels(rows());
  for (std::size_t row = 0; row < labels.size(); ++row) {
    labels[row] = label_of[at(cluster_of(static_cast<int>(row)))];
  }
  return labels;
}

}  // namespace shoal
