#pragma once

#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

/// How well labels fit the images, told without any truth and in the views
/// themselves, so that labels from different embeddings can be compared.
struct LabelQuality {
  /// Mean over the views of the silhouette in the view's rows of length 1.
  double silhouette = 0;
  /// Mean over the views of the share of a row's 5 nearest rows in the view
  /// that have its label: how far each view by itself backs the labels.
  double neighbours = 0;
};

/// @param views   each (n, d), n small: the cost is O(n^2 d)
/// @param labels  (n)
/// Errors: kInvalidArgument (no view, unequal n, n < 3).
[[nodiscard]] Result<LabelQuality> label_quality(
    const std::vector<Matrix>& views, const std::vector<int>& labels);

}  // namespace shoal
