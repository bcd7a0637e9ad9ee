#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// Iandola et al. 2016 (arXiv:1602.07360), releases 1.0 and 1.1; torchvision's
// names.

namespace shoal::internal {
namespace {

struct Fire {
  int index;  ///< in torchvision's list; pools have the numbers left out
  int in;
  int squeeze;
  int expand;  ///< of each of the two branches
};

Layer fire_module(NetBuilder& builder, const Fire& fire) {
  const std::string prefix = "features." + std::to_string(fire.index) + ".";
  return sequential(
      {builder.conv({prefix + "squeeze", "", fire.in, fire.squeeze}),
       concatenate(
           {builder.conv({prefix + "expand1x1", "", fire.squeeze, fire.expand}),
            builder.conv({prefix + "expand3x3", "", fire.squeeze, fire.expand,
                          3, 1, 1})})});
}

Net build_squeezenet(NetBuilder& builder, ObjectReader& variant,
                     const Conv& stem, const std::vector<Fire>& fires) {
  const int classes = read_classes(variant, 1000);
  variant.choice("pooling", {"ceil"});
  constexpr int kDim = 512;
  const Layer pool = max_pool(3, 2, 0, true);

  std::vector<Layer> layers = {builder.conv(stem), pool};
  int next = fires.front().index;
  for (const Fire& fire : fires) {
    if (fire.index != next) layers.push_back(pool);
    layers.push_back(fire_module(builder, fire));
    next = fire.index + 1;
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

}  // namespace

Net build_squeezenet1_0(NetBuilder& builder, ObjectReader& variant) {
  return build_squeezenet(builder, variant, {"features.0", "", 3, 96, 7, 2, 0},
                          {{3, 96, 16, 64},
                           {4, 128, 16, 64},
                           {5, 128, 32, 128},
                           {7, 256, 32, 128},
                           {8, 256, 48, 192},
                           {9, 384, 48, 192},
                           {10, 384, 64, 256},
                           {12, 512, 64, 256}});
}

Net build_squeezenet1_1(NetBuilder& builder, ObjectReader& variant) {
  return build_squeezenet(builder, variant, {"features.0", "", 3, 64, 3, 2, 0},
                          {{3, 64, 16, 64},
                           {4, 128, 16, 64},
                           {6, 128, 32, 128},
                           {7, 256, 32, 128},
                           {9, 256, 48, 192},
                           {10, 384, 48, 192},
                           {11, 384, 64, 256},
                           {12, 512, 64, 256}});
}

}  // namespace shoal::internal
