#pragma once

#include <map>
#include <vector>

#include "common/ids.h"

namespace shoal {

/// What a new partition's clusters are to the earlier ones.
struct IdentityResult {
  /// Per new cluster the earlier one that it continues, or none.
  std::vector<ClusterId> continues;
  /// Per new cluster, the earlier ones that at least a tenth of its images
  /// came from, the largest share first.
  std::vector<std::vector<ClusterId>> parents;
  /// Per earlier cluster that is not continued and had images: new clusters
  /// with at least a tenth of them, the largest share first.
  std::map<ClusterId, std::vector<std::size_t>> ended;
};

/// Matches the clusters of a new partition to the earlier clusters' permanent
/// ids: fixed images decide first, then a maximum-overlap one-to-one matching
/// (Hungarian) of the rest; a pair with no image in common is never matched.
/// @param labels  (n) new cluster of each image, 0..k-1, or -1 for none
/// @param previous  (n) earlier cluster, or none
/// @param fixed  (n) cluster that the image is fixed in, or none; new cluster
///   i continues c when it holds images fixed in c (at most one such c)
[[nodiscard]] IdentityResult match_clusters(
    const std::vector<int>& labels, int k,
    const std::vector<ClusterId>& previous,
    const std::vector<ClusterId>& fixed);

}  // namespace shoal
