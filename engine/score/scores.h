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
