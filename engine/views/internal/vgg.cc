#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// Simonyan and Zisserman 2014 (arXiv:1409.1556), table 1, columns D and E;
// torchvision's names.

namespace shoal::internal {
namespace {

/// The number of convolutions before each of the five pools.
using Stages = std::array<int, 5>;
constexpr Stages kVgg16 = {2, 2, 3, 3, 3};
constexpr Stages kVgg19 = {2, 2, 4, 4, 4};

Net build_vgg(NetBuilder& builder, ObjectReader& variant, const Stages& stages,
              bool batch_norm) {
  constexpr std::array kChannels = {64, 128, 256, 512, 512};
  constexpr int kDim = 4096;
  constexpr int kPooled = 7;
  const int classes = read_classes(variant, 1000);

  std::vector<Layer> layers;
  int in = 3;
  int index = 0;  // in torchvision's list, where ReLU and pools count
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    for (int i = 0; i < stages[stage]; ++i) {
      const std::string name = "features." + std::to_string(index);
      const std::string norm = "features." + std::to_string(index + 1);
      layers.push_back(builder.conv(
          {name, batch_norm ? norm : "", in, kChannels[stage], 3, 1, 1}));
      in = kChannels[stage];
      index += batch_norm ? 3 : 2;
    }
    layers.push_back(max_pool(2, 2, 0, false));
    ++index;
  }
  layers.push_back(adaptive_average_pool(kPooled));
  layers.push_back(flatten());
  layers.push_back(builder.linear("classifier.0", in * kPooled * kPooled, kDim,
                                  Activation::kRelu));
  layers.push_back(
      builder.linear("classifier.3", kDim, kDim, Activation::kRelu));
  return flat_net(builder, sequential(layers), "classifier.6", kDim, classes);
}

}  // namespace

Net build_vgg16(NetBuilder& builder, ObjectReader& variant) {
  return build_vgg(builder, variant, kVgg16, false);
}

Net build_vgg16_bn(NetBuilder& builder, ObjectReader& variant) {
  return build_vgg(builder, variant, kVgg16, true);
}

Net build_vgg19(NetBuilder& builder, ObjectReader& variant) {
  return build_vgg(builder, variant, kVgg19, false);
}

Net build_vgg19_bn(NetBuilder& builder, ObjectReader& variant) {
  return build_vgg(builder, variant, kVgg19, true);
}

}  // namespace shoal::internal
