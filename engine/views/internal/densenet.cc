#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// Huang et al. 2016 (arXiv:1608.06993), table 1; torchvision's names.

namespace shoal::internal {
namespace {

constexpr int kGrowth = 32;
constexpr int kBottleneck = 4 * kGrowth;

/// A convolution that a batch norm precedes instead of follows.
Layer plain_conv(NetBuilder& builder, Conv spec) {
  spec.activation = Activation::kNone;
  spec.bias = false;
  return builder.conv(spec);
}

/// The input and kGrowth channels made from it. `dot`: what is between the
/// names of the layer's parts and their numbers.
Layer dense_layer(NetBuilder& builder, const std::string& prefix,
                  const std::string& dot, int in) {
  const std::string norm = prefix + "norm" + dot;
  const std::string conv = prefix + "conv" + dot;
  return concatenate(
      {identity(),
       sequential({builder.batch_norm(norm + "1", in, Activation::kRelu),
                   builder.conv({conv + "1", norm + "2", in, kBottleneck}),
                   plain_conv(builder, {conv + "2", "", kBottleneck, kGrowth, 3,
                                        1, 1})})});
}

/// Halves the channels and the sides.
Layer transition(NetBuilder& builder, const std::string& prefix, int in) {
  return sequential({builder.batch_norm(prefix + "norm", in, Activation::kRelu),
                     plain_conv(builder, {prefix + "conv", "", in, in / 2}),
                     average_pool(2, 2, 0, true)});
}

}  // namespace

Net build_densenet121(NetBuilder& builder, ObjectReader& variant) {
  constexpr std::array kBlocks = {6, 12, 24, 16};
  const int classes = read_classes(variant, 1000);
  // torchvision's published file is older than its names: "norm.1".
  const bool old_names =
      builder.has("features.denseblock1.denselayer1.norm.1.weight");
  const std::string dot = old_names ? "." : "";

  std::vector<Layer> layers = {
      builder.conv({"features.conv0", "features.norm0", 3, 64, 7, 2, 3}),
      max_pool(3, 2, 1, false)};
  int channels = 64;
  for (std::size_t block = 0; block < kBlocks.size(); ++block) {
    const std::string number = std::to_string(block + 1);
    if (block > 0) {
      layers.push_back(transition(
          builder, "features.transition" + std::to_string(block) + ".",
          channels));
      channels /= 2;
    }
    for (int layer = 0; layer < kBlocks[block]; ++layer) {
      layers.push_back(dense_layer(builder,
                                   "features.denseblock" + number +
                                       ".denselayer" +
                                       std::to_string(layer + 1) + ".",
                                   dot, channels));
      channels += kGrowth;
    }
  }
  layers.push_back(
      builder.batch_norm("features.norm5", channels, Activation::kRelu));
  return pooled_net(builder, sequential(layers), "classifier", channels,
                    classes);
}

}  // namespace shoal::internal
