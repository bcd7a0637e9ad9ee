#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace shoal::internal {

class Graph;

/// What a node of a Graph gives: the node's index.
using Value = std::size_t;

/// One step of a net: appends its nodes to a graph, whose shapes are those of
/// one input size, and gives what they compute from a value. Holds its
/// weights; immutable.
using Layer = std::function<Value(Graph&, Value)>;

/// A net in the parts that views need.
struct Net {
  Layer trunk;    ///< (n, 3, h, w) -> last feature map, or (n, d)
  Layer feature;  ///< the trunk's output -> (n, dim)
  Layer logits;   ///< the trunk's output -> (n, classes); empty: no classifier
};

enum class Activation { kNone, kRelu, kRelu6, kSilu, kSigmoid, kTanh };

/// TensorFlow's "SAME": output size = ceil(input size / stride); an odd pixel
/// of padding goes to the right and the bottom.
constexpr int kSamePadding = -1;

/// `layers` one after the other.
Layer sequential(std::vector<Layer> layers);
/// The input as it is.
Layer identity();
/// The outputs of all `branches` on one input, joined along channels.
Layer concatenate(std::vector<Layer> branches);
/// block(x) + shortcut(x), or block(x) + x without a shortcut.
Layer residual(Layer block, Layer shortcut);
/// x * scales(x), where scales gives (n, c, 1, 1) (squeeze and excitation).
Layer scale_channels(Layer scales);
Layer activate(Activation activation);
Layer relu();
/// `ceil`: the last window may reach past the edge (Caffe). Padding counts as
/// minus infinity; it may be kSamePadding.
Layer max_pool(int kernel, int stride, int padding, bool ceil);
/// `count_padding`: zeros of the padding take part in the mean.
Layer average_pool(int kernel, int stride, int padding, bool count_padding);
/// torchvision's adaptive average pool to `side` x `side`.
Layer adaptive_average_pool(int side);
/// x / (1 + alpha / size * sum of squares over `size` channels)^beta: AlexNet
/// section 3.3 as Caffe has it.
Layer local_response_norm(int size, double alpha, double beta);
Layer global_average_pool();  ///< (n, c, h, w) -> (n, c)
/// (n, c, h, w) -> (n, c, 1, 1)
Layer global_average_map();
Layer flatten();  ///< (n, c, h, w) -> (n, c * h * w)

}  // namespace shoal::internal
