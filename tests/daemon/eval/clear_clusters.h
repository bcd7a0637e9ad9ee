#pragma once

#include <vector>

#include "daemon/eval/experiment.h"

namespace shoal::test {

constexpr int kClearClusters = 4;

/// Two views, "one" and "two", of the same images, in each of which every
/// class is a cloud far from the others.
eval::ExperimentData clear_clusters(int per_class);

/// Of as many clusters, with nets small enough for these data.
eval::MethodOptions small_methods();

}  // namespace shoal::test
