#include "engine/views/cnn.h"

#include <limits>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "engine/views/safetensors.h"

namespace shoal {
namespace {

using testing::HasSubstr;

struct Weights {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
using WeightMap = std::map<std::string, Weights>;

constexpr int kSide = 32;
constexpr int kDim = 256;
constexpr int kClasses = 5;

/// Random weights for MobileNetV1 of width 0.25.
WeightMap small_mobilenet() {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  WeightMap weights;
  const auto add = [&](const std::string& name,
                       const std::vector<std::int64_t>& shape) {
    std::size_t size = 1;
    for (const std::int64_t side : shape) {
      size *= static_cast<std::size_t>(side);
    }
    const float scale = std::sqrt(2.0F * static_cast<float>(shape[0]) /
                                  static_cast<float>(size));
    Weights layer{shape, std::vector<float>(size)};
    for (float& value : layer.values) value = normal(random) * scale;
    weights[name + ".weight"] = layer;
    layer = {{shape[0]},
             std::vector<float>(static_cast<std::size_t>(shape[0]))};
    for (float& value : layer.values) value = normal(random) * 0.1F;
    weights[name + ".bias"] = layer;
  };
  add("stem", {8, 3, 3, 3});
  const std::vector<int> channels = {16,  32,  32,  64,  64,  128, 128,
                                     128, 128, 128, 128, 256, 256};
  int in = 8;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    add("dw" + std::to_string(i), {in, 1, 3, 3});
    add("pw" + std::to_string(i), {channels[i], in, 1, 1});
    in = channels[i];
  }
  add("fc", {kClasses, kDim});
  return weights;
}

Image random_image(unsigned seed) {
  std::mt19937 random(seed);
  Image image{kSide, kSide, {}};
  for (int i = 0; i < kSide * kSide * 3; ++i) {
    image.rgb.push_back(static_cast<std::uint8_t>(random() % 256));
  }
  return image;
}

class CnnView : public testing::Test {
 protected:
  CnnView() {
    model_.folder = folder_.path();
    model_.name = "small";
    model_.architecture = "mobilenet_v1";
    model_.variant = R"({"width": 0.25, "classes": 5, "padding": "tf_same"})";
    model_.weights = folder_.path() / "weights.safetensors";
    model_.input_width = kSide;
    model_.input_height = kSide;
    model_.scale = 1 / 127.5F;
    model_.mean = {127.5F, 127.5F, 127.5F};
    model_.feature_dim = kDim;
  }

  void write(const WeightMap& weights) {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, layer] : weights) {
      tensors.push_back({name, layer.shape, layer.values.data()});
    }
    ASSERT_TRUE(write_safetensors(model_.weights, tensors, {}));
  }

  std::unique_ptr<View> make() {
    auto view = make_cnn_view(model_, {"cpu"});
    EXPECT_TRUE(view) << view.error().message;
    return view ? std::move(view).value() : nullptr;
  }

  void expect_refused(ErrorCode code, const std::string& message) {
    const auto view = make_cnn_view(model_, {"cpu"});
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, code) << view.error().message;
    EXPECT_THAT(view.error().message, HasSubstr(message));
    EXPECT_THAT(view.error().message, HasSubstr(folder_.path().string()));
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-cnn").value();
  ModelFolder model_;
};

TEST_F(CnnView, GivesTheSameFeaturesInEveryBatchAndOrder) {
  write(small_mobilenet());
  const auto view = make();
  ASSERT_NE(view, nullptr);
  const std::vector<Image> images = {random_image(1), random_image(2),
                                     random_image(3)};
  const Matrix together = view->extract(images).value();
  ASSERT_EQ(together.rows(), 3);
  ASSERT_EQ(together.cols(), kDim);
  EXPECT_GT((together.row(0) - together.row(1)).norm(), 1e-3);
  for (Eigen::Index i = 0; i < 3; ++i) {
    const Matrix alone =
        view->extract({images[static_cast<std::size_t>(i)]}).value();
    EXPECT_LT((alone.row(0) - together.row(i)).norm(),
              1e-5 * together.row(i).norm());
  }
  const Matrix reversed =
      view->extract({images[2], images[1], images[0]}).value();
  EXPECT_LT((reversed.row(0) - together.row(2)).norm(),
            1e-5 * together.row(2).norm());
  EXPECT_EQ(view->extract({}).value().rows(), 0);
}

TEST_F(CnnView, SwapsChannelsForBgr) {
  write(small_mobilenet());
  const Matrix rgb = make()->extract({random_image(1)}).value();
  model_.bgr = true;
  Image swapped = random_image(1);
  for (std::size_t i = 0; i < swapped.rgb.size(); i += 3) {
    std::swap(swapped.rgb[i], swapped.rgb[i + 2]);
  }
  const Matrix bgr = make()->extract({swapped}).value();
  EXPECT_EQ(rgb, bgr);
}

TEST_F(CnnView, PaddingAndActivationMakeADifference) {
  write(small_mobilenet());
  const Matrix same = make()->extract({random_image(1)}).value();
  model_.variant = R"({"width": 0.25, "classes": 5})";
  const Matrix symmetric = make()->extract({random_image(1)}).value();
  EXPECT_GT((same - symmetric).norm(), 1e-3 * same.norm());
  model_.variant =
      R"({"width": 0.25, "classes": 5, "padding": "tf_same",
          "activation": "relu"})";
  EXPECT_TRUE(make()->extract({random_image(1)}));
}

TEST_F(CnnView, FoldsBatchNormWithTheVariantsEpsilon) {
  WeightMap weights = small_mobilenet();
  write(weights);
  const Matrix plain = make()->extract({random_image(1)}).value();
  // gamma / sqrt(variance + epsilon) = 1 and mean = beta = 0: no change.
  weights["pw3_bn.weight"] = {{64}, std::vector<float>(64, 0.5F)};
  weights["pw3_bn.bias"] = {{64}, std::vector<float>(64, 0)};
  weights["pw3_bn.running_mean"] = {{64}, std::vector<float>(64, 0)};
  weights["pw3_bn.running_var"] = {{64}, std::vector<float>(64, 0)};
  write(weights);
  model_.variant =
      R"({"width": 0.25, "classes": 5, "padding": "tf_same",
          "batch_norm_epsilon": 0.25})";
  const Matrix folded = make()->extract({random_image(1)}).value();
  EXPECT_LT((plain - folded).norm(), 1e-5 * plain.norm());
}

TEST_F(CnnView, VersionHashesFollowWeightsAndPreprocessing) {
  write(small_mobilenet());
  const ViewSpec first = make()->spec();
  EXPECT_EQ(first.weights_hash.size(), 16U);
  EXPECT_EQ(first.preprocessing_hash.size(), 16U);
  EXPECT_EQ(make()->spec().weights_hash, first.weights_hash);
  model_.mean[1] = 120;
  const ViewSpec other_mean = make()->spec();
  EXPECT_EQ(other_mean.weights_hash, first.weights_hash);
  EXPECT_NE(other_mean.preprocessing_hash, first.preprocessing_hash);
  WeightMap changed = small_mobilenet();
  changed["stem.bias"].values[0] += 1;
  write(changed);
  EXPECT_NE(make()->spec().weights_hash, first.weights_hash);
}

TEST_F(CnnView, LogitsNeedAClassifier) {
  WeightMap weights = small_mobilenet();
  write(weights);
  auto view = make();
  EXPECT_EQ(cnn_logits(*view, {random_image(1)}).value().cols(), kClasses);
  weights.erase("fc.weight");
  weights.erase("fc.bias");
  write(weights);
  model_.variant = R"({"width": 0.25, "classes": 0, "padding": "tf_same"})";
  view = make();
  EXPECT_EQ(cnn_logits(*view, {random_image(1)}).error().code,
            ErrorCode::kUnsupported);
}

TEST_F(CnnView, RefusesMissingWeights) {
  expect_refused(ErrorCode::kNotFound, "weights.safetensors");
  WeightMap weights = small_mobilenet();
  weights.erase("dw7.bias");
  write(weights);
  expect_refused(ErrorCode::kInvalidArgument, "tensor dw7.bias is missing");
}

TEST_F(CnnView, RefusesAnotherShape) {
  write(small_mobilenet());
  model_.variant = R"({"width": 0.25, "classes": 6})";
  expect_refused(ErrorCode::kInvalidArgument,
                 "tensor fc.weight has shape [5, 256]; expected [6, 256]");
}

TEST_F(CnnView, RefusesTensorsLeftOver) {
  WeightMap weights = small_mobilenet();
  weights["dw13.weight"] = {{1}, {0}};
  write(weights);
  expect_refused(ErrorCode::kInvalidArgument,
                 "tensor dw13.weight is left over");
}

TEST_F(CnnView, RefusesValuesThatAreNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    WeightMap weights = small_mobilenet();
    weights["pw5.weight"].values[77] = bad;
    write(weights);
    expect_refused(ErrorCode::kCorruption, "tensor pw5.weight");
  }
}

TEST_F(CnnView, RefusesNegativeVariance) {
  WeightMap weights = small_mobilenet();
  for (const char* part : {"weight", "bias", "running_mean", "running_var"}) {
    weights[std::string("stem_bn.") + part] = {{8}, std::vector<float>(8, -1)};
  }
  write(weights);
  expect_refused(ErrorCode::kCorruption, "tensor stem_bn.running_var");
}

TEST_F(CnnView, RefusesUnknownArchitecturesKeysAndValues) {
  write(small_mobilenet());
  model_.variant = R"({"width": 0.25, "classes": 5, "pading": "tf_same"})";
  expect_refused(ErrorCode::kInvalidArgument, "variant.pading");
  model_.variant = R"({"width": 0.25, "classes": 5, "padding": "same"})";
  expect_refused(ErrorCode::kInvalidArgument, "variant.padding is \"same\"");
  model_.variant = R"({"width": -1, "classes": 5})";
  expect_refused(ErrorCode::kInvalidArgument, "variant.width is -1");
  model_.variant = "{}";
  model_.architecture = "resnet5000";
  expect_refused(ErrorCode::kUnsupported, "resnet5000");
}

TEST_F(CnnView, RefusesGreyWeightsForBgrInput) {
  WeightMap weights;
  const auto add = [&](const std::string& name, std::int64_t out,
                       std::vector<std::int64_t> shape) {
    std::size_t size = static_cast<std::size_t>(out);
    for (const std::int64_t side : shape) {
      size *= static_cast<std::size_t>(side);
    }
    shape.insert(shape.begin(), out);
    weights[name + ".weight"] = {shape, std::vector<float>(size, 0.1F)};
    weights[name + ".bias"] = {
        {out}, std::vector<float>(static_cast<std::size_t>(out), 0)};
  };
  add("conv1", 6, {1, 5, 5});
  add("conv2", 16, {6, 5, 5});
  add("fc1", 120, {400});
  add("fc2", 84, {120});
  write(weights);
  model_.architecture = "lenet";
  model_.variant = R"({"grey": true, "classes": 0})";
  model_.feature_dim = 84;
  ASSERT_NE(make(), nullptr);
  model_.bgr = true;
  expect_refused(ErrorCode::kInvalidArgument, "input.channels is \"bgr\"");
}

TEST_F(CnnView, RefusesAnotherDimension) {
  write(small_mobilenet());
  model_.feature_dim = 255;
  expect_refused(ErrorCode::kInvalidArgument,
                 "feature.dim is 255; the net gives 256");
}

TEST_F(CnnView, RefusesWeightsThatOverflow) {
  WeightMap weights = small_mobilenet();
  model_.variant = R"({"width": 0.25, "classes": 5, "activation": "relu"})";
  for (auto& [name, layer] : weights) {
    for (float& value : layer.values) value *= 1e6F;
  }
  write(weights);
  expect_refused(ErrorCode::kInvalidArgument, "not finite");
}

TEST_F(CnnView, RefusesFilesThatAreNotSafetensors) {
  ASSERT_TRUE(write_file_atomically(model_.weights, "no weights"));
  expect_refused(ErrorCode::kCorruption, "weights.safetensors");
}

TEST_F(CnnView, RefusesTorchScriptThatIsNone) {
  model_.architecture = "torchscript";
  model_.variant = "{}";
  ASSERT_TRUE(write_file_atomically(model_.weights, "no module"));
  expect_refused(ErrorCode::kInvalidArgument, "is no TorchScript module");
  model_.variant = R"({"classes": 5})";
  expect_refused(ErrorCode::kInvalidArgument, "variant.classes");
}

TEST_F(CnnView, RefusesDevicesThatAreNotHere) {
  write(small_mobilenet());
  for (const char* device : {"cuda:99", "tpu", ""}) {
    const auto view = make_cnn_view(model_, {device});
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::kUnsupported);
  }
}

TEST(CnnArchitectures, AreSortedAndEndWithTorchScript) {
  const auto names = cnn_architectures();
  EXPECT_TRUE(std::is_sorted(names.begin(), std::prev(names.end())));
  EXPECT_EQ(names.back(), "torchscript");
  EXPECT_THAT(names, testing::IsSupersetOf({"mobilenet_v1", "mobilenet_v2",
                                            "resnet50", "googlenet"}));
}

}  // namespace
}  // namespace shoal
