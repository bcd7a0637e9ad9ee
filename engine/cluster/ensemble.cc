#include "engine/cluster/ensemble.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "engine/cluster/internal/condensed.h"
#include "engine/cluster/internal/merge_tree.h"

namespace shoal {
namespace {

Result<void> check_partitions(const std::vector<std::vector<int>>& partitions) {
  if (partitions.empty() || partitions.front().empty()) {
    return invalid_argument(
        "ensemble: at least one partition of one row is "
        "needed");
  }
  for (const auto& partition : partitions) {
    if (partition.size() != partitions.front().size()) {
      return invalid_argument("ensemble: partitions of " +
                              std::to_string(partitions.front().size()) +
                              " and " + std::to_string(partition.size()) +
                              " rows");
    }
  }
  return ok();
}

/// The different combinations of labels, in the order of their first rows.
struct Combinations {
  std::vector<std::size_t> first;  // (u) row
  std::vector<double> rows;        // (u) how many have it
  std::vector<std::size_t> of;     // (n) 0..u-1
};

Combinations combinations_of(const std::vector<std::vector<int>>& partitions) {
  const std::size_t n = partitions.front().size();
  const auto less = [&](std::size_t a, std::size_t b) {
    for (const auto& partition : partitions) {
      if (partition[a] != partition[b]) return partition[a] < partition[b];
    }
    return false;
  };
  std::map<std::size_t, std::size_t, decltype(less)> known(less);
  Combinations found;
  found.of.reserve(n);
  for (std::size_t row = 0; row < n; ++row) {
    const auto [at, is_new] = known.emplace(row, found.first.size());
    if (is_new) {
      found.first.push_back(row);
      found.rows.push_back(0);
    }
    found.rows[at->second] += 1;
    found.of.push_back(at->second);
  }
  return found;
}

/// One minus the share of partitions in which two combinations are together.
Result<internal::CondensedDistances> co_association_distances(
    const std::vector<std::vector<int>>& partitions,
    const Combinations& combinations, const std::function<bool()>& cancelled) {
  const std::size_t u = combinations.first.size();
  SHOAL_TRY(distances, internal::CondensedDistances::make(u));
  const float share = 1.0F / static_cast<float>(partitions.size());
  std::vector<int> labels(u);
  for (const auto& partition : partitions) {
    if (cancelled && cancelled()) return internal::agglomeration_cancelled();
    for (std::size_t i = 0; i < u; ++i) {
      labels[i] = partition[combinations.first[i]];
      float* row = distances.row(i);
      for (std::size_t j = 0; j < i; ++j) {
        row[j] += labels[i] == labels[j] ? 0.0F : share;
      }
    }
  }
  return std::move(distances);
}

}  // namespace

Result<Matrix> concatenate_views(const std::vector<Matrix>& views) {
  if (views.empty()) return invalid_argument("concatenation of no views");
  Eigen::Index columns = 0;
  for (const Matrix& view : views) {
    if (view.rows() != views.front().rows()) {
      return invalid_argument("concatenation of views of " +
                              std::to_string(views.front().rows()) + " and " +
                              std::to_string(view.rows()) + " rows");
    }
    if (!view.allFinite()) {
      return invalid_argument("concatenation of views: a value is not finite");
    }
    columns += view.cols();
  }
  Matrix joined(views.front().rows(), columns);
  Eigen::Index first = 0;
  for (const Matrix& view : views) {
    auto part = joined.middleCols(first, view.cols());
    for (Eigen::Index i = 0; i < view.rows(); ++i) {
      const double norm = view.row(i).cast<double>().norm();
      part.row(i) =
          norm > 0
              ? Matrix(
                    (view.row(i).cast<double>() / norm).template cast<float>())
              : Matrix(view.row(i));
    }
    first += view.cols();
  }
  return joined;
}

Result<std::vector<int>> ensemble_clusters(
    const std::vector<std::vector<int>>& partitions, int clusters,
    const std::function<bool()>& cancelled) {
  SHOAL_TRY(check_partitions(partitions));
  SHOAL_TRY(
      internal::check_cluster_number(partitions.front().size(), clusters));
  const Combinations combinations = combinations_of(partitions);
  SHOAL_TRY(distances,
            co_association_distances(partitions, combinations, cancelled));
  SHOAL_TRY(merges,
            internal::merge_by_chain(std::move(distances), combinations.rows,
                                     Linkage::kAverage, cancelled));
  const std::size_t u = combinations.first.size();
  const std::vector<int> of_combination =
      internal::make_tree(merges, u, std::min(clusters, static_cast<int>(u)))
          .labels;
  std::vector<int> labels;
  labels.reserve(combinations.of.size());
  for (const std::size_t combination : combinations.of) {
    labels.push_back(of_combination[combination]);
  }
  return labels;
}

Result<std::vector<float>> agreement_with_cluster(
    const std::vector<std::vector<int>>& partitions,
    const std::vector<int>& labels) {
  SHOAL_TRY(check_partitions(partitions));
  const std::size_t n = labels.size();
  if (n != partitions.front().size()) {
    return invalid_argument(
        "agreement: " + std::to_string(n) + " labels for partitions of " +
        std::to_string(partitions.front().size()) + " rows");
  }
  std::map<int, std::int64_t> sizes;
  for (const int label : labels) ++sizes[label];
  std::vector<double> together(n, 0.0);
  for (const auto& partition : partitions) {
    std::map<std::pair<int, int>, std::int64_t> cells;
    for (std::size_t i = 0; i < n; ++i) ++cells[{labels[i], partition[i]}];
    for (std::size_t i = 0; i < n; ++i) {
      together[i] +=
          static_cast<double>(cells.at({labels[i], partition[i]}) - 1);
    }
  }
  std::vector<float> shares(n, 0.0F);
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t others = sizes.at(labels[i]) - 1;
    if (others == 0) continue;
    shares[i] = static_cast<float>(
        together[i] /
        (static_cast<double>(others) * static_cast<double>(partitions.size())));
  }
  return shares;
}

}  // namespace shoal
