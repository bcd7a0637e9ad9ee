#include "engine/weights/internal/keras_names.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <regex>
#include <string_view>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace shoal::internal {
namespace {

/// Our name of the module that a layer becomes; empty: it has no place.
using NameLayer = std::function<std::string(const std::string& layer)>;

constexpr std::string_view kFlattened = "classifier.0";  ///< VGG's
constexpr std::int64_t kVggPooled = 7;                   ///< pixels

/// `text` if the whole of it matches, its groups in `match`.
bool matches(const std::string& text, const char* pattern, std::smatch& match) {
  return std::regex_match(text, match, std::regex(pattern));
}

std::string minus_one(const std::string& number) {
  return std::to_string(std::stoi(number) - 1);
}

/// `name` in a list of pairs, or empty.
std::string look_up(const std::string& name,
                    const std::map<std::string_view, std::string_view>& pairs) {
  const auto place = pairs.find(name);
  return place == pairs.end() ? "" : std::string(place->second);
}

std::string mobilenet_v1_name(const std::string& layer) {
  std::smatch m;
  if (matches(layer, "conv_(dw|pw)_([0-9]{1,2})(_bn)?", m)) {
    return m.str(1) + minus_one(m.str(2)) + m.str(3);
  }
  return look_up(layer, {{"conv1", "stem"},
                         {"conv1_bn", "stem_bn"},
                         {"conv_preds", "fc"},
                         {"predictions", "fc"}});
}

std::string mobilenet_v2_name(const std::string& layer) {
  std::smatch m;
  const std::map<std::string_view, std::string_view> first = {
      {"depthwise", "0.0"},
      {"depthwise_BN", "0.1"},
      {"project", "1"},
      {"project_BN", "2"}};
  const std::map<std::string_view, std::string_view> others = {
      {"expand", "0.0"},       {"expand_BN", "0.1"}, {"depthwise", "1.0"},
      {"depthwise_BN", "1.1"}, {"project", "2"},     {"project_BN", "3"}};
  std::string place;
  if (matches(layer, "expanded_conv_(\\w+)", m)) {
    place = look_up(m.str(1), first);
    return place.empty() ? "" : "features.1.conv." + place;
  }
  if (matches(layer, "block_([0-9]{1,2})_(\\w+)", m)) {
    place = look_up(m.str(2), others);
    return place.empty() ? ""
                         : fmt::format("features.{}.conv.{}",
                                       std::stoi(m.str(1)) + 1, place);
  }
  return look_up(layer, {{"Conv1", "features.0.0"},
                         {"bn_Conv1", "features.0.1"},
                         {"Conv_1", "features.18.0"},
                         {"Conv_1_bn", "features.18.1"},
                         {"Logits", "classifier.1"},
                         {"predictions", "classifier.1"}});
}

/// @param stages  number of convolutions before each pool
std::string vgg_name(const std::string& layer,
                     const std::array<int, 5>& stages) {
  std::smatch m;
  if (!matches(layer, "block([1-5])_conv([1-4])", m)) {
    return look_up(layer, {{"fc1", kFlattened},
                           {"fc2", "classifier.3"},
                           {"predictions", "classifier.6"}});
  }
  const auto stage = static_cast<std::size_t>(std::stoi(m.str(1)) - 1);
  const int conv = std::stoi(m.str(2)) - 1;
  if (conv >= stages[stage]) return "";
  int index = 2 * conv;  // ReLU counts
  for (std::size_t i = 0; i < stage; ++i) index += 2 * stages[i] + 1;
  return "features." + std::to_string(index);
}

std::string resnet_name(const std::string& layer) {
  std::smatch m;
  if (matches(layer, "conv([2-5])_block([0-9]{1,2})_([0-3])_(conv|bn)", m)) {
    const std::string prefix =
        "layer" + minus_one(m.str(1)) + "." + minus_one(m.str(2)) + ".";
    if (m.str(3) == "0") {
      return prefix + "downsample." + (m.str(4) == "conv" ? "0" : "1");
    }
    return prefix + m.str(4) + m.str(3);
  }
  // Names of 2015: res2a_branch2a, bn2a_branch1.
  if (matches(layer, "(res|bn)([2-5])([a-f])_branch(1|2a|2b|2c)", m)) {
    const bool is_conv = m.str(1) == "res";
    const std::string prefix =
        fmt::format("layer{}.{}.", minus_one(m.str(2)), m.str(3)[0] - 'a');
    if (m.str(4) == "1") return prefix + "downsample." + (is_conv ? "0" : "1");
    return fmt::format("{}{}{}", prefix, is_conv ? "conv" : "bn",
                       m.str(4)[1] - 'a' + 1);
  }
  return look_up(layer, {{"conv1_conv", "conv1"},
                         {"conv1", "conv1"},
                         {"conv1_bn", "bn1"},
                         {"bn_conv1", "bn1"},
                         {"fc1000", "fc"},
                         {"probs", "fc"},
                         {"predictions", "fc"}});
}

std::string densenet_name(const std::string& layer) {
  std::smatch m;
  if (matches(layer, "conv([2-5])_block([0-9]{1,2})_([0-2])_(bn|conv)", m)) {
    // Keras numbers a layer's first batch norm 0; ours are norm1, conv1,
    // norm2, conv2.
    const int number = std::stoi(m.str(3));
    const bool is_norm = m.str(4) == "bn";
    if (is_norm ? number > 1 : number == 0) return "";
    return fmt::format("features.denseblock{}.denselayer{}.{}{}",
                       minus_one(m.str(1)), m.str(2), is_norm ? "norm" : "conv",
                       is_norm ? number + 1 : number);
  }
  if (matches(layer, "pool([2-4])_(bn|conv)", m)) {
    return "features.transition" + minus_one(m.str(1)) +
           (m.str(2) == "bn" ? ".norm" : ".conv");
  }
  return look_up(layer, {{"conv1/conv", "features.conv0"},
                         {"conv1_conv", "features.conv0"},
                         {"conv1/bn", "features.norm0"},
                         {"conv1_bn", "features.norm0"},
                         {"bn", "features.norm5"},
                         {"fc1000", "classifier"},
                         {"predictions", "classifier"}});
}

/// Layers that Keras numbers as they are made, "KIND" or "KIND_N", by rank.
std::map<std::string, std::size_t> ranks(const std::vector<KerasLayer>& layers,
                                         const std::string& kind) {
  std::vector<std::pair<int, std::string>> numbered;
  std::smatch m;
  const std::string pattern = kind + "(?:_([0-9]{1,6}))?";
  for (const KerasLayer& layer : layers) {
    if (!matches(layer.name, pattern.c_str(), m)) continue;
    numbered.emplace_back(m.str(1).empty() ? 0 : std::stoi(m.str(1)),
                          layer.name);
  }
  std::sort(numbered.begin(), numbered.end());
  std::map<std::string, std::size_t> by_name;
  for (std::size_t i = 0; i < numbered.size(); ++i) {
    by_name[numbered[i].second] = i;
  }
  return by_name;
}

/// Names of the numbered convolutions and batch norms, in the order in which
/// they are made.
struct NumberedNames {
  std::vector<std::string> convolutions;
  std::vector<std::string> batch_norms;
};

Result<NameLayer> numbered(const std::vector<KerasLayer>& layers,
                           const NumberedNames& names,
                           const NameLayer& others) {
  const auto convolutions = ranks(layers, "conv2d");
  const auto batch_norms = ranks(layers, "batch_normalization");
  if (convolutions.size() != names.convolutions.size() ||
      batch_norms.size() != names.batch_norms.size()) {
    return invalid_argument(fmt::format(
        "it has {} numbered convolutions and {} batch norms; expected {} each",
        convolutions.size(), batch_norms.size(), names.convolutions.size()));
  }
  return NameLayer([=](const std::string& layer) {
    const auto convolution = convolutions.find(layer);
    if (convolution != convolutions.end()) {
      return names.convolutions[convolution->second];
    }
    const auto batch_norm = batch_norms.find(layer);
    if (batch_norm != batch_norms.end()) {
      return names.batch_norms[batch_norm->second];
    }
    return others(layer);
  });
}

/// A block's name with its branches, in the order in which Keras makes them.
void add_inception(std::vector<std::string>& names, const std::string& block,
                   std::initializer_list<std::string_view> branches) {
  for (const std::string_view branch : branches) {
    names.push_back(block + "." + std::string(branch));
  }
}

std::vector<std::string> inception_v3_modules() {
  std::vector<std::string> names = {"Conv2d_1a_3x3", "Conv2d_2a_3x3",
                                    "Conv2d_2b_3x3", "Conv2d_3b_1x1",
                                    "Conv2d_4a_3x3"};
  for (const char* block : {"Mixed_5b", "Mixed_5c", "Mixed_5d"}) {
    add_inception(names, block,
                  {"branch1x1", "branch5x5_1", "branch5x5_2", "branch3x3dbl_1",
                   "branch3x3dbl_2", "branch3x3dbl_3", "branch_pool"});
  }
  add_inception(
      names, "Mixed_6a",
      {"branch3x3", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"});
  for (const char* block : {"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"}) {
    add_inception(names, block,
                  {"branch1x1", "branch7x7_1", "branch7x7_2", "branch7x7_3",
                   "branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3",
                   "branch7x7dbl_4", "branch7x7dbl_5", "branch_pool"});
  }
  add_inception(names, "Mixed_7a",
                {"branch3x3_1", "branch3x3_2", "branch7x7x3_1", "branch7x7x3_2",
                 "branch7x7x3_3", "branch7x7x3_4"});
  for (const char* block : {"Mixed_7b", "Mixed_7c"}) {
    add_inception(names, block,
                  {"branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b",
                   "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a",
                   "branch3x3dbl_3b", "branch_pool"});
  }
  return names;
}

Result<NameLayer> inception_v3_namer(const std::vector<KerasLayer>& layers) {
  NumberedNames names;
  for (const std::string& module : inception_v3_modules()) {
    names.convolutions.push_back(module + ".conv");
    names.batch_norms.push_back(module + ".bn");
  }
  return numbered(layers, names, [](const std::string& layer) {
    return look_up(layer, {{"predictions", "fc"}});
  });
}

std::string xception_name(const std::string& layer) {
  std::smatch m;
  if (matches(layer, "block1_conv([12])(_bn)?", m)) {
    return (m.str(2).empty() ? "conv" : "bn") + m.str(1);
  }
  if (matches(layer, "block14_sepconv([12])(_bn)?", m)) {
    return (m.str(2).empty() ? "conv" : "bn") +
           std::to_string(std::stoi(m.str(1)) + 2);
  }
  if (matches(layer, "block([0-9]{1,2})_sepconv([1-3])(_bn)?", m)) {
    // Each convolution is followed by its batch norm and, but for the last,
    // a ReLU; every block but ours of number 1 begins with a ReLU.
    const int block = std::stoi(m.str(1)) - 1;
    const int index = 3 * (std::stoi(m.str(2)) - 1) + (block == 1 ? 0 : 1) +
                      (m.str(3).empty() ? 0 : 1);
    return fmt::format("block{}.rep.{}", block, index);
  }
  return look_up(layer, {{"predictions", "fc"}});
}

Result<NameLayer> xception_namer(const std::vector<KerasLayer>& layers) {
  return numbered(
      layers,
      {{"block1.skip", "block2.skip", "block3.skip", "block12.skip"},
       {"block1.skipbn", "block2.skipbn", "block3.skipbn", "block12.skipbn"}},
      xception_name);
}

Result<NameLayer> namer(const std::vector<KerasLayer>& layers,
                        const std::string& architecture) {
  if (architecture == "mobilenet_v1") return NameLayer(mobilenet_v1_name);
  if (architecture == "mobilenet_v2") return NameLayer(mobilenet_v2_name);
  if (architecture == "densenet121") return NameLayer(densenet_name);
  if (architecture == "inception_v3") return inception_v3_namer(layers);
  if (architecture == "xception") return xception_namer(layers);
  if (architecture == "resnet50" || architecture == "resnet101" ||
      architecture == "resnet152") {
    return NameLayer(resnet_name);
  }
  if (architecture == "vgg16") {
    return NameLayer([](const std::string& layer) {
      return vgg_name(layer, {2, 2, 3, 3, 3});
    });
  }
  if (architecture == "vgg19") {
    return NameLayer([](const std::string& layer) {
      return vgg_name(layer, {2, 2, 4, 4, 4});
    });
  }
  return unsupported(
      "Keras weights are read for densenet121, inception_v3, mobilenet_v1, "
      "mobilenet_v2, resnet50, resnet101, resnet152, vgg16, vgg19 and "
      "xception");
}

/// A copy whose walk visits the axes in `order`.
StoredTensor permuted(const StoredTensor& tensor,
                      const std::vector<std::size_t>& order) {
  StoredTensor result = tensor;
  for (std::size_t i = 0; i < order.size(); ++i) {
    result.axes[i] = tensor.axes[order[i]];
    result.shape[i] = tensor.shape[order[i]];
  }
  return result;
}

std::size_t rank(const KerasLayer& layer, std::size_t weight) {
  return layer.weights[weight].shape.size();
}

Error unexpected(const KerasLayer& layer) {
  std::string shapes;
  for (const StoredTensor& weight : layer.weights) {
    shapes += fmt::format(" [{}]", fmt::join(weight.shape, ", "));
  }
  return invalid_argument(fmt::format(
      "layer {} has weights of shapes{}, which is neither a convolution, a "
      "dense layer nor a batch norm",
      layer.name, shapes));
}

/// Adds tensors to those named; the first fault is kept.
class Placer {
 public:
  Result<void> place(const KerasLayer& layer, const std::string& module) {
    const std::size_t count = layer.weights.size();
    if (rank(layer, 0) == 4) {
      const bool is_depthwise =
          layer.weight_names[0].find("depthwise") != std::string::npos;
      if (!is_depthwise) return place_convolution(layer, module);
      if (layer.weights[0].shape[3] != 1) return unexpected(layer);
      const StoredTensor kernel = permuted(layer.weights[0], {2, 3, 0, 1});
      if (count == 1) return add(module + ".weight", kernel);
      if (count != 2 || rank(layer, 1) != 4) return unexpected(layer);
      SHOAL_TRY(add(module + ".conv1.weight", kernel));
      return add(module + ".pointwise.weight",
                 permuted(layer.weights[1], {3, 2, 0, 1}));
    }
    if (rank(layer, 0) == 2) return place_dense(layer, module);
    return place_batch_norm(layer, module);
  }

  StoredTensors take() { return std::move(named_); }

 private:
  Result<void> add(const std::string& name, StoredTensor tensor) {
    if (!named_.emplace(name, std::move(tensor)).second) {
      return invalid_argument("two layers are to be " + name);
    }
    return ok();
  }

  Result<void> add_bias(const KerasLayer& layer, const std::string& module) {
    if (layer.weights.size() == 1) return ok();
    if (layer.weights.size() != 2 || rank(layer, 1) != 1) {
      return unexpected(layer);
    }
    return add(module + ".bias", layer.weights[1]);
  }

  Result<void> place_convolution(const KerasLayer& layer,
                                 const std::string& module) {
    StoredTensor kernel = permuted(layer.weights[0], {3, 2, 0, 1});
    // MobileNet's classifier is a 1 x 1 convolution.
    if (module == "fc") {
      if (kernel.shape[2] != 1 || kernel.shape[3] != 1) {
        return unexpected(layer);
      }
      kernel.shape.resize(2);
    }
    SHOAL_TRY(add(module + ".weight", std::move(kernel)));
    return add_bias(layer, module);
  }

  Result<void> place_dense(const KerasLayer& layer, const std::string& module) {
    StoredTensor matrix = permuted(layer.weights[0], {1, 0});
    if (module == kFlattened) {
      // Keras flattens (h, w, c), we flatten (c, h, w).
      const std::int64_t outputs = matrix.shape[0];
      const std::int64_t channels = matrix.shape[1] / (kVggPooled * kVggPooled);
      if (channels * kVggPooled * kVggPooled != matrix.shape[1]) {
        return unexpected(layer);
      }
      matrix.axes = {{outputs, 1},
                     {channels, outputs},
                     {kVggPooled, kVggPooled * channels * outputs},
                     {kVggPooled, channels * outputs}};
    }
    SHOAL_TRY(add(module + ".weight", std::move(matrix)));
    return add_bias(layer, module);
  }

  Result<void> place_batch_norm(const KerasLayer& layer,
                                const std::string& module) {
    const std::size_t count = layer.weights.size();
    const bool has_gamma = count == 4;
    for (std::size_t i = 0; i < count; ++i) {
      if (rank(layer, i) != 1) return unexpected(layer);
    }
    if (count != 3 && count != 4) return unexpected(layer);
    const std::size_t beta = count - 3;
    SHOAL_TRY(add(module + ".weight", has_gamma
                                          ? layer.weights[0]
                                          : ones(layer.weights[0].shape[0])));
    SHOAL_TRY(add(module + ".bias", layer.weights[beta]));
    SHOAL_TRY(add(module + ".running_mean", layer.weights[beta + 1]));
    return add(module + ".running_var", layer.weights[beta + 2]);
  }

  static StoredTensor ones(std::int64_t count) {
    static const float kOne = 1;
    StoredTensor tensor;
    tensor.shape = {count};
    tensor.axes = {{count, 0}};
    tensor.bytes = {reinterpret_cast<const char*>(&kOne), sizeof kOne};
    return tensor;
  }

  StoredTensors named_;
};

}  // namespace

Result<StoredTensors> named_from_keras(const std::vector<KerasLayer>& layers,
                                       const std::string& architecture) {
  SHOAL_TRY(name_of, namer(layers, architecture));
  Placer placer;
  for (const KerasLayer& layer : layers) {
    const std::string module = name_of(layer.name);
    if (module.empty()) {
      return invalid_argument("layer " + layer.name +
                              " has no place in architecture " + architecture);
    }
    SHOAL_TRY(placer.place(layer, module));
  }
  return placer.take();
}

}  // namespace shoal::internal
