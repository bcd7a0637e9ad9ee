#include "engine/cluster/agglomerative.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "engine/cluster/internal/condensed.h"
#include "engine/cluster/internal/merge_tree.h"

namespace shoal {
namespace {

using internal::agglomeration_cancelled;
using internal::CondensedDistances;
using internal::FoundMerge;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool is_cancelled(const AgglomerativeOptions& options) {
  return options.cancelled && options.cancelled();
}

void sort_by_distance(std::vector<FoundMerge>& merges) {
  std::stable_sort(merges.begin(), merges.end(),
                   [](const FoundMerge& a, const FoundMerge& b) {
                     return a.distance < b.distance;
                   });
}

/// Prim's minimum spanning tree.
/// @param distance  distance(a, b) of two rows
template <typename Distance>
Result<std::vector<FoundMerge>> spanning_tree(
    std::size_t n, const AgglomerativeOptions& options, Distance distance) {
  std::vector<FoundMerge> edges;
  std::vector<int> others(n - 1);
  std::iota(others.begin(), others.end(), 1);
  std::vector<float> closest(n - 1, kInfinity);
  std::vector<int> closest_to(n - 1, 0);
  int newest = 0;
  while (!others.empty()) {
    if (is_cancelled(options)) return agglomeration_cancelled();
    std::size_t best = 0;
    for (std::size_t i = 0; i < others.size(); ++i) {
      const float to_newest = distance(newest, others[i]);
      if (to_newest < closest[i]) {
        closest[i] = to_newest;
        closest_to[i] = newest;
      }
      if (closest[i] < closest[best]) best = i;
    }
    newest = others[best];
    edges.push_back({closest_to[best], newest, closest[best]});
    const auto at = static_cast<std::ptrdiff_t>(best);
    others.erase(others.begin() + at);
    closest.erase(closest.begin() + at);
    closest_to.erase(closest_to.begin() + at);
  }
  sort_by_distance(edges);
  return edges;
}

Result<std::vector<FoundMerge>> single_on(CondensedDistances distances,
                                          const AgglomerativeOptions& options) {
  return spanning_tree(distances.size(), options, [&](int a, int b) {
    return distances.at(static_cast<std::size_t>(a),
                        static_cast<std::size_t>(b));
  });
}

Result<std::vector<FoundMerge>> single_on_rows(
    MatrixView data, const AgglomerativeOptions& options) {
  SHOAL_TRY(edges,
            spanning_tree(static_cast<std::size_t>(data.rows()), options,
                          [&](int a, int b) {
                            return (data.row(a) - data.row(b)).squaredNorm();
                          }));
  for (FoundMerge& edge : edges) edge.distance = std::sqrt(edge.distance);
  return edges;
}

/// Ward's clusters by their centroids; the live ones stand in front.
class WardClusters {
 public:
  explicit WardClusters(MatrixView data)
      : centroids_(data.cast<double>()),
        sizes_(static_cast<std::size_t>(data.rows()), 1.0),
        at_(sizes_.size()),
        name_(sizes_.size()),
        live_(data.rows()) {
    std::iota(at_.begin(), at_.end(), 0);
    std::iota(name_.begin(), name_.end(), 0);
  }

  [[nodiscard]] int first() const { return name_.front(); }
  /// Twice the growth of the within-cluster sum of squares.
  [[nodiscard]] double squared_distance(int a, int b) const {
    return 2 * half_distance(place(a), place(b));
  }
  /// @param preferred  wins ties; `of` itself: none
  [[nodiscard]] int nearest(int of, int preferred) const {
    const Eigen::Index here = place(of);
    Eigen::Index best = place(preferred);
    double smallest = best == here ? std::numeric_limits<double>::infinity()
                                   : half_distance(here, best);
    for (Eigen::Index i = 0; i < live_; ++i) {
      if (i == here) continue;
      const double distance = half_distance(here, i);
      if (distance < smallest || best == here) {
        smallest = distance;
        best = i;
      }
    }
    return name_[static_cast<std::size_t>(best)];
  }
  void merge(int kept, int gone) {
    const Eigen::Index x = place(kept);
    const Eigen::Index y = place(gone);
    const double sum = size(x) + size(y);
    centroids_.row(x) +=
        size(y) / sum * (centroids_.row(y) - centroids_.row(x));
    sizes_[static_cast<std::size_t>(x)] = sum;
    --live_;
    centroids_.row(y) = centroids_.row(live_);
    sizes_[static_cast<std::size_t>(y)] = size(live_);
    const int moved = name_[static_cast<std::size_t>(live_)];
    name_[static_cast<std::size_t>(y)] = moved;
    at_[static_cast<std::size_t>(moved)] = y;
  }

 private:
  [[nodiscard]] Eigen::Index place(int name) const {
    return at_[static_cast<std::size_t>(name)];
  }
  [[nodiscard]] double size(Eigen::Index place) const {
    return sizes_[static_cast<std::size_t>(place)];
  }
  [[nodiscard]] double half_distance(Eigen::Index a, Eigen::Index b) const {
    return size(a) * size(b) / (size(a) + size(b)) *
           (centroids_.row(a) - centroids_.row(b)).squaredNorm();
  }

  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>
      centroids_;
  std::vector<double> sizes_;
  std::vector<Eigen::Index> at_;  // by name
  std::vector<int> name_;         // by place
  Eigen::Index live_;
};

Result<std::vector<FoundMerge>> ward_on_rows(
    MatrixView data, const AgglomerativeOptions& options) {
  const auto n = static_cast<std::size_t>(data.rows());
  WardClusters clusters(data);
  std::vector<FoundMerge> merges;
  std::vector<int> chain;
  while (merges.size() + 1 < n) {
    if (is_cancelled(options)) return agglomeration_cancelled();
    if (chain.empty()) chain.push_back(clusters.first());
    for (;;) {
      const int end = chain.back();
      const int before = chain.size() > 1 ? chain[chain.size() - 2] : end;
      const int nearest = clusters.nearest(end, before);
      if (chain.size() > 1 && nearest == before) break;
      chain.push_back(nearest);
    }
    const int kept = std::min(chain.back(), chain[chain.size() - 2]);
    const int gone = std::max(chain.back(), chain[chain.size() - 2]);
    chain.resize(chain.size() - 2);
    merges.push_back(
        {kept, gone, std::sqrt(clusters.squared_distance(kept, gone))});
    clusters.merge(kept, gone);
  }
  sort_by_distance(merges);
  return merges;
}

Result<std::vector<FoundMerge>> find_merges(
    MatrixView data, const AgglomerativeOptions& options) {
  const auto n = static_cast<std::size_t>(data.rows());
  const bool few = CondensedDistances::pairs(n) * sizeof(float) <=
                   options.most_distance_bytes;
  if (options.linkage == Linkage::kWard && !few) {
    return ward_on_rows(data, options);
  }
  if (options.linkage == Linkage::kSingle && !few) {
    return single_on_rows(data, options);
  }
  SHOAL_TRY(distances,
            internal::pairwise_distances(
                data, options.linkage == Linkage::kWard, options.cancelled));
  if (options.linkage == Linkage::kSingle) {
    return single_on(std::move(distances), options);
  }
  return internal::merge_by_chain(std::move(distances),
                                  std::vector<double>(n, 1.0), options.linkage,
                                  options.cancelled);
}

Result<void> check_distances(const Matrix& distances) {
  const auto place = [](Eigen::Index i, Eigen::Index j) {
    return " (row " + std::to_string(i) + ", column " + std::to_string(j) + ")";
  };
  for (Eigen::Index i = 0; i < distances.rows(); ++i) {
    if (distances(i, i) != 0) {
      return invalid_argument(
          "agglomeration: a row's distance to itself is not 0" + place(i, i));
    }
    for (Eigen::Index j = 0; j < i; ++j) {
      const float a = distances(i, j);
      const float b = distances(j, i);
      if (!(a >= 0) || !std::isfinite(a)) {
        return invalid_argument(
            "agglomeration: a distance is negative or not finite" +
            place(i, j));
      }
      // What float32 makes of the same distance computed in either order.
      if (!(std::abs(a - b) <= 1e-5F * a)) {
        return invalid_argument(
            "agglomeration: the distances are not symmetric" + place(i, j));
      }
    }
  }
  return ok();
}

}  // namespace

Result<AgglomerativeResult> agglomerative(MatrixView data,
                                          const AgglomerativeOptions& options) {
  const auto n = static_cast<std::size_t>(data.rows());
  SHOAL_TRY(internal::check_cluster_number(n, options.clusters));
  if (!data.allFinite()) {
    return invalid_argument(
        "agglomeration: the data hold a value that is not finite");
  }
  SHOAL_TRY(merges, find_merges(data, options));
  return internal::make_tree(merges, n, options.clusters);
}

Result<AgglomerativeResult> agglomerative_on_distances(
    Matrix distances, const AgglomerativeOptions& options) {
  if (options.linkage == Linkage::kWard) {
    return invalid_argument(
        "agglomeration: ward needs the rows themselves, not distances");
  }
  if (distances.rows() != distances.cols()) {
    return invalid_argument("agglomeration: distances of " +
                            std::to_string(distances.rows()) + " rows and " +
                            std::to_string(distances.cols()) +
                            " columns; a square matrix is needed");
  }
  const auto n = static_cast<std::size_t>(distances.rows());
  SHOAL_TRY(internal::check_cluster_number(n, options.clusters));
  SHOAL_TRY(check_distances(distances));
  CondensedDistances condensed(std::move(distances));
  const auto merge = [&] {
    return options.linkage == Linkage::kSingle
               ? single_on(std::move(condensed), options)
               : internal::merge_by_chain(std::move(condensed),
                                          std::vector<double>(n, 1.0),
                                          options.linkage, options.cancelled);
  };
  SHOAL_TRY(merges, merge());
  return internal::make_tree(merges, n, options.clusters);
}

}  // namespace shoal
