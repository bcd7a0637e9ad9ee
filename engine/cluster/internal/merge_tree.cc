#include "engine/cluster/internal/merge_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

namespace shoal::internal {
namespace {

/// The things not merged away, and what a nearest-neighbour chain asks of
/// their distances.
class LiveClusters {
 public:
  LiveClusters(CondensedDistances distances, std::vector<double> sizes,
               Linkage linkage)
      : distances_(std::move(distances)),
        sizes_(std::move(sizes)),
        linkage_(linkage),
        live_(sizes_.size()) {
    std::iota(live_.begin(), live_.end(), std::size_t{0});
  }

  [[nodiscard]] std::size_t first() const { return live_.front(); }
  [[nodiscard]] float distance(std::size_t a, std::size_t b) {
    return distances_.at(a, b);
  }

  /// @param preferred  wins ties; `of` itself: none
  [[nodiscard]] std::size_t nearest(std::size_t of, std::size_t preferred) {
    std::size_t best = preferred;
    float smallest = preferred == of ? std::numeric_limits<float>::infinity()
                                     : distances_.at(of, preferred);
    for_others(of, [&](std::size_t other, float& distance) {
      if (distance < smallest || best == of) {
        smallest = distance;
        best = other;
      }
    });
    return best;
  }

  /// Puts `gone` into `kept`.
  void merge(std::size_t kept, std::size_t gone) {
    const double apart = distances_.at(kept, gone);
    live_.erase(std::lower_bound(live_.begin(), live_.end(), gone));
    for_others(kept, [&](std::size_t other, float& distance) {
      distance = static_cast<float>(
          combine(distance, distances_.at(gone, other), apart, sizes_[kept],
                  sizes_[gone], sizes_[other]));
    });
    sizes_[kept] += sizes_[gone];
  }

 private:
  template <typename Use>
  void for_others(std::size_t of, Use use) {
    const auto here = std::lower_bound(live_.begin(), live_.end(), of);
    float* row = distances_.row(of);
    for (auto other = live_.begin(); other != here; ++other) {
      use(*other, row[*other]);
    }
    for (auto other = std::next(here); other != live_.end(); ++other) {
      use(*other, distances_.row(*other)[of]);
    }
  }

  /// Lance and Williams: a's and b's distance to a third, `apart` their own.
  [[nodiscard]] double combine(double a, double b, double apart, double size_a,
                               double size_b, double size) const {
    switch (linkage_) {
      case Linkage::kWard:
        return ((size + size_a) * a + (size + size_b) * b - size * apart) /
               (size + size_a + size_b);
      case Linkage::kAverage:
        return (size_a * a + size_b * b) / (size_a + size_b);
      case Linkage::kComplete:
        return std::max(a, b);
      case Linkage::kSingle:
        break;
    }
    return std::min(a, b);
  }

  CondensedDistances distances_;
  std::vector<double> sizes_;
  Linkage linkage_;
  std::vector<std::size_t> live_;  // ascending
};

}  // namespace

DisjointSets::DisjointSets(std::size_t n) : parent_(n) {
  std::iota(parent_.begin(), parent_.end(), 0);
}

int DisjointSets::find(int row) {
  const auto parent = [&](int of) -> int& {
    return parent_[static_cast<std::size_t>(of)];
  };
  while (parent(row) != row) {
    parent(row) = parent(parent(row));
    row = parent(row);
  }
  return row;
}

std::vector<int> labels_by_first_row(DisjointSets& sets, std::size_t rows) {
  std::vector<int> labels(rows);
  std::vector<int> name(rows, -1);
  int next = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    int& named =
        name[static_cast<std::size_t>(sets.find(static_cast<int>(row)))];
    if (named < 0) named = next++;
    labels[row] = named;
  }
  return labels;
}

AgglomerativeResult make_tree(const std::vector<FoundMerge>& merges,
                              std::size_t rows, int clusters) {
  AgglomerativeResult result;
  result.merges.reserve(merges.size());
  const std::size_t cut = rows - static_cast<std::size_t>(clusters);
  DisjointSets sets(rows);
  std::vector<int> name(rows);
  std::iota(name.begin(), name.end(), 0);
  int next = static_cast<int>(rows);
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (i == cut) result.labels = labels_by_first_row(sets, rows);
    const int a = sets.find(merges[i].row_a);
    const int b = sets.find(merges[i].row_b);
    int& name_a = name[static_cast<std::size_t>(a)];
    const auto [low, high] =
        std::minmax(name_a, name[static_cast<std::size_t>(b)]);
    result.merges.push_back({low, high, merges[i].distance});
    sets.join(a, b);
    name_a = next++;
  }
  if (cut == merges.size()) result.labels = labels_by_first_row(sets, rows);
  return result;
}

Result<std::vector<FoundMerge>> merge_by_chain(
    CondensedDistances distances, std::vector<double> sizes, Linkage linkage,
    const std::function<bool()>& cancelled) {
  const std::size_t n = sizes.size();
  std::vector<FoundMerge> merges;
  merges.reserve(n);
  LiveClusters live(std::move(distances), std::move(sizes), linkage);
  std::vector<std::size_t> chain;
  while (merges.size() + 1 < n) {
    if (cancelled && cancelled()) return agglomeration_cancelled();
    if (chain.empty()) chain.push_back(live.first());
    for (;;) {
      const std::size_t end = chain.back();
      const std::size_t before =
          chain.size() > 1 ? chain[chain.size() - 2] : end;
      const std::size_t nearest = live.nearest(end, before);
      if (chain.size() > 1 && nearest == before) break;
      chain.push_back(nearest);
    }
    const std::size_t low = std::min(chain.back(), chain[chain.size() - 2]);
    const std::size_t high = std::max(chain.back(), chain[chain.size() - 2]);
    chain.resize(chain.size() - 2);
    merges.push_back({static_cast<int>(low), static_cast<int>(high),
                      live.distance(low, high)});
    live.merge(high, low);
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const FoundMerge& a, const FoundMerge& b) {
                     return a.distance < b.distance;
                   });
  if (linkage == Linkage::kWard) {
    for (FoundMerge& merge : merges) merge.distance = std::sqrt(merge.distance);
  }
  return merges;
}

Result<void> check_cluster_number(std::size_t rows, int clusters) {
  if (clusters < 1 || rows < static_cast<std::size_t>(clusters)) {
    return invalid_argument("agglomeration: " + std::to_string(rows) +
                            " rows for " + std::to_string(clusters) +
                            " clusters");
  }
  return ok();
}

Error agglomeration_cancelled() {
  return {ErrorCode::kCancelled, "agglomeration was cancelled"};
}

}  // namespace shoal::internal
