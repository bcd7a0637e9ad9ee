#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

namespace shoal::internal {
namespace {

/// The switches that both MobileNets have.
struct MobileNetVariant {
  int padding;  ///< of the 3 x 3 convolutions
  Activation activation;
  float width;
  int classes;
};

MobileNetVariant read_variant(ObjectReader& variant) {
  constexpr float kMaxWidth = 4;
  MobileNetVariant read{};
  read.padding = read_tf_same(variant) ? kSamePadding : 1;
  read.activation = variant.choice("activation", {"relu6", "relu"}) == "relu"
                        ? Activation::kRelu
                        : Activation::kRelu6;
  read.width = std::min(variant.positive("width", 1.0F), kMaxWidth);
  read.classes = read_classes(variant, 1000);
  return read;
}

/// The nearest multiple of 8 that is not more than 10 % smaller
/// (torchvision's _make_divisible).
int nearest_multiple_of_8(float channels) {
  const int nearest = std::max(8, static_cast<int>(channels + 4) / 8 * 8);
  return static_cast<float>(nearest) < 0.9F * channels ? nearest + 8 : nearest;
}

}  // namespace

// Howard et al. 2017 (arXiv:1704.04861), table 1; our own tensor names.
Net build_mobilenet_v1(NetBuilder& builder, ObjectReader& variant) {
  const MobileNetVariant v = read_variant(variant);
  const auto scaled = [&](int channels) {
    return std::max(8,
                    static_cast<int>(static_cast<float>(channels) * v.width));
  };
  struct Step {
    int channels;
    int stride;
  };
  constexpr std::array kSteps = {
      Step{64, 1},  Step{128, 2},  Step{128, 1}, Step{256, 2}, Step{256, 1},
      Step{512, 2}, Step{512, 1},  Step{512, 1}, Step{512, 1}, Step{512, 1},
      Step{512, 1}, Step{1024, 2}, Step{1024, 1}};

  int in = scaled(32);
  std::vector<Layer> layers = {builder.conv(
      {"stem", "stem_bn", 3, in, 3, 2, v.padding, 1, v.activation})};
  for (std::size_t i = 0; i < kSteps.size(); ++i) {
    const int out = scaled(kSteps[i].channels);
    const std::string depthwise = "dw" + std::to_string(i);
    const std::string pointwise = "pw" + std::to_string(i);
    layers.push_back(
        builder.conv({depthwise, depthwise + "_bn", in, in, 3, kSteps[i].stride,
                      v.padding, in, v.activation}));
    layers.push_back(builder.conv(
        {pointwise, pointwise + "_bn", in, out, 1, 1, 0, 1, v.activation}));
    in = out;
  }
  return pooled_net(builder, sequential(layers), "fc", in, v.classes);
}

// Sandler et al. 2018 (arXiv:1801.04381), table 2; torchvision's names.
Net build_mobilenet_v2(NetBuilder& builder, ObjectReader& variant) {
  const MobileNetVariant v = read_variant(variant);
  struct Stage {
    int expansion;
    int channels;
    int blocks;
    int stride;  ///< of the stage's first block
  };
  constexpr std::array kStages = {Stage{1, 16, 1, 1}, Stage{6, 24, 2, 2},
                                  Stage{6, 32, 3, 2}, Stage{6, 64, 4, 2},
                                  Stage{6, 96, 3, 1}, Stage{6, 160, 3, 2},
                                  Stage{6, 320, 1, 1}};

  int in = nearest_multiple_of_8(32 * v.width);
  std::vector<Layer> layers = {
      builder.conv({"features.0.0", "features.0.1", 3, in, 3, 2, v.padding, 1,
                    v.activation})};
  for (const Stage& stage : kStages) {
    const int out =
        nearest_multiple_of_8(static_cast<float>(stage.channels) * v.width);
    for (int block = 0; block < stage.blocks; ++block) {
      const std::string prefix =
          "features." + std::to_string(layers.size()) + ".conv.";
      const int stride = block == 0 ? stage.stride : 1;
      const int hidden = in * stage.expansion;
      std::vector<Layer> steps;
      // Without expansion the first convolution is left out and the names of
      // the others move up.
      int next = 0;
      if (stage.expansion != 1) {
        steps.push_back(builder.conv({prefix + "0.0", prefix + "0.1", in,
                                      hidden, 1, 1, 0, 1, v.activation}));
        next = 1;
      }
      const std::string depthwise = prefix + std::to_string(next);
      steps.push_back(
          builder.conv({depthwise + ".0", depthwise + ".1", hidden, hidden, 3,
                        stride, v.padding, hidden, v.activation}));
      steps.push_back(builder.conv({prefix + std::to_string(next + 1),
                                    prefix + std::to_string(next + 2), hidden,
                                    out, 1, 1, 0, 1, Activation::kNone}));
      Layer inverted = sequential(steps);
      const bool same_shape = stride == 1 && in == out;
      layers.push_back(same_shape ? residual(inverted, nullptr) : inverted);
      in = out;
    }
  }
  const int dim = nearest_multiple_of_8(1280 * std::max(1.0F, v.width));
  const std::string last = "features." + std::to_string(layers.size());
  layers.push_back(builder.conv(
      {last + ".0", last + ".1", in, dim, 1, 1, 0, 1, v.activation}));
  return pooled_net(builder, sequential(layers), "classifier.1", dim,
                    v.classes);
}

}  // namespace shoal::internal
