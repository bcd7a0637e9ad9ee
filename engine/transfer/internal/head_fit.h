#pragma once

#include <cstddef>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/transfer/head_learner.h"
#include "engine/transfer/internal/softmax_head.h"

namespace shoal::internal {

/// Errors: kInvalidArgument.
[[nodiscard]] Result<void> check_head_options(const HeadOptions& options);

struct HeadFit {
  SoftmaxHead head;
  /// Mean cross-entropy of all rows in the first variant, classes weighing
  /// the same.
  double loss = 0;
};

/// Softmax regression by L-BFGS, which stops early on held-out rows of the
/// first variant.
/// @param variants  each (n, d), rows of length 1
/// @param rows      with their `labels`, as check_examples accepts them
/// Errors: kCancelled, kInternal when the loss stops being finite.
[[nodiscard]] Result<HeadFit> fit_head(const std::vector<MatrixView>& variants,
                                       const std::vector<std::size_t>& rows,
                                       const std::vector<int>& labels,
                                       int classes, const HeadOptions& options);

}  // namespace shoal::internal
