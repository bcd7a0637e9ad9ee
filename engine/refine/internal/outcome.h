#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/refine/refinement.h"

/// What a learned partition comes to: the figures of a Candidate.
namespace shoal {

/// Distance to the own centroid and Student-t confidence of every row. A row
/// in the pool has the distance of the nearest centroid and confidence 0.
void measure_rows(const MethodResult& result, Candidate& candidate);

/// Novelty threshold of every cluster; see RefinementOptions.
[[nodiscard]] std::vector<float> find_thresholds(
    const std::vector<RowConstraint>& constraints, const Candidate& candidate,
    std::size_t clusters, const RefinementOptions& options);

/// Share of the free rows with an earlier cluster that are elsewhere now.
/// @param learned_only  of those alone that the earlier run learned from
[[nodiscard]] double find_churn(const std::vector<RowConstraint>& constraints,
                                const Candidate& candidate, bool learned_only);

/// "inertia" and, over a sample, "silhouette" in the embedding.
[[nodiscard]] Result<void> add_embedding_scores(std::uint64_t seed,
                                                Candidate& candidate);

/// What publishing would change: "images_moved" (from a cluster to another),
/// "images_placed" (that had none), "images_to_pool", "images_confirmed",
/// "clusters_born", "clusters_split_off" (new, with parents),
/// "clusters_merged" (ended, with heirs), "clusters_retired".
void add_changes(const std::vector<RowConstraint>& constraints,
                 Candidate& candidate);

}  // namespace shoal
