#include "engine/transfer/internal/trained_part.h"

#include <algorithm>
#include <optional>

namespace shoal::internal {
namespace {

constexpr int kFewestLayers = 3;
constexpr int kMostLayers = 9;  // Inception v3's last block

/// The indices of the parameters that a node has.
std::vector<std::size_t> parameters_of(const Node& node) {
  if (const auto* op = std::get_if<ConvolutionOp>(&node.op)) {
    return {op->weight, op->bias};
  }
  if (const auto* op = std::get_if<LinearOp>(&node.op)) {
    return {op->weight, op->bias};
  }
  if (const auto* op = std::get_if<ScaleShiftOp>(&node.op)) {
    return {op->scale, op->shift};
  }
  return {};
}

Value start_of_last_block(const Graph& graph) {
  const auto& nodes = graph.nodes();
  Value best = graph.input();
  std::optional<std::int64_t> smallest;
  Value earliest_read = graph.output();  // by the nodes after `at`
  int layers = 0;
  for (Value at = graph.output(); at > 0;) {
    if (!parameters_of(nodes[at]).empty()) ++layers;
    for (const Value input : nodes[at].inputs) {
      earliest_read = std::min(earliest_read, input);
    }
    --at;
    if (layers > kMostLayers) break;
    if (layers < kFewestLayers || earliest_read < at) continue;
    if (!smallest || nodes[at].shape.size() < *smallest) {
      smallest = nodes[at].shape.size();
      best = at;
    }
  }
  return best;
}

}  // namespace

TrainedPart trained_part(const Graph& graph, TrainedLayers layers) {
  TrainedPart part;
  part.from = graph.output();
  if (layers == TrainedLayers::kAll) part.from = graph.input();
  if (layers == TrainedLayers::kLastBlock) {
    part.from = start_of_last_block(graph);
  }
  for (Value at = part.from + 1; at <= graph.output(); ++at) {
    const Node& node = graph.nodes()[at];
    const auto own = parameters_of(node);
    if (own.empty()) continue;
    if (part.first.empty()) part.first = node.name;
    part.parameters.insert(part.parameters.end(), own.begin(), own.end());
  }
  return part;
}

}  // namespace shoal::internal
