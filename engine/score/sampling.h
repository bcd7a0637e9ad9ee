#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/matrix.h"

namespace shoal {

/// `count` different numbers below `n`, ascending, every subset equally
/// likely; all of them when count >= n. Deterministic for a seed.
[[nodiscard]] std::vector<std::size_t> sample_without_replacement(
    std::size_t n, std::size_t count, std::uint64_t seed);

/// The named rows, in the given order.
[[nodiscard]] Matrix take_rows(MatrixView data,
                               const std::vector<std::size_t>& rows);

}  // namespace shoal
