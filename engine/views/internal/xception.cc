#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// Chollet 2016 (arXiv:1610.02357), figure 5; the tensor names of the PyTorch
// ports (Cadene, timm).

namespace shoal::internal {
namespace {

struct Block {
  int in;
  int middle;  ///< channels after all but the last convolution
  int out;
  int convolutions;
  int stride;
  bool starts_with_relu;
};

constexpr Block kMiddle = {728, 728, 728, 3, 1, true};
constexpr std::array kBlocks = {
    Block{64, 128, 128, 2, 2, false},
    Block{128, 256, 256, 2, 2, true},
    Block{256, 728, 728, 2, 2, true},
    kMiddle,
    kMiddle,
    kMiddle,
    kMiddle,
    kMiddle,
    kMiddle,
    kMiddle,
    kMiddle,
    Block{728, 728, 1024, 2, 2, true},
};

/// Depthwise 3 x 3, then 1 x 1 and its batch norm.
Layer separable(NetBuilder& builder, const std::string& name,
                const std::string& batch_norm, int in, int out,
                Activation activation) {
  Conv depthwise{name + ".conv1", "", in, in, 3, 1, 1, in, Activation::kNone};
  depthwise.bias = false;
  return sequential({builder.conv(depthwise),
                     builder.conv({name + ".pointwise", batch_norm, in, out, 1,
                                   1, 0, 1, activation})});
}

Layer make_block(NetBuilder& builder, const std::string& prefix, const Block& b,
                 int pool_padding) {
  std::vector<Layer> steps;
  int index = 0;  // in the port's list, where ReLU counts
  if (b.starts_with_relu) {
    steps.push_back(relu());
    ++index;
  }
  int in = b.in;
  for (int i = 0; i < b.convolutions; ++i) {
    const bool last = i + 1 == b.convolutions;
    const int out = last ? b.out : b.middle;
    steps.push_back(separable(builder, prefix + "rep." + std::to_string(index),
                              prefix + "rep." + std::to_string(index + 1), in,
                              out,
                              last ? Activation::kNone : Activation::kRelu));
    in = out;
    index += 3;
  }
  if (b.stride == 1) return residual(sequential(steps), nullptr);
  steps.push_back(max_pool(3, b.stride, pool_padding, false));
  return residual(sequential(steps),
                  builder.conv({prefix + "skip", prefix + "skipbn", b.in, b.out,
                                1, b.stride, 0, 1, Activation::kNone}));
}

}  // namespace

Net build_xception(NetBuilder& builder, ObjectReader& variant) {
  constexpr int kDim = 2048;
  const int classes = read_classes(variant, 1000);
  // The first two convolutions have no padding in either, and for the others,
  // all of stride 1, the two are the same.
  const int pool_padding = read_tf_same(variant) ? kSamePadding : 1;

  std::vector<Layer> layers = {builder.conv({"conv1", "bn1", 3, 32, 3, 2, 0}),
                               builder.conv({"conv2", "bn2", 32, 64, 3, 1, 0})};
  for (std::size_t i = 0; i < kBlocks.size(); ++i) {
    layers.push_back(make_block(builder, "block" + std::to_string(i + 1) + ".",
                                kBlocks[i], pool_padding));
  }
  layers.push_back(
      separable(builder, "conv3", "bn3", 1024, 1536, Activation::kRelu));
  layers.push_back(
      separable(builder, "conv4", "bn4", 1536, kDim, Activation::kRelu));
  return pooled_net(builder, sequential(layers), "fc", kDim, classes);
}

}  // namespace shoal::internal
