#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/transfer/transfer_clustering.h"

namespace shoal {

/// The backbone's features of all images, computed once.
struct HeadFeatures {
  /// Each (n, d). The first is of the images as they are; the others, if any,
  /// of flipped or cropped ones, which the head learns from as well.
  std::vector<Matrix> variants;
};

struct HeadOptions {
  /// lambda of the loss + lambda / 2 * |W|^2, on rows of length 1. Strong,
  /// since confirmed labels are wrong in part (docs/transfer.md).
  double weight_decay = 1e-2;
  int max_iterations = 200;  ///< of L-BFGS
  /// Share of each class's rows that is not learned from: when their loss has
  /// not fallen for `patience` iterations learning ends, and the best
  /// iteration counts. Classes too small for it give none.
  double held_out = 0.1;
  int patience = 10;
  std::uint64_t seed = 0;  ///< decides which rows are held out
  std::function<bool()> cancelled;
};

/// Transfer learning with a frozen backbone: only a new last layer, softmax
/// regression on L2-normalised features, is learned. Classes weigh the same
/// whatever their size. The features (TL eq. 12) stay the backbone's,
/// L2-normalised. Deterministic for a seed on one machine and thread count.
/// fit(): kInvalidArgument for a row or label out of range, kCancelled,
/// kInternal when the loss stops being finite.
/// Cost of a fit: O(iterations * variants * rows * d * classes); memory: the
/// features, O(d * classes).
/// Errors: kInvalidArgument (no rows, unequal shapes, values not finite,
/// options out of range).
[[nodiscard]] Result<std::unique_ptr<TransferLearner>> make_head_learner(
    HeadFeatures features, const HeadOptions& options);

}  // namespace shoal
