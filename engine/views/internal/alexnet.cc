#include "engine/views/internal/architectures.h"

// Krizhevsky et al. 2012, section 3.

namespace shoal::internal {

// As released by BVLC: the convolutions alone, so the feature is the last
// pool's output.
Net build_alexnet_bvlc(NetBuilder& builder, ObjectReader& variant) {
  if (!variant.boolean("lrn", true)) {
    variant.fail("lrn", "false", "true: the architecture has it");
  }
  const int groups = variant.integer("groups", 2, 1, 2);
  variant.integer("classes", 0, 0, 0);
  variant.ignore("layers");
  const Layer pool = max_pool(3, 2, 0, true);
  const Layer norm = local_response_norm(5, 1e-4, 0.75);
  Net net;
  net.trunk = sequential(
      {builder.conv({"conv1", "conv1_bn", 3, 96, 11, 4, 0}), norm, pool,
       builder.conv({"conv2", "conv2_bn", 96, 256, 5, 1, 2, groups}), norm,
       pool, builder.conv({"conv3", "conv3_bn", 256, 384, 3, 1, 1}),
       builder.conv({"conv4", "conv4_bn", 384, 384, 3, 1, 1, groups}),
       builder.conv({"conv5", "conv5_bn", 384, 256, 3, 1, 1, groups}), pool});
  net.feature = flatten();
  return net;
}

// torchvision's: fewer channels, no groups, no local response norm.
Net build_alexnet(NetBuilder& builder, ObjectReader& variant) {
  constexpr int kDim = 4096;
  constexpr int kPooled = 6;
  const int classes = read_classes(variant, 1000);
  const Layer pool = max_pool(3, 2, 0, false);
  const Layer trunk = sequential({
      builder.conv({"features.0", "", 3, 64, 11, 4, 2}),
      pool,
      builder.conv({"features.3", "", 64, 192, 5, 1, 2}),
      pool,
      builder.conv({"features.6", "", 192, 384, 3, 1, 1}),
      builder.conv({"features.8", "", 384, 256, 3, 1, 1}),
      builder.conv({"features.10", "", 256, 256, 3, 1, 1}),
      pool,
      adaptive_average_pool(kPooled),
      flatten(),
      builder.linear("classifier.1", 256 * kPooled * kPooled, kDim,
                     Activation::kRelu),
      builder.linear("classifier.4", kDim, kDim, Activation::kRelu),
  });
  return flat_net(builder, trunk, "classifier.6", kDim, classes);
}

}  // namespace shoal::internal
