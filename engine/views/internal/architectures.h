#pragma once

#include <string_view>
#include <vector>

#include "engine/views/internal/layers.h"
#include "engine/views/internal/net_builder.h"
#include "engine/views/internal/object_reader.h"

namespace shoal::internal {

// One function per architecture: reads its switches from `variant` (the
// caller refuses those that it does not read) and makes its layers. Tensor
// names and switches are listed in docs/views.md.
Net build_alexnet(NetBuilder& builder, ObjectReader& variant);
Net build_alexnet_bvlc(NetBuilder& builder, ObjectReader& variant);
Net build_densenet121(NetBuilder& builder, ObjectReader& variant);
Net build_efficientnet_b0(NetBuilder& builder, ObjectReader& variant);
Net build_googlenet(NetBuilder& builder, ObjectReader& variant);
Net build_googlenet_bvlc(NetBuilder& builder, ObjectReader& variant);
Net build_inception_v3(NetBuilder& builder, ObjectReader& variant);
Net build_lenet(NetBuilder& builder, ObjectReader& variant);
Net build_mobilenet_v1(NetBuilder& builder, ObjectReader& variant);
Net build_mobilenet_v2(NetBuilder& builder, ObjectReader& variant);
Net build_resnet101(NetBuilder& builder, ObjectReader& variant);
Net build_resnet152(NetBuilder& builder, ObjectReader& variant);
Net build_resnet18(NetBuilder& builder, ObjectReader& variant);
Net build_resnet34(NetBuilder& builder, ObjectReader& variant);
Net build_resnet50(NetBuilder& builder, ObjectReader& variant);
Net build_squeezenet1_0(NetBuilder& builder, ObjectReader& variant);
Net build_squeezenet1_1(NetBuilder& builder, ObjectReader& variant);
Net build_vgg16(NetBuilder& builder, ObjectReader& variant);
Net build_vgg16_bn(NetBuilder& builder, ObjectReader& variant);
Net build_vgg19(NetBuilder& builder, ObjectReader& variant);
Net build_vgg19_bn(NetBuilder& builder, ObjectReader& variant);
Net build_xception(NetBuilder& builder, ObjectReader& variant);

/// An architecture that is built from a safetensors file.
struct Architecture {
  std::string_view name;
  Net (*build)(NetBuilder& builder, ObjectReader& variant);
  /// Where the variant does not say: the value its usual weights come with.
  float batch_norm_epsilon;
};

/// All of them, by name.
const std::vector<Architecture>& architectures();

/// The variant's number of classes; 0: the net has no classifier.
int read_classes(ObjectReader& variant, int otherwise);

/// The variant's `padding`: true for TensorFlow's SAME, false for as much on
/// both sides.
bool read_tf_same(ObjectReader& variant);

/// `trunk`, whose global average is the feature and the input of the linear
/// layer `classifier` (made only for classes > 0).
Net pooled_net(NetBuilder& builder, Layer trunk, const std::string& classifier,
               int dim, int classes);

/// `trunk`, whose output (n, dim) is the feature and the input of the linear
/// layer `classifier` (made only for classes > 0).
Net flat_net(NetBuilder& builder, Layer trunk, const std::string& classifier,
             int dim, int classes);

}  // namespace shoal::internal
