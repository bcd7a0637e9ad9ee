#include "engine/refine/cluster_identity.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/check.h"
#include "engine/score/scores.h"

namespace shoal {
namespace {

/// A share below this does not make a parent or an heir.
constexpr std::uint64_t kRelativeShare = 10;

/// (images in common, what) pairs, the largest share first.
template <typename What>
std::vector<What> by_falling_share(
    std::vector<std::pair<std::uint64_t, What>> shares) {
  std::sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::vector<What> ordered;
  for (const auto& share : shares) ordered.push_back(share.second);
  return ordered;
}

using Overlaps = std::map<ClusterId, std::map<std::size_t, std::uint64_t>>;

/// Images that each earlier id shares with each new cluster.
Overlaps count_overlaps(const std::vector<int>& labels,
                        const std::vector<ClusterId>& earlier) {
  Overlaps overlaps;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || !earlier[i].valid()) continue;
    ++overlaps[earlier[i]][static_cast<std::size_t>(labels[i])];
  }
  return overlaps;
}

/// Gives ids that no cluster continues yet to clusters that continue none, one
/// to one, so that the images in common are as many as possible.
void match_by_overlap(const Overlaps& overlaps,
                      std::vector<ClusterId>& continues) {
  std::vector<ClusterId> ids;
  for (const auto& [id, clusters] : overlaps) {
    if (std::find(continues.begin(), continues.end(), id) == continues.end()) {
      ids.push_back(id);
    }
  }
  std::vector<std::size_t> open;
  for (std::size_t c = 0; c < continues.size(); ++c) {
    if (!continues[c].valid()) open.push_back(c);
  }
  std::vector<std::vector<double>> weight(
      ids.size(), std::vector<double>(open.size(), 0.0));
  for (std::size_t row = 0; row < ids.size(); ++row) {
    const auto& clusters = overlaps.at(ids[row]);
    for (std::size_t column = 0; column < open.size(); ++column) {
      const auto found = clusters.find(open[column]);
      if (found != clusters.end()) {
        weight[row][column] = static_cast<double>(found->second);
      }
    }
  }
  const std::vector<int> match = match_rows_to_columns(weight);
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (match[row] < 0) continue;
    const auto column = static_cast<std::size_t>(match[row]);
    if (weight[row][column] > 0) continues[open[column]] = ids[row];
  }
}

}  // namespace

IdentityResult match_clusters(const std::vector<int>& labels, int k,
                              const std::vector<ClusterId>& previous,
                              const std::vector<ClusterId>& fixed) {
  SHOAL_CHECK(labels.size() == previous.size() && labels.size() == fixed.size(),
              "one entry per image");
  const auto clusters = static_cast<std::size_t>(k);
  std::vector<std::uint64_t> sizes(clusters, 0);
  for (const int label : labels) {
    SHOAL_CHECK(label >= -1 && label < k, "a label out of range");
    if (label >= 0) ++sizes[static_cast<std::size_t>(label)];
  }
  IdentityResult result;
  result.continues.resize(clusters);
  result.parents.resize(clusters);
  // Where fixed images of one id were torn apart, or those of two ids are
  // together, the largest number of them decides.
  match_by_overlap(count_overlaps(labels, fixed), result.continues);
  const Overlaps overlaps = count_overlaps(labels, previous);
  match_by_overlap(overlaps, result.continues);

  std::vector<std::vector<std::pair<std::uint64_t, ClusterId>>> sources(
      clusters);
  std::map<ClusterId, std::uint64_t> earlier_sizes;
  for (const ClusterId id : previous) {
    if (id.valid()) ++earlier_sizes[id];
  }
  for (const auto& [id, images] : earlier_sizes) {
    std::vector<std::pair<std::uint64_t, std::size_t>> heirs;
    const auto shared = overlaps.find(id);
    if (shared != overlaps.end()) {
      for (const auto& [cluster, count] : shared->second) {
        if (count * kRelativeShare >= sizes[cluster]) {
          sources[cluster].emplace_back(count, id);
        }
        if (count * kRelativeShare >= images)
          heirs.emplace_back(count, cluster);
      }
    }
    if (std::find(result.continues.begin(), result.continues.end(), id) ==
        result.continues.end()) {
      result.ended[id] = by_falling_share(std::move(heirs));
    }
  }
  for (std::size_t c = 0; c < clusters; ++c) {
    result.parents[c] = by_falling_share(std::move(sources[c]));
  }
  return result;
}

}  // namespace shoal
