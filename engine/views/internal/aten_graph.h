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

/// The same for a part of the graph: what node `to` gives where node `from`
/// gives `value`. Of all nodes up to `from`, those after it read `from` alone.
/// @param value  (n, ...) of node `from`'s shape
/// @return (n, ...) of node `to`'s shape; `value` itself where they are one
/// Throws c10::Error.
at::Tensor run_graph(const Graph& graph, Value from, const at::Tensor& value,
                     Value to, const std::vector<at::Tensor>& parameters);

}  // namespace shoal::internal
