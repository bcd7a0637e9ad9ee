#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// He et al. 2015 (arXiv:1512.03385), table 1; torchvision's names.

namespace shoal::internal {
namespace {

/// The number of blocks in each of the four stages.
using Stages = std::array<int, 4>;

/// A block's place in the net.
struct Place {
  std::string prefix;  ///< of its tensors' names
  int in;              ///< channels
  int width;           ///< channels inside
  int stride;
};

/// block(x) + shortcut(x), where the shortcut is a convolution if the block
/// changes the shape.
Layer with_shortcut(NetBuilder& builder, const Place& p, const Layer& block,
                    int out) {
  Layer shortcut;
  if (p.in != out || p.stride != 1) {
    shortcut =
        builder.conv({p.prefix + "downsample.0", p.prefix + "downsample.1",
                      p.in, out, 1, p.stride, 0, 1, Activation::kNone});
  }
  return sequential({residual(block, shortcut), relu()});
}

/// Two 3 x 3 around a shortcut.
Layer basic_block(NetBuilder& builder, const Place& p) {
  const Layer block =
      sequential({builder.conv({p.prefix + "conv1", p.prefix + "bn1", p.in,
                                p.width, 3, p.stride, 1}),
                  builder.conv({p.prefix + "conv2", p.prefix + "bn2", p.width,
                                p.width, 3, 1, 1, 1, Activation::kNone})});
  return with_shortcut(builder, p, block, p.width);
}

/// 1 x 1, 3 x 3, 1 x 1 around a shortcut. `stride_in_1x1`: the first
/// convolution takes the stride (He et al.), else the second (torchvision).
Layer bottleneck(NetBuilder& builder, const Place& p, bool stride_in_1x1) {
  const int out = p.width * 4;
  const int stride1 = stride_in_1x1 ? p.stride : 1;
  const int stride2 = stride_in_1x1 ? 1 : p.stride;
  const Layer block =
      sequential({builder.conv({p.prefix + "conv1", p.prefix + "bn1", p.in,
                                p.width, 1, stride1}),
                  builder.conv({p.prefix + "conv2", p.prefix + "bn2", p.width,
                                p.width, 3, stride2, 1}),
                  builder.conv({p.prefix + "conv3", p.prefix + "bn3", p.width,
                                out, 1, 1, 0, 1, Activation::kNone})});
  return with_shortcut(builder, p, block, out);
}

/// @param make       a block at its place
/// @param expansion  a block's outputs per channel of its width
template <typename MakeBlock>
Net build_resnet(NetBuilder& builder, int classes, const Stages& stages,
                 int expansion, const MakeBlock& make) {
  std::vector<Layer> layers = {builder.conv({"conv1", "bn1", 3, 64, 7, 2, 3}),
                               max_pool(3, 2, 1, false)};
  int in = 64;
  int width = 64;
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    for (int block = 0; block < stages[stage]; ++block) {
      const std::string prefix = "layer" + std::to_string(stage + 1) + "." +
                                 std::to_string(block) + ".";
      const int stride = stage > 0 && block == 0 ? 2 : 1;
      layers.push_back(make(Place{prefix, in, width, stride}));
      in = width * expansion;
    }
    width *= 2;
  }
  return pooled_net(builder, sequential(layers), "fc", in, classes);
}

Net build_basic(NetBuilder& builder, ObjectReader& variant,
                const Stages& stages) {
  return build_resnet(
      builder, read_classes(variant, 1000), stages, 1,
      [&](const Place& place) { return basic_block(builder, place); });
}

Net build_deep(NetBuilder& builder, ObjectReader& variant,
               const Stages& stages) {
  const bool stride_in_1x1 = variant.boolean("stride_in_1x1", false);
  return build_resnet(builder, read_classes(variant, 1000), stages, 4,
                      [&](const Place& place) {
                        return bottleneck(builder, place, stride_in_1x1);
                      });
}

}  // namespace

Net build_resnet18(NetBuilder& builder, ObjectReader& variant) {
  return build_basic(builder, variant, {2, 2, 2, 2});
}

Net build_resnet34(NetBuilder& builder, ObjectReader& variant) {
  return build_basic(builder, variant, {3, 4, 6, 3});
}

Net build_resnet50(NetBuilder& builder, ObjectReader& variant) {
  return build_deep(builder, variant, {3, 4, 6, 3});
}

Net build_resnet101(NetBuilder& builder, ObjectReader& variant) {
  return build_deep(builder, variant, {3, 4, 23, 3});
}

Net build_resnet152(NetBuilder& builder, ObjectReader& variant) {
  return build_deep(builder, variant, {3, 8, 36, 3});
}

}  // namespace shoal::internal
