#include "engine/views/internal/architectures.h"

namespace shoal::internal {

// Krizhevsky et al. 2012, section 3, as released by BVLC: the convolutions
// alone, so the feature is the last pool's output.
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

}  // namespace shoal::internal
