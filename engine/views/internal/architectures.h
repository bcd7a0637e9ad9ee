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
Net build_alexnet_bvlc(NetBuilder& builder, ObjectReader& variant);
Net build_googlenet(NetBuilder& builder, ObjectReader& variant);
Net build_googlenet_bvlc(NetBuilder& builder, ObjectReader& variant);
Net build_mobilenet_v1(NetBuilder& builder, ObjectReader& variant);
Net build_mobilenet_v2(NetBuilder& builder, ObjectReader& variant);
Net build_resnet50(NetBuilder& builder, ObjectReader& variant);
Net build_squeezenet1_1(NetBuilder& builder, ObjectReader& variant);

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

/// `trunk`, whose global average is the feature and the input of the linear
/// layer `classifier` (made only for classes > 0).
Net pooled_net(NetBuilder& builder, Layer trunk, const std::string& classifier,
               int dim, int classes);

}  // namespace shoal::internal
