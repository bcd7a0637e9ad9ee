#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

namespace shoal::internal {

// Iandola et al. 2016 (arXiv:1602.07360), release 1.1; torchvision's names.
Net build_squeezenet1_1(NetBuilder& builder, ObjectReader& variant) {
  const int classes = read_classes(variant, 1000);
  variant.choice("pooling", {"ceil"});
  struct Fire {
    int index;
    int in;
    int squeeze;
    int expand;  ///< of each of the two branches
  };
  constexpr std::array kFires = {
      Fire{3, 64, 16, 64},    Fire{4, 128, 16, 64},  Fire{6, 128, 32, 128},
      Fire{7, 256, 32, 128},  Fire{9, 256, 48, 192}, Fire{10, 384, 48, 192},
      Fire{11, 384, 64, 256}, Fire{12, 512, 64, 256}};
  constexpr int kDim = 512;
  const Layer pool = max_pool(3, 2, 0, true);

  std::vector<Layer> layers = {builder.conv({"features.0", "", 3, 64, 3, 2, 0}),
                               pool};
  for (const Fire& fire : kFires) {
    // Pools are layers 5 and 8 of torchvision's list.
    if (fire.index == 6 || fire.index == 9) layers.push_back(pool);
    const std::string prefix = "features." + std::to_string(fire.index) + ".";
    layers.push_back(
        builder.conv({prefix + "squeeze", "", fire.in, fire.squeeze}));
    layers.push_back(concatenate(
        {builder.conv({prefix + "expand1x1", "", fire.squeeze, fire.expand}),
         builder.conv(
             {prefix + "expand3x3", "", fire.squeeze, fire.expand, 3, 1, 1})}));
  }
  Net net;
  net.trunk = sequential(layers);
  net.feature = global_average_pool();
  if (classes > 0) {
    net.logits = sequential({builder.conv({"classifier.1", "", kDim, classes}),
                             global_average_pool()});
  }
  return net;
}

}  // namespace shoal::internal
