#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

namespace shoal::internal {
namespace {

/// 1 x 1, 3 x 3, 1 x 1 around a shortcut. `stride_in_1x1`: the first
/// convolution takes the stride (He et al.), else the second (torchvision).
Layer bottleneck(NetBuilder& builder, const std::string& prefix, int in,
                 int width, int stride, bool stride_in_1x1) {
  const int out = width * 4;
  const int stride1 = stride_in_1x1 ? stride : 1;
  const int stride2 = stride_in_1x1 ? 1 : stride;
  Layer block = sequential(
      {builder.conv({prefix + "conv1", prefix + "bn1", in, width, 1, stride1}),
       builder.conv(
           {prefix + "conv2", prefix + "bn2", width, width, 3, stride2, 1}),
       builder.conv({prefix + "conv3", prefix + "bn3", width, out, 1, 1, 0, 1,
                     Activation::kNone})});
  Layer shortcut;
  if (in != out) {
    shortcut = builder.conv({prefix + "downsample.0", prefix + "downsample.1",
                             in, out, 1, stride, 0, 1, Activation::kNone});
  }
  return sequential({residual(block, shortcut), relu()});
}

}  // namespace

// He et al. 2015 (arXiv:1512.03385), table 1; torchvision's names.
Net build_resnet50(NetBuilder& builder, ObjectReader& variant) {
  const bool stride_in_1x1 = variant.boolean("stride_in_1x1", false);
  const int classes = read_classes(variant, 1000);
  constexpr std::array kBlocks = {3, 4, 6, 3};

  std::vector<Layer> layers = {builder.conv({"conv1", "bn1", 3, 64, 7, 2, 3}),
                               max_pool(3, 2, 1, false)};
  int in = 64;
  int width = 64;
  for (std::size_t stage = 0; stage < kBlocks.size(); ++stage) {
    for (int block = 0; block < kBlocks[stage]; ++block) {
      const std::string prefix = "layer" + std::to_string(stage + 1) + "." +
                                 std::to_string(block) + ".";
      const int stride = stage > 0 && block == 0 ? 2 : 1;
      layers.push_back(
          bottleneck(builder, prefix, in, width, stride, stride_in_1x1));
      in = width * 4;
    }
    width *= 2;
  }
  return pooled_net(builder, sequential(layers), "fc", in, classes);
}

}  // namespace shoal::internal
