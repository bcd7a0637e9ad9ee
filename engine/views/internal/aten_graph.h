#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "engine/views/internal/graph.h"

namespace shoal::internal {

/// The graph's output for a batch, computed with ATen. Changes neither input
/// nor parameters, and can be differentiated by both.
/// @param input       (n, c, h, w) of the graph's input shape
/// @param parameters  one for each of graph.parameters(), of its shape, on the
///                    input's device and of its type
/// @return (n, d)
/// Throws c10::Error.
at::Tensor run_graph(const Graph& graph, const at::Tensor& input,
                     const std::vector<at::Tensor>& parameters);

}  // namespace shoal::internal
