#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/transfer/net_learner.h"
#include "engine/views/internal/graph.h"

namespace shoal::internal {

/// Where the frozen part of a net ends and what of the rest is trained.
struct TrainedPart {
  Value from = 0;  ///< all later nodes depend on it and on each other alone
  std::vector<std::size_t> parameters;  ///< indices of graph.parameters()
  std::string first;                    ///< name of the first trained layer
};

/// kAll: from the input. kHead: nothing. kLastBlock: of the values that
/// everything after them depends on alone, with 3 to 9 layers with weights
/// after them, the smallest (ties: the last); everything where there is none.
[[nodiscard]] TrainedPart trained_part(const Graph& graph,
                                       TrainedLayers layers);

}  // namespace shoal::internal
