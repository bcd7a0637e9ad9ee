#pragma once

#include <cstdint>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

enum class Mean { kGeometric, kArithmetic };

/// Normalised mutual information of two labelings of the same n items
/// (any integers as labels). Geometric mean of the entropies is what both
/// papers used. Two labelings with one cluster each score 1.
/// Errors of all of these: kInvalidArgument for unequal lengths or n = 0.
/// Counts are 64-bit. Thread-safe. Source: scikit-learn 1.2 definitions.
[[nodiscard]] Result<double> nmi(const std::vector<int>& truth,
                                 const std::vector<int>& labels,
                                 Mean mean = Mean::kGeometric);
/// Adjusted Rand index (Hubert & Arabie 1985).
[[nodiscard]] Result<double> adjusted_rand(const std::vector<int>& truth,
                                           const std::vector<int>& labels);
/// Share of items right under the best one-to-one matching of clusters to
/// classes (Hungarian).
[[nodiscard]] Result<double> accuracy(const std::vector<int>& truth,
                                      const std::vector<int>& labels);
/// In how many of the n (n - 1) / 2 pairs of items the two labelings agree.
struct PairCounts {
  std::int64_t a = 0;  ///< together in both
  std::int64_t b = 0;  ///< together in the truth only
  std::int64_t c = 0;  ///< together in the labels only
  std::int64_t d = 0;  ///< apart in both
};
[[nodiscard]] Result<PairCounts> pair_counts(const std::vector<int>& truth,
                                             const std::vector<int>& labels);
/// Jaccard coefficient a / (a + b + c). 0 when no pair is together in both,
/// as the index below.
[[nodiscard]] Result<double> jaccard(const std::vector<int>& truth,
                                     const std::vector<int>& labels);
/// Fowlkes-Mallows index a / sqrt((a + b) (a + c)).
[[nodiscard]] Result<double> fowlkes_mallows(const std::vector<int>& truth,
                                             const std::vector<int>& labels);
/// Davies-Bouldin index of a partition of the rows; lower is better, 0 when
/// every cluster is one point. Values of different embeddings do not compare:
/// divide by the index of a common stage.
/// Errors: also kInvalidArgument for fewer than 2 clusters and for a value
/// that is not finite. Source: Davies & Bouldin 1979; scikit-learn 1.2.
[[nodiscard]] Result<double> davies_bouldin(MatrixView data,
                                            const std::vector<int>& labels);
/// Standard deviation by the mean: how much a score depends on what was
/// varied (TL eq. 19: the boot features). The deviation is the sample's, with
/// the n - 1 divisor: with it TL's Tables 4 and 5 agree. 0 for equal values.
/// Errors: kInvalidArgument for fewer than 2 values, one that is not finite,
/// or unequal ones whose mean is 0.
[[nodiscard]] Result<double> eta(const std::vector<double>& values);

/// Mean silhouette coefficient (Rousseeuw 1987), squared_l2's root as
/// distance, over at most `max_sample` rows drawn by `seed` (0: all).
[[nodiscard]] Result<double> silhouette(MatrixView data,
                                        const std::vector<int>& labels,
                                        int max_sample, std::uint64_t seed);

/// Maximum-weight one-to-one matching of rows to columns (rectangular).
/// @return per row its column, or -1
/// Cost O(n^3) for n = max(rows, columns). Source: Kuhn 1955, Jonker-Volgenant
/// shortest augmenting paths.
[[nodiscard]] std::vector<int> match_rows_to_columns(
    const std::vector<std::vector<double>>& weight);

}  // namespace shoal
