#include "engine/views/internal/architectures.h"

namespace shoal::internal {

// LeCun et al. 1998 (Proc. IEEE 86(11)), section II.B, with all of the second
// convolution's connections and a linear classifier; our own tensor names.
// Its input is 32 x 32.
Net build_lenet(NetBuilder& builder, ObjectReader& variant) {
  constexpr int kDim = 84;
  const int classes = read_classes(variant, 10);
  const Activation activation =
      variant.choice("activation", {"relu", "tanh"}) == "tanh"
          ? Activation::kTanh
          : Activation::kRelu;
  const Layer pool = variant.choice("pooling", {"max", "average"}) == "average"
                         ? average_pool(2, 2, 0, true)
                         : max_pool(2, 2, 0, false);
  Conv conv1{"conv1", "", 3, 6, 5, 1, 0, 1, activation};
  conv1.luma = variant.boolean("grey", false);
  const Layer trunk = sequential({
      builder.conv(conv1),
      pool,
      builder.conv({"conv2", "", 6, 16, 5, 1, 0, 1, activation}),
      pool,
      flatten(),
      builder.linear("fc1", 16 * 5 * 5, 120, activation),
      builder.linear("fc2", 120, kDim, activation),
  });
  return flat_net(builder, trunk, "fc3", kDim, classes);
}

}  // namespace shoal::internal
