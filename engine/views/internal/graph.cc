#include "engine/views/internal/graph.h"

#include <algorithm>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/check.h"

namespace shoal::internal {
namespace {

/// "SAME": as many outputs as the input has pixels, divided by the stride.
Window same_window(std::int64_t size, int kernel, int stride) {
  const std::int64_t outputs = (size + stride - 1) / stride;
  const std::int64_t total =
      std::max<std::int64_t>((outputs - 1) * stride + kernel - size, 0);
  return {kernel, stride, total / 2, total - total / 2};
}

Window make_window(std::int64_t size, int kernel, int stride, int padding) {
  if (padding == kSamePadding) return same_window(size, kernel, stride);
  return {kernel, stride, padding, padding};
}

/// Lets the last window reach past the edge where it still begins inside the
/// input or its padding.
Window with_ceil(Window window, std::int64_t size) {
  const std::int64_t range =
      size + window.before + window.after - window.kernel;
  if (range < 0) return window;
  std::int64_t last = (range + window.stride - 1) / window.stride;
  if (last * window.stride >= size + window.before) --last;
  window.after = std::max(window.after, last * window.stride + window.kernel -
                                            size - window.before);
  return window;
}

/// 0 when not even one window fits.
std::int64_t outputs(const Window& window, std::int64_t size) {
  const std::int64_t range =
      size + window.before + window.after - window.kernel;
  return range < 0 ? 0 : range / window.stride + 1;
}

}  // namespace

std::string to_string(const Shape& shape) {
  return shape.vector ? fmt::format("{}", shape.channels)
                      : fmt::format("{} x {} x {}", shape.channels,
                                    shape.height, shape.width);
}

Graph::Graph(const Shape& input) {
  nodes_.push_back({"input", InputOp{}, {}, input, Activation::kNone});
}

std::size_t Graph::parameter(const std::string& name,
                             const at::Tensor& values) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].name == name) return i;
  }
  parameters_.push_back({name, values});
  return parameters_.size() - 1;
}

Value Graph::append(Node node) {
  nodes_.push_back(std::move(node));
  return nodes_.size() - 1;
}

Value Graph::fail(Value x, const std::string& name,
                  const std::string& message) {
  if (!error_) error_ = invalid_argument("layer " + name + ": " + message);
  return x;
}

bool Graph::is_map(Value x, const std::string& name) {
  if (error_) return false;
  if (shape(x).vector) {
    fail(x, name,
         fmt::format("its input has shape {}; expected a map",
                     to_string(shape(x))));
    return false;
  }
  return true;
}

std::string Graph::name_after(const std::string& what, Value x) const {
  // Layers without a name of their own are placed by the last that has one.
  while (nodes_[x].name.find(" after ") != std::string::npos) {
    x = nodes_[x].inputs.front();
  }
  return what + " after " + nodes_[x].name;
}

Value Graph::convolution(Value x, const std::string& name,
                         const ConvolutionShape& of, const at::Tensor& weight,
                         const at::Tensor& bias, Activation activation) {
  if (!is_map(x, name)) return x;
  const Shape& in = shape(x);
  if (in.channels != weight.size(1) * of.groups) {
    return fail(x, name,
                fmt::format("its input has shape {}; expected {} channels",
                            to_string(in), weight.size(1) * of.groups));
  }
  ConvolutionOp op;
  op.vertical =
      make_window(in.height, of.kernel_height, of.stride, of.padding_height);
  op.horizontal =
      make_window(in.width, of.kernel_width, of.stride, of.padding_width);
  op.groups = of.groups;
  const Shape out = {weight.size(0), outputs(op.vertical, in.height),
                     outputs(op.horizontal, in.width)};
  if (out.size() == 0) {
    return fail(x, name,
                fmt::format("a kernel of {} x {} does not fit its input of {}",
                            of.kernel_height, of.kernel_width, to_string(in)));
  }
  op.weight = parameter(name + ".weight", weight);
  op.bias = parameter(name + ".bias", bias);
  return append({name, op, {x}, out, activation});
}

Value Graph::linear(Value x, const std::string& name, const at::Tensor& weight,
                    const at::Tensor& bias, Activation activation) {
  if (error_) return x;
  const Shape& in = shape(x);
  if (!in.vector || in.channels != weight.size(1)) {
    return fail(x, name,
                fmt::format("its input has shape {}; expected {}",
                            to_string(in), weight.size(1)));
  }
  LinearOp op;
  op.weight = parameter(name + ".weight", weight);
  op.bias = parameter(name + ".bias", bias);
  return append({name, op, {x}, {weight.size(0), 1, 1, true}, activation});
}

Value Graph::scale_shift(Value x, const std::string& name,
                         const at::Tensor& scale, const at::Tensor& shift,
                         Activation activation) {
  if (!is_map(x, name)) return x;
  if (shape(x).channels != scale.size(0)) {
    return fail(x, name,
                fmt::format("its input has shape {}; expected {} channels",
                            to_string(shape(x)), scale.size(0)));
  }
  ScaleShiftOp op;
  op.scale = parameter(name + ".scale", scale);
  op.shift = parameter(name + ".shift", shift);
  return append({name, op, {x}, shape(x), activation});
}

Value Graph::max_pool(Value x, int kernel, int stride, int padding, bool ceil) {
  const std::string name = name_after("max pool", x);
  if (!is_map(x, name)) return x;
  const Shape& in = shape(x);
  MaxPoolOp op{make_window(in.height, kernel, stride, padding),
               make_window(in.width, kernel, stride, padding)};
  if (ceil) {
    op.vertical = with_ceil(op.vertical, in.height);
    op.horizontal = with_ceil(op.horizontal, in.width);
  }
  const Shape out = {in.channels, outputs(op.vertical, in.height),
                     outputs(op.horizontal, in.width)};
  if (out.size() == 0) {
    return fail(x, name,
                fmt::format("a window of {0} x {0} does not fit its input of "
                            "{1}",
                            kernel, to_string(in)));
  }
  return append({name, op, {x}, out, Activation::kNone});
}

Value Graph::average_pool(Value x, int kernel, int stride, int padding,
                          bool count_padding) {
  const std::string name = name_after("average pool", x);
  if (!is_map(x, name)) return x;
  const Shape& in = shape(x);
  const Window window = {kernel, stride, padding, padding};
  const Shape out = {in.channels, outputs(window, in.height),
                     outputs(window, in.width)};
  if (out.size() == 0) {
    return fail(x, name,
                fmt::format("a window of {0} x {0} does not fit its input of "
                            "{1}",
                            kernel, to_string(in)));
  }
  return append({name,
                 AveragePoolOp{window, count_padding},
                 {x},
                 out,
                 Activation::kNone});
}

Value Graph::adaptive_average_pool(Value x, int side) {
  const std::string name = name_after("adaptive average pool", x);
  if (!is_map(x, name)) return x;
  const Shape out = {shape(x).channels, side, side};
  if (out == shape(x)) return x;
  return append(
      {name, AdaptiveAveragePoolOp{side}, {x}, out, Activation::kNone});
}

Value Graph::response_norm(Value x, int size, double alpha, double beta) {
  const std::string name = name_after("local response norm", x);
  if (!is_map(x, name)) return x;
  if (size < 1 || size % 2 == 0) {
    return fail(x, name,
                fmt::format("its size is {}; expected an odd number", size));
  }
  return append({name,
                 ResponseNormOp{size, alpha, beta},
                 {x},
                 shape(x),
                 Activation::kNone});
}

Value Graph::add(Value a, Value b) {
  const std::string name = name_after("sum", a);
  if (error_) return a;
  if (!(shape(a) == shape(b))) {
    return fail(a, name,
                fmt::format("its terms have shapes {} and {}; expected the "
                            "same",
                            to_string(shape(a)), to_string(shape(b))));
  }
  return append({name, AddOp{}, {a, b}, shape(a), Activation::kNone});
}

Value Graph::multiply(Value map, Value factors) {
  const std::string name = name_after("product", map);
  if (!is_map(map, name) || !is_map(factors, name)) return map;
  const Shape expected = {shape(map).channels, 1, 1};
  if (!(shape(factors) == expected)) {
    return fail(map, name,
                fmt::format("its factors have shape {}; expected {}",
                            to_string(shape(factors)), to_string(expected)));
  }
  return append(
      {name, MultiplyOp{}, {map, factors}, shape(map), Activation::kNone});
}

Value Graph::concatenate(const std::vector<Value>& parts) {
  SHOAL_CHECK(!parts.empty(), "something to join");
  const Value first = parts.front();
  const std::string name = name_after("concatenation", first);
  Shape out = shape(first);
  out.channels = 0;
  for (const Value part : parts) {
    if (!is_map(part, name)) return first;
    if (shape(part).height != out.height || shape(part).width != out.width) {
      return fail(first, name,
                  fmt::format("its parts have shapes {} and {}; expected the "
                              "same sides",
                              to_string(shape(first)), to_string(shape(part))));
    }
    out.channels += shape(part).channels;
  }
  if (parts.size() == 1) return first;
  return append({name, ConcatenateOp{}, parts, out, Activation::kNone});
}

Value Graph::flatten(Value x) {
  if (error_ || shape(x).vector) return x;
  return append({name_after("flattening", x),
                 FlattenOp{},
                 {x},
                 {shape(x).size(), 1, 1, true},
                 Activation::kNone});
}

Value Graph::activate(Value x, Activation activation) {
  if (error_ || activation == Activation::kNone) return x;
  return append(
      {name_after("activation", x), ActivateOp{}, {x}, shape(x), activation});
}

Result<void> Graph::finish(Value output) {
  if (error_) return *error_;
  if (!shape(output).vector) {
    return invalid_argument(
        fmt::format("the net gives a map of {} after {}; expected a vector",
                    to_string(shape(output)), nodes_[output].name));
  }
  output_ = output;
  return ok();
}

Result<Graph> build_graph(const Layer& layer, const Shape& input) {
  Graph graph(input);
  const Value output = layer(graph, graph.input());
  SHOAL_TRY(graph.finish(output));
  return graph;
}

std::vector<std::size_t> last_uses(const Graph& graph) {
  const auto& nodes = graph.nodes();
  std::vector<std::size_t> last(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    last[i] = i;
    for (const Value input : nodes[i].inputs) last[input] = i;
  }
  last[graph.output()] = nodes.size();
  return last;
}

namespace {

/// Whether the node can apply an activation to what it gives.
bool takes_activation(const Node& node) {
  return node.activation == Activation::kNone &&
         (std::holds_alternative<ConvolutionOp>(node.op) ||
          std::holds_alternative<LinearOp>(node.op) ||
          std::holds_alternative<ScaleShiftOp>(node.op) ||
          std::holds_alternative<AddOp>(node.op));
}

bool takes_sum(const Node& node) {
  return node.activation == Activation::kNone &&
         std::holds_alternative<ConvolutionOp>(node.op) &&
         node.inputs.size() == 1;
}

}  // namespace

Graph fused(const Graph& graph) {
  Graph result = graph;
  std::vector<Node>& nodes = result.nodes_;
  std::vector<std::size_t> uses(nodes.size());
  for (const Node& node : nodes) {
    for (const Value input : node.inputs) ++uses[input];
  }
  ++uses[graph.output()];
  // The value that holds what a node gave before fusion.
  std::vector<Value> now(nodes.size());
  for (Value i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    now[i] = i;
    for (Value& input : node.inputs) input = now[input];
    Value into = i;
    if (std::holds_alternative<AddOp>(node.op)) {
      const auto [earlier, later] = std::minmax(node.inputs[0], node.inputs[1]);
      if (earlier != later && uses[later] == 1 && takes_sum(nodes[later])) {
        nodes[later].inputs.push_back(earlier);
        into = later;
      }
    } else if (std::holds_alternative<ActivateOp>(node.op)) {
      const Value before = node.inputs[0];
      if (uses[before] == 1 && takes_activation(nodes[before])) {
        nodes[before].activation = node.activation;
        into = before;
      }
    }
    if (into == i) continue;
    now[i] = into;
    uses[into] = uses[i];
    node.inputs.clear();
  }
  // Leaves out what was fused and what the output does not need.
  std::vector<bool> needed(nodes.size());
  needed[0] = true;
  needed[now[graph.output()]] = true;
  for (Value i = nodes.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Value input : nodes[i].inputs) needed[input] = true;
  }
  std::vector<Node> kept;
  std::vector<Value> place(nodes.size());
  for (Value i = 0; i < nodes.size(); ++i) {
    if (!needed[i]) continue;
    place[i] = kept.size();
    kept.push_back(std::move(nodes[i]));
    for (Value& input : kept.back().inputs) input = place[input];
  }
  result.output_ = place[now[graph.output()]];
  nodes = std::move(kept);
  return result;
}

}  // namespace shoal::internal
