#include "engine/views/internal/layers.h"

#include <utility>

#include "engine/views/internal/graph.h"

namespace shoal::internal {

Layer sequential(std::vector<Layer> layers) {
  return [layers = std::move(layers)](Graph& graph, Value x) {
    for (const Layer& layer : layers) x = layer(graph, x);
    return x;
  };
}

Layer identity() {
  return [](Graph&, Value x) { return x; };
}

Layer concatenate(std::vector<Layer> branches) {
  return [branches = std::move(branches)](Graph& graph, Value x) {
    std::vector<Value> parts;
    parts.reserve(branches.size());
    for (const Layer& branch : branches) parts.push_back(branch(graph, x));
    return graph.concatenate(parts);
  };
}

Layer residual(Layer block, Layer shortcut) {
  return [block = std::move(block), shortcut = std::move(shortcut)](
             Graph& graph, Value x) {
    const Value sum = block(graph, x);
    return graph.add(sum, shortcut ? shortcut(graph, x) : x);
  };
}

Layer scale_channels(Layer scales) {
  return [scales = std::move(scales)](Graph& graph, Value x) {
    return graph.multiply(x, scales(graph, x));
  };
}

Layer activate(Activation activation) {
  return [activation](Graph& graph, Value x) {
    return graph.activate(x, activation);
  };
}

Layer relu() { return activate(Activation::kRelu); }

Layer max_pool(int kernel, int stride, int padding, bool ceil) {
  return [=](Graph& graph, Value x) {
    return graph.max_pool(x, kernel, stride, padding, ceil);
  };
}

Layer average_pool(int kernel, int stride, int padding, bool count_padding) {
  return [=](Graph& graph, Value x) {
    return graph.average_pool(x, kernel, stride, padding, count_padding);
  };
}

Layer adaptive_average_pool(int side) {
  return [=](Graph& graph, Value x) {
    return graph.adaptive_average_pool(x, side);
  };
}

Layer local_response_norm(int size, double alpha, double beta) {
  return [=](Graph& graph, Value x) {
    return graph.response_norm(x, size, alpha, beta);
  };
}

Layer global_average_pool() {
  return sequential({global_average_map(), flatten()});
}

Layer global_average_map() { return adaptive_average_pool(1); }

Layer flatten() {
  return [](Graph& graph, Value x) { return graph.flatten(x); };
}

}  // namespace shoal::internal
