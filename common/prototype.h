#pragma once

#include "common/matrix.h"

namespace shoal {

/// A centre that arrivals are compared with. A cluster has one, or several
/// after a merge.
struct Prototype {
  Vector centroid;  ///< (d) in the epoch's embedding space
  /// Arrivals farther than this (embedding units) from it stay unassigned;
  /// infinity: no limit.
  float novelty_threshold = 0;
};

}  // namespace shoal
