#include "engine/views/internal/architectures.h"

#include <utility>

namespace shoal::internal {

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> kArchitectures = {
      {"alexnet", build_alexnet, 1e-5F},
      {"alexnet_bvlc", build_alexnet_bvlc, 1e-5F},
      {"densenet121", build_densenet121, 1e-5F},
      {"efficientnet_b0", build_efficientnet_b0, 1e-5F},
      {"googlenet", build_googlenet, 1e-3F},
      {"googlenet_bvlc", build_googlenet_bvlc, 1e-5F},
      {"inception_v3", build_inception_v3, 1e-3F},
      {"lenet", build_lenet, 1e-5F},
      {"mobilenet_v1", build_mobilenet_v1, 1e-3F},
      {"mobilenet_v2", build_mobilenet_v2, 1e-5F},
      {"resnet101", build_resnet101, 1e-5F},
      {"resnet152", build_resnet152, 1e-5F},
      {"resnet18", build_resnet18, 1e-5F},
      {"resnet34", build_resnet34, 1e-5F},
      {"resnet50", build_resnet50, 1e-5F},
      {"squeezenet1_0", build_squeezenet1_0, 1e-5F},
      {"squeezenet1_1", build_squeezenet1_1, 1e-5F},
      {"vgg16", build_vgg16, 1e-5F},
      {"vgg16_bn", build_vgg16_bn, 1e-5F},
      {"vgg19", build_vgg19, 1e-5F},
      {"vgg19_bn", build_vgg19_bn, 1e-5F},
      {"xception", build_xception, 1e-5F},
  };
  return kArchitectures;
}

int read_classes(ObjectReader& variant, int otherwise) {
  constexpr int kMaxClasses = 100'000;
  return variant.integer("classes", otherwise, 0, kMaxClasses);
}

bool read_tf_same(ObjectReader& variant) {
  return variant.choice("padding", {"symmetric", "tf_same"}) == "tf_same";
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

Net flat_net(NetBuilder& builder, Layer trunk, const std::string& classifier,
             int dim, int classes) {
  Net net;
  net.trunk = std::move(trunk);
  net.feature = identity();
  if (classes > 0) net.logits = builder.linear(classifier, dim, classes);
  return net;
}

}  // namespace shoal::internal
