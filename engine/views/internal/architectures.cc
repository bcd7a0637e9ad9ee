#include "engine/views/internal/architectures.h"

#include <utility>

namespace shoal::internal {

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> kArchitectures = {
      {"alexnet_bvlc", build_alexnet_bvlc, 1e-5F},
      {"googlenet", build_googlenet, 1e-3F},
      {"googlenet_bvlc", build_googlenet_bvlc, 1e-5F},
      {"mobilenet_v1", build_mobilenet_v1, 1e-3F},
      {"mobilenet_v2", build_mobilenet_v2, 1e-5F},
      {"resnet50", build_resnet50, 1e-5F},
      {"squeezenet1_1", build_squeezenet1_1, 1e-5F},
  };
  return kArchitectures;
}

int read_classes(ObjectReader& variant, int otherwise) {
  constexpr int kMaxClasses = 100'000;
  return variant.integer("classes", otherwise, 0, kMaxClasses);
}

Net pooled_net(NetBuilder& builder, Layer trunk, const std::string& classifier,
               int dim, int classes) {
  Net net;
  net.trunk = std::move(trunk);
  net.feature = global_average_pool();
  if (classes > 0) {
    net.logits = sequential(
        {global_average_pool(), builder.linear(classifier, dim, classes)});
  }
  return net;
}

}  // namespace shoal::internal
