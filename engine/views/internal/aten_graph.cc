#include "engine/views/internal/aten_graph.h"

#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/silu.h>

#include "common/check.h"

namespace shoal::internal {
namespace {

at::Tensor apply(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      return x.relu();
    case Activation::kRelu6:
      return x.clamp(0, 6);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kSigmoid:
      return x.sigmoid();
    case Activation::kTanh:
      return x.tanh();
  }
  return x;
}

/// Computes one node from its inputs.
class Compute {
 public:
  Compute(const Node& node, const std::vector<at::Tensor>& values,
          const std::vector<at::Tensor>& parameters)
      : node_(node), values_(values), parameters_(parameters) {}

  at::Tensor operator()(const InputOp&) const {
    SHOAL_CHECK(false, "the input is given");
  }

  at::Tensor operator()(const ConvolutionOp& op) const {
    const auto [x, vertical, horizontal] =
        padded(op.vertical, op.horizontal, 0);
    const at::Tensor y =
        at::conv2d(x, parameters_[op.weight], parameters_[op.bias],
                   {op.vertical.stride, op.horizontal.stride},
                   {vertical, horizontal}, {1, 1}, op.groups);
    return node_.inputs.size() == 2 ? y + input(1) : y;
  }

  at::Tensor operator()(const LinearOp& op) const {
    return at::linear(input(0), parameters_[op.weight], parameters_[op.bias]);
  }

  at::Tensor operator()(const ScaleShiftOp& op) const {
    return input(0) * parameters_[op.scale].reshape({1, -1, 1, 1}) +
           parameters_[op.shift].reshape({1, -1, 1, 1});
  }

  at::Tensor operator()(const MaxPoolOp& op) const {
    const auto [x, vertical, horizontal] = padded(
        op.vertical, op.horizontal, -std::numeric_limits<double>::infinity());
    return at::max_pool2d(x, {op.vertical.kernel, op.horizontal.kernel},
                          {op.vertical.stride, op.horizontal.stride},
                          {vertical, horizontal});
  }

  at::Tensor operator()(const AveragePoolOp& op) const {
    const Window& w = op.window;
    return at::avg_pool2d(input(0), {w.kernel, w.kernel}, {w.stride, w.stride},
                          {w.before, w.before}, false, op.count_padding);
  }

  at::Tensor operator()(const AdaptiveAveragePoolOp& op) const {
    return at::adaptive_avg_pool2d(input(0), {op.side, op.side});
  }

  at::Tensor operator()(const ResponseNormOp& op) const {
    const at::Tensor& x = input(0);
    const std::int64_t channels = x.size(1);
    // Zero channels on both sides, so that every window has `size` channels.
    const std::int64_t half = op.size / 2;
    const at::Tensor squares =
        at::constant_pad_nd(x.square(), {0, 0, 0, 0, half, half});
    at::Tensor sum = squares.narrow(1, 0, channels);
    for (std::int64_t i = 1; i < op.size; ++i) {
      sum = sum + squares.narrow(1, i, channels);
    }
    return x / (sum * (op.alpha / op.size) + 1).pow(op.beta);
  }

  at::Tensor operator()(const AddOp&) const { return input(0) + input(1); }
  at::Tensor operator()(const MultiplyOp&) const { return input(0) * input(1); }

  at::Tensor operator()(const ConcatenateOp&) const {
    std::vector<at::Tensor> parts;
    for (std::size_t i = 0; i < node_.inputs.size(); ++i) {
      parts.push_back(input(i));
    }
    return at::cat(parts, 1);
  }

  at::Tensor operator()(const FlattenOp&) const { return input(0).flatten(1); }
  at::Tensor operator()(const ActivateOp&) const { return input(0); }

 private:
  [[nodiscard]] const at::Tensor& input(std::size_t i) const {
    return values_[node_.inputs[i]];
  }

  struct Padded {
    at::Tensor x;
    std::int64_t vertical = 0;    ///< padding that is still to be added
    std::int64_t horizontal = 0;  ///< on both sides
  };

  /// ATen pads both sides alike; anything else is padded before.
  [[nodiscard]] Padded padded(const Window& vertical, const Window& horizontal,
                              double value) const {
    if (vertical.before == vertical.after &&
        horizontal.before == horizontal.after) {
      return {input(0), vertical.before, horizontal.before};
    }
    return {at::constant_pad_nd(
        input(0),
        {horizontal.before, horizontal.after, vertical.before, vertical.after},
        value)};
  }

  const Node& node_;
  const std::vector<at::Tensor>& values_;
  const std::vector<at::Tensor>& parameters_;
};

}  // namespace

at::Tensor run_graph(const Graph& graph, const at::Tensor& input,
                     const std::vector<at::Tensor>& parameters) {
  const Shape& shape = graph.nodes().front().shape;
  TORCH_CHECK(input.dim() == 4 && input.size(1) == shape.channels &&
                  input.size(2) == shape.height && input.size(3) == shape.width,
              "the input has shape ", input.sizes(), "; expected (n, ",
              to_string(shape), ")");
  return run_graph(graph, graph.input(), input, graph.output(), parameters);
}

at::Tensor run_graph(const Graph& graph, Value from, const at::Tensor& value,
                     Value to, const std::vector<at::Tensor>& parameters) {
  const auto& nodes = graph.nodes();
  const auto last = last_uses(graph);
  std::vector<at::Tensor> values(nodes.size());
  values[from] = value;
  for (std::size_t i = from + 1; i <= to; ++i) {
    values[i] =
        apply(nodes[i].activation,
              std::visit(Compute(nodes[i], values, parameters), nodes[i].op));
    for (const Value read : nodes[i].inputs) {
      if (last[read] == i) values[read].reset();
    }
  }
  return values[to];
}

}  // namespace shoal::internal
