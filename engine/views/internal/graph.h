#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "common/result.h"
#include "engine/views/internal/layers.h"

namespace shoal::internal {

/// What one image's value looks like: a map (channels, height, width), or a
/// vector, whose length is `channels`.
struct Shape {
  std::int64_t channels = 0;
  std::int64_t height = 1;
  std::int64_t width = 1;
  bool vector = false;

  [[nodiscard]] std::int64_t size() const { return channels * height * width; }
  friend bool operator==(const Shape& a, const Shape& b) {
    return a.channels == b.channels && a.height == b.height &&
           a.width == b.width && a.vector == b.vector;
  }
};

/// "3 x 224 x 224", or "1280".
std::string to_string(const Shape& shape);

/// How a kernel moves over a map, along one side; pixels.
struct Window {
  int kernel = 1;
  int stride = 1;
  std::int64_t before = 0;  ///< padding
  std::int64_t after = 0;   ///< padding, or less of it than the windows need
};

// What nodes compute. Weights are indices of Graph::parameters().
struct InputOp {};
struct ConvolutionOp {
  Window vertical;
  Window horizontal;
  int groups = 1;
  std::size_t weight = 0;  ///< (out, in / groups, kernel, kernel)
  std::size_t bias = 0;    ///< (out)
};
struct LinearOp {
  std::size_t weight = 0;  ///< (out, in)
  std::size_t bias = 0;    ///< (out)
};
/// x * scale + shift, per channel.
struct ScaleShiftOp {
  std::size_t scale = 0;  ///< (channels)
  std::size_t shift = 0;  ///< (channels)
};
struct MaxPoolOp {
  Window vertical;
  Window horizontal;
};
struct AveragePoolOp {
  Window window;  ///< along both sides
  bool count_padding = false;
};
/// torchvision's adaptive average pool: windows that differ by a pixel where
/// the sides do not divide.
struct AdaptiveAveragePoolOp {
  int side = 1;
};
struct ResponseNormOp {
  int size = 1;  ///< channels, odd
  double alpha = 0;
  double beta = 0;
};
struct AddOp {};
/// A map times one factor per channel.
struct MultiplyOp {};
struct ConcatenateOp {};
struct FlattenOp {};
/// Nothing but the node's activation.
struct ActivateOp {};

using Op =
    std::variant<InputOp, ConvolutionOp, LinearOp, ScaleShiftOp, MaxPoolOp,
                 AveragePoolOp, AdaptiveAveragePoolOp, ResponseNormOp, AddOp,
                 MultiplyOp, ConcatenateOp, FlattenOp, ActivateOp>;

/// activation(op(inputs)). A convolution with two inputs adds the second to
/// its output before the activation.
struct Node {
  std::string name;
  Op op;
  std::vector<Value> inputs;
  Shape shape;
  Activation activation = Activation::kNone;
};

struct Parameter {
  std::string name;
  at::Tensor values;  ///< float32, contiguous
};

/// A net for one input size, as a list of nodes in an order in which they can
/// be computed. Shapes are checked as nodes are added: the first fault is kept
/// and given by finish(), which names the layer; what is added after a fault
/// means nothing. Owner-thread while it is built, then immutable.
class Graph {
 public:
  explicit Graph(const Shape& input);

  [[nodiscard]] Value input() const { return 0; }
  /// The parameter's index; the same for the same name.
  std::size_t parameter(const std::string& name, const at::Tensor& values);

  /// @param padding  pixels on every side, or kSamePadding
  struct ConvolutionShape {
    int kernel_height = 1;
    int kernel_width = 1;
    int stride = 1;
    int padding_height = 0;
    int padding_width = 0;
    int groups = 1;
  };
  Value convolution(Value x, const std::string& name,
                    const ConvolutionShape& shape, const at::Tensor& weight,
                    const at::Tensor& bias, Activation activation);
  Value linear(Value x, const std::string& name, const at::Tensor& weight,
               const at::Tensor& bias, Activation activation);
  Value scale_shift(Value x, const std::string& name, const at::Tensor& scale,
                    const at::Tensor& shift, Activation activation);
  Value max_pool(Value x, int kernel, int stride, int padding, bool ceil);
  Value average_pool(Value x, int kernel, int stride, int padding,
                     bool count_padding);
  Value adaptive_average_pool(Value x, int side);
  Value response_norm(Value x, int size, double alpha, double beta);
  Value add(Value a, Value b);
  Value multiply(Value map, Value factors);
  Value concatenate(const std::vector<Value>& parts);
  Value flatten(Value x);
  Value activate(Value x, Activation activation);

  /// Makes `output` the graph's result. Errors: kInvalidArgument naming the
  /// layer that does not fit its input; kInvalidArgument when the result is
  /// no vector.
  [[nodiscard]] Result<void> finish(Value output);

  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const {
    return parameters_;
  }
  [[nodiscard]] Value output() const { return output_; }

 private:
  friend Graph fused(const Graph& graph);

  [[nodiscard]] const Shape& shape(Value x) const { return nodes_[x].shape; }
  Value append(Node node);
  /// Keeps the first fault of the net, "layer NAME: MESSAGE".
  Value fail(Value x, const std::string& name, const std::string& message);
  /// False, and a fault, unless x is a map.
  bool is_map(Value x, const std::string& name);
  std::string name_after(const std::string& what, Value x) const;

  std::vector<Node> nodes_;
  std::vector<Parameter> parameters_;
  Value output_ = 0;
  std::optional<Error> error_;
};

/// The net `layer` for images of `input`. Errors: as Graph::finish.
[[nodiscard]] Result<Graph> build_graph(const Layer& layer, const Shape& input);

/// The same function with fewer nodes: activations go into the node before
/// them, and sums into the convolution that gives one of their terms, where
/// nothing else needs what is between.
[[nodiscard]] Graph fused(const Graph& graph);

/// For every node the last one that reads it; its own index where none does,
/// the number of nodes for the output.
[[nodiscard]] std::vector<std::size_t> last_uses(const Graph& graph);

}  // namespace shoal::internal
