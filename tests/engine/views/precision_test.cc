// Nets run by oneDNN and by LibTorch, in fp32 and below.

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "engine/views/cnn.h"
#include "engine/views/safetensors.h"
#include "tests/engine/views/npz.h"
#include "tests/support/data.h"

namespace shoal {
namespace {

using testing::HasSubstr;

/// Of any row.
double lowest_cosine(const Matrix& a, const Matrix& b) {
  double lowest = 1;
  for (Eigen::Index row = 0; row < a.rows(); ++row) {
    lowest = std::min<double>(
        lowest, a.row(row).normalized().dot(b.row(row).normalized()));
  }
  return lowest;
}

class SharedModelPrecision : public testing::TestWithParam<const char*> {};

TEST_P(SharedModelPrecision, AutoIsNearTheReferenceOnPhotographs) {
  const std::string name = std::string("models/") + GetParam();
  SHOAL_REQUIRE_DATA(name);
  const auto folder = test::shared_data() / name;
  const auto model = read_model_folder(folder).value();
  const auto view = make_cnn_view(model, {"cpu", "auto"});
  ASSERT_TRUE(view) << view.error().message;
  const CnnInfo info = cnn_info(*view.value()).value();
  auto reference = test::read_npz(folder / "reference.npz");
  const auto images = test::as_images(reference["pixels"]);
  const Matrix expected = test::as_matrix(reference["features"]);
  const Matrix found = view.value()->extract(images).value();
  EXPECT_GE(lowest_cosine(found, expected), 0.999) << info.reason;
  RecordProperty("cosine", std::to_string(lowest_cosine(found, expected)));
  RecordProperty("reason", info.reason);
  ASSERT_TRUE(info.cosine || info.precision == "fp32") << info.reason;
  EXPECT_NE(info.reason, "");
#ifdef SHOAL_ENABLE_ONEDNN
  EXPECT_THAT(info.executor, HasSubstr("oneDNN"));
  EXPECT_GT(info.arena_bytes, 0U);
#endif
}

INSTANTIATE_TEST_SUITE_P(Models, SharedModelPrecision,
                         testing::Values("alexnet", "googlenet", "mobilenet_v1",
                                         "mobilenet_v1_075_192", "mobilenet_v2",
                                         "resnet50", "squeezenet1_1"),
                         [](const auto& model) {
                           return std::string(model.param);
                         });

constexpr int kSide = 32;
constexpr int kDim = 256;

/// MobileNetV1 of width 0.25 whose last layer gives small differences of
/// large sums: its weights are 1 and a little that bfloat16 does not hold.
/// What goes into it is 2 everywhere, whatever the image.
void write_cancelling_net(const std::filesystem::path& file) {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::vector<float> values;
  };
  std::vector<Tensor> tensors;
  const auto add = [&tensors](const std::string& name,
                              const std::vector<std::int64_t>& shape,
                              float value) {
    std::size_t size = 1;
    for (const auto side : shape) size *= static_cast<std::size_t>(side);
    tensors.push_back({name, shape, std::vector<float>(size, value)});
  };
  add("stem.weight", {8, 3, 3, 3}, 0);
  add("stem.bias", {8}, 9);  // ReLU6 makes it 6
  std::int64_t in = 8;
  const std::vector<std::int64_t> channels = {16,  32,  32,  64,  64,  128, 128,
                                              128, 128, 128, 128, 256, kDim};
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::string number = std::to_string(i);
    add("dw" + number + ".weight", {in, 1, 3, 3}, 0);
    add("dw" + number + ".bias", {in}, 2);
    add("pw" + number + ".weight", {channels[i], in, 1, 1}, 0);
    add("pw" + number + ".bias", {channels[i]}, 9);
    in = channels[i];
  }
  std::mt19937 random(3);
  std::uniform_real_distribution<float> little(0, 1.0F / 512);
  for (Tensor& tensor : tensors) {
    if (tensor.name == "pw12.weight") {
      for (float& value : tensor.values) value = 1 + little(random);
    } else if (tensor.name == "pw12.bias") {
      for (float& value : tensor.values) value = -2 * kDim;
    }
  }
  std::vector<TensorToWrite> written;
  for (const Tensor& tensor : tensors) {
    written.push_back({tensor.name, tensor.shape, tensor.values.data()});
  }
  ASSERT_TRUE(write_safetensors(file, written, {}));
}

class Precision : public testing::Test {
 protected:
  void SetUp() override {
    model_.folder = folder_.path();
    model_.name = "small";
    model_.architecture = "mobilenet_v1";
    model_.variant = R"({"width": 0.25, "classes": 0})";
    model_.weights = folder_.path() / "weights.safetensors";
    model_.input_width = kSide;
    model_.input_height = kSide;
    model_.feature_dim = kDim;
    write_cancelling_net(model_.weights);
  }

  CnnInfo info(const std::string& precision) {
    view_ = make_cnn_view(model_, {"cpu", precision}).value();
    return cnn_info(*view_).value();
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-precision").value();
  ModelFolder model_;
  std::unique_ptr<View> view_;
};

TEST_F(Precision, FallsBackAndSaysSoWhereFeaturesWouldBeOff) {
  for (const char* asked : {"auto", "bf16"}) {
    const CnnInfo found = info(asked);
    EXPECT_EQ(found.precision, "fp32");
    if (!found.cosine) {
      GTEST_SKIP() << "no bf16 here: " << found.reason;
    }
    EXPECT_LT(*found.cosine, 0.9995);
    EXPECT_THAT(found.reason, HasSubstr("0.9995 is needed"));
    const Image grey{kSide, kSide,
                     std::vector<std::uint8_t>(kSide * kSide * 3, 128)};
    const Matrix features = view_->extract({grey}).value();
    EXPECT_NEAR(features.mean(), 2 * kDim / 1024.0, 0.01);
  }
}

TEST_F(Precision, IsWhatWasAskedForOrSaysWhyNot) {
  EXPECT_EQ(info("fp32").precision, "fp32");
  EXPECT_EQ(info("fp32").reason, "as configured");
  EXPECT_EQ(info("fp32").cosine, std::nullopt);
  EXPECT_EQ(info("fp16").precision, "fp32");
  EXPECT_THAT(info("fp16").reason, HasSubstr("GPUs only"));
  const auto refused = make_cnn_view(model_, {"cpu", "half"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("'half'"));
}

TEST_F(Precision, IsNoPartOfAViewsVersion) {
  info("fp32");
  const ViewSpec spec = view_->spec();
  info("auto");
  EXPECT_EQ(view_->spec().weights_hash, spec.weights_hash);
  EXPECT_EQ(view_->spec().preprocessing_hash, spec.preprocessing_hash);
}

}  // namespace
}  // namespace shoal
