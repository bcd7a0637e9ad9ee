#pragma once

#include <functional>
#include <vector>

namespace at {
class Tensor;
}  // namespace at

namespace shoal::internal {

/// One step of a net: (n, ...) float32 -> (n, ...) float32, on the net's
/// device. Holds its weights; safe to call from one thread at a time. May
/// work in place on what it computed, never on its argument.
using Layer = std::function<at::Tensor(const at::Tensor&)>;

/// A net in the parts that views need.
struct Net {
  Layer trunk;    ///< (n, 3, h, w) -> last feature map
  Layer feature;  ///< feature map -> (n, dim)
  Layer logits;   ///< feature map -> (n, classes); empty: no classifier
};

/// `layers` one after the other.
Layer sequential(std::vector<Layer> layers);
/// The outputs of all `branches` on one input, joined along channels.
Layer concatenate(std::vector<Layer> branches);
/// block(x) + shortcut(x), or block(x) + x without a shortcut.
Layer residual(Layer block, Layer shortcut);
Layer relu();
/// `ceil`: the last window may reach past the edge (Caffe).
Layer max_pool(int kernel, int stride, int padding, bool ceil);
/// x / (1 + alpha / size * sum of squares over `size` channels)^beta: AlexNet
/// section 3.3 as Caffe has it.
Layer local_response_norm(int size, double alpha, double beta);
Layer global_average_pool();  ///< (n, c, h, w) -> (n, c)
Layer flatten();              ///< (n, c, h, w) -> (n, c * h * w)

}  // namespace shoal::internal
