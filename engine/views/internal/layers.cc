#include "engine/views/internal/layers.h"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/max_pool2d.h>

namespace shoal::internal {

Layer sequential(std::vector<Layer> layers) {
  return [layers = std::move(layers)](const at::Tensor& input) {
    at::Tensor x = input;
    for (const Layer& layer : layers) x = layer(x);
    return x;
  };
}

Layer concatenate(std::vector<Layer> branches) {
  return [branches = std::move(branches)](const at::Tensor& input) {
    std::vector<at::Tensor> outputs;
    outputs.reserve(branches.size());
    for (const Layer& branch : branches) outputs.push_back(branch(input));
    return at::cat(outputs, 1);
  };
}

Layer residual(Layer block, Layer shortcut) {
  return [block = std::move(block),
          shortcut = std::move(shortcut)](const at::Tensor& input) {
    at::Tensor sum = block(input);
    return sum.add_(shortcut ? shortcut(input) : input);
  };
}

Layer relu() {
  return [](const at::Tensor& input) { return input.relu(); };
}

Layer max_pool(int kernel, int stride, int padding, bool ceil) {
  return [=](const at::Tensor& input) {
    return at::max_pool2d(input, {kernel, kernel}, {stride, stride},
                          {padding, padding}, {1, 1}, ceil);
  };
}

Layer local_response_norm(int size, double alpha, double beta) {
  return [=](const at::Tensor& input) {
    const std::int64_t channels = input.size(1);
    // Zero channels on both sides, so that every window has `size` channels.
    const at::Tensor squares = at::constant_pad_nd(
        input.square(), {0, 0, 0, 0, size / 2, size - 1 - size / 2});
    at::Tensor sum = squares.narrow(1, 0, channels).clone();
    for (std::int64_t i = 1; i < size; ++i) {
      sum.add_(squares.narrow(1, i, channels));
    }
    return input / sum.mul_(alpha / size).add_(1).pow_(beta);
  };
}

Layer global_average_pool() {
  return [](const at::Tensor& input) { return input.mean({2, 3}); };
}

Layer flatten() {
  return [](const at::Tensor& input) { return input.flatten(1); };
}

}  // namespace shoal::internal
