#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/transfer/internal/softmax_head.h"

namespace shoal::internal {

/// Errors: kInvalidArgument for no rows, unequal lengths, a row that is not
/// below `available`, a label out of 0..classes-1.
[[nodiscard]] Result<void> check_examples(const std::vector<std::size_t>& rows,
                                          const std::vector<int>& labels,
                                          int classes, std::size_t available);

/// Errors: kInvalidArgument for a row that is not below `available`.
[[nodiscard]] Result<void> check_rows(const std::vector<std::size_t>& rows,
                                      std::size_t available);

/// Rows to learn from and rows that only tell when to stop.
struct Split {
  LabelledRows learned;
  LabelledRows held_out;
};

/// Holds out `share` of each class's rows, rounded down, drawn by `seed`; in
/// both parts every class has the same weight.
[[nodiscard]] Split hold_out(const std::vector<std::size_t>& rows,
                             const std::vector<int>& labels, int classes,
                             double share, std::uint64_t seed);

/// Per row the column of the largest value; ties: lowest.
[[nodiscard]] std::vector<int> most_probable(MatrixView probabilities);

}  // namespace shoal::internal
