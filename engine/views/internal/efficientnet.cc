#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// Tan and Le 2019 (arXiv:1905.11946), table 1; torchvision's names.

namespace shoal::internal {
namespace {

struct Stage {
  int expansion;
  int kernel;
  int stride;  ///< of the stage's first block
  int channels;
  int blocks;
};

constexpr std::array kStages = {Stage{1, 3, 1, 16, 1},  Stage{6, 3, 2, 24, 2},
                                Stage{6, 5, 2, 40, 2},  Stage{6, 3, 2, 80, 3},
                                Stage{6, 5, 1, 112, 3}, Stage{6, 5, 2, 192, 4},
                                Stage{6, 3, 1, 320, 1}};

/// Channels scaled by a function of their means, through `squeezed` channels.
Layer squeeze_and_excitation(NetBuilder& builder, const std::string& prefix,
                             int channels, int squeezed) {
  return scale_channels(
      sequential({global_average_map(),
                  builder.conv({prefix + "fc1", "", channels, squeezed, 1, 1, 0,
                                1, Activation::kSilu}),
                  builder.conv({prefix + "fc2", "", squeezed, channels, 1, 1, 0,
                                1, Activation::kSigmoid})}));
}

/// Expansion, depthwise convolution, squeeze and excitation, projection.
Layer inverted_bottleneck(NetBuilder& builder, const std::string& prefix,
                          const Stage& stage, int in, int stride,
                          bool tf_same) {
  const int hidden = in * stage.expansion;
  const int padding = tf_same ? kSamePadding : stage.kernel / 2;
  std::vector<Layer> steps;
  // Without expansion the names of the other parts move up.
  const auto next = [&] { return prefix + std::to_string(steps.size()) + "."; };
  if (stage.expansion != 1) {
    steps.push_back(builder.conv({next() + "0", next() + "1", in, hidden, 1, 1,
                                  0, 1, Activation::kSilu}));
  }
  steps.push_back(
      builder.conv({next() + "0", next() + "1", hidden, hidden, stage.kernel,
                    stride, padding, hidden, Activation::kSilu}));
  steps.push_back(
      squeeze_and_excitation(builder, next(), hidden, std::max(1, in / 4)));
  steps.push_back(
      builder.conv({next() + "0", next() + "1", hidden, stage.channels, 1, 1, 0,
                    1, Activation::kNone}));
  const Layer block = sequential(steps);
  const bool same_shape = stride == 1 && in == stage.channels;
  return same_shape ? residual(block, nullptr) : block;
}

}  // namespace

Net build_efficientnet_b0(NetBuilder& builder, ObjectReader& variant) {
  constexpr int kDim = 1280;
  const int classes = read_classes(variant, 1000);
  const bool tf_same = read_tf_same(variant);

  int in = 32;
  std::vector<Layer> layers = {
      builder.conv({"features.0.0", "features.0.1", 3, in, 3, 2,
                    tf_same ? kSamePadding : 1, 1, Activation::kSilu})};
  for (std::size_t i = 0; i < kStages.size(); ++i) {
    for (int block = 0; block < kStages[i].blocks; ++block) {
      const std::string prefix = "features." + std::to_string(i + 1) + "." +
                                 std::to_string(block) + ".block.";
      layers.push_back(inverted_bottleneck(builder, prefix, kStages[i], in,
                                           block == 0 ? kStages[i].stride : 1,
                                           tf_same));
      in = kStages[i].channels;
    }
  }
  layers.push_back(builder.conv({"features.8.0", "features.8.1", in, kDim, 1, 1,
                                 0, 1, Activation::kSilu}));
  return pooled_net(builder, sequential(layers), "classifier.1", kDim, classes);
}

}  // namespace shoal::internal
