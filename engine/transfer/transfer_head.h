#pragma once

#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/transfer/head_learner.h"

namespace shoal {

/// A net's new last layer: one output per class on the net's L2-normalised
/// features. Value.
struct TransferHead {
  Matrix weight;  ///< (classes, d)
  Vector bias;    ///< (classes)

  /// What the layer gives before the softmax, each row less its mean: a row of
  /// equal evidence for every class is 0.
  /// @param features  (n, d), raw as the view gave them
  /// @return (n, classes)
  [[nodiscard]] Matrix evidence(const Matrix& features) const;
};

/// The layer that make_head_learner's fit learns, to be kept and used on rows
/// that are not in memory.
/// @param features  (n, d), raw
/// @param labels    (n), every class 0..classes-1 at least once
/// Errors: kInvalidArgument (shapes, a class without rows, values that are not
/// finite), kCancelled, kInternal when the loss stops being finite.
[[nodiscard]] Result<TransferHead> fit_transfer_head(
    const Matrix& features, const std::vector<int>& labels, int classes,
    const HeadOptions& options);

}  // namespace shoal
