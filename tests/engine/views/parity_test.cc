#include <array>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "engine/views/cnn.h"
#include "tests/engine/views/npz.h"
#include "tests/support/data.h"

namespace shoal {
namespace {

constexpr double kTolerance = 1e-4;

/// The largest difference relative to the reference's largest value in the
/// row.
double relative_error(const Matrix& found, const Matrix& expected) {
  EXPECT_EQ(found.rows(), expected.rows());
  EXPECT_EQ(found.cols(), expected.cols());
  if (found.rows() != expected.rows() || found.cols() != expected.cols()) {
    return 1;
  }
  double worst = 0;
  for (Eigen::Index row = 0; row < expected.rows(); ++row) {
    const double scale = expected.row(row).cwiseAbs().maxCoeff();
    EXPECT_GT(scale, 0);
    worst = std::max(
        worst,
        (found.row(row) - expected.row(row)).cwiseAbs().maxCoeff() / scale);
  }
  return worst;
}

/// Compares a model folder's view with the reference.npz in it.
void expect_parity(const std::filesystem::path& folder) {
  const auto model = read_model_folder(folder);
  ASSERT_TRUE(model) << model.error().message;
  const auto view = make_cnn_view(model.value(), {"cpu"});
  ASSERT_TRUE(view) << view.error().message;
  auto reference = test::read_npz(folder / "reference.npz");
  const auto images = test::as_images(reference["pixels"]);
  const auto features = view.value()->extract(images);
  ASSERT_TRUE(features) << features.error().message;
  const double feature_error =
      relative_error(features.value(), test::as_matrix(reference["features"]));
  EXPECT_LT(feature_error, kTolerance);
  testing::Test::RecordProperty("feature_error", std::to_string(feature_error));

  const auto logits = cnn_logits(*view.value(), images);
  if (reference["logits"].shape.at(1) == 0) {
    ASSERT_FALSE(logits);
    EXPECT_EQ(logits.error().code, ErrorCode::kUnsupported);
    return;
  }
  ASSERT_TRUE(logits) << logits.error().message;
  const double logit_error =
      relative_error(logits.value(), test::as_matrix(reference["logits"]));
  EXPECT_LT(logit_error, kTolerance);
  testing::Test::RecordProperty("logit_error", std::to_string(logit_error));
}

class SharedModel : public testing::TestWithParam<const char*> {};

TEST_P(SharedModel, GivesTheReferenceFeaturesAndLogits) {
  const std::string folder = std::string("models/") + GetParam();
  SHOAL_REQUIRE_DATA(folder);
  expect_parity(test::shared_data() / folder);
}

// The reference's pixels came from another decoder and resizer; ours must be
// near them and lead to the same answers.
TEST_P(SharedModel, SeesTheSameOnThePhotographsThroughOurOwnDecoding) {
  const std::string name = std::string("models/") + GetParam();
  SHOAL_REQUIRE_DATA(name);
  SHOAL_REQUIRE_DATA("photos");
  const auto folder = test::shared_data() / name;
  const auto model = read_model_folder(folder).value();
  auto reference = test::read_npz(folder / "reference.npz");
  const auto expected_pixels = test::as_images(reference["pixels"]);
  std::vector<Image> images;
  for (const char* photo : {"cat.png", "grace_hopper.png", "hot_dog.jpg",
                            "owl.jpg", "parrot.jpg", "sunflower.png"}) {
    const auto bytes =
        read_file(test::shared_data() / "photos" / photo, 1 << 20);
    ASSERT_TRUE(bytes);
    const auto sized = decode_at_sizes(
        bytes.value(), {}, {{model.input_width, model.input_height}});
    ASSERT_TRUE(sized) << sized.error().message;
    const Image& expected = expected_pixels.at(images.size());
    images.push_back(*sized.value().front());
    ASSERT_EQ(images.back().rgb.size(), expected.rgb.size());
    double sum = 0;
    for (std::size_t i = 0; i < expected.rgb.size(); ++i) {
      sum += std::abs(images.back().rgb[i] - expected.rgb[i]);
    }
    EXPECT_LT(sum / static_cast<double>(expected.rgb.size()), 1.0) << photo;
  }
  const auto view = make_cnn_view(model, {"cpu"});
  ASSERT_TRUE(view) << view.error().message;
  const auto logits = cnn_logits(*view.value(), images);
  if (!logits) {
    EXPECT_EQ(logits.error().code, ErrorCode::kUnsupported);
    return;
  }
  const Matrix expected = test::as_matrix(reference["logits"]);
  constexpr Eigen::Index kHotDogPhoto = 2;
  constexpr Eigen::Index kParrotPhoto = 4;
  for (Eigen::Index row = 0; row < expected.rows(); ++row) {
    Eigen::Index found_class = 0;
    Eigen::Index expected_class = 0;
    logits.value().row(row).maxCoeff(&found_class);
    expected.row(row).maxCoeff(&expected_class);
    EXPECT_EQ(found_class, expected_class) << "photograph " << row;
    // What every net of the set recognises, in ImageNet's numbering.
    const auto imagenet_class = found_class - model.class_offset;
    if (row == kHotDogPhoto) {
      EXPECT_EQ(imagenet_class, 934);
    } else if (row == kParrotPhoto) {
      EXPECT_EQ(imagenet_class, 88);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SharedModel,
                         testing::Values("alexnet", "googlenet", "mobilenet_v1",
                                         "mobilenet_v1_075_192", "mobilenet_v2",
                                         "resnet50", "squeezenet1_1"),
                         [](const auto& model) {
                           return std::string(model.param);
                         });

constexpr std::array kCases = {
    "alexnet",
    "alexnet_bvlc",
    "densenet121",
    "densenet121_old_names",
    "efficientnet_b0",
    "efficientnet_b0_tf_same",
    "googlenet",
    "googlenet_bvlc",
    "inception_v3",
    "inception_v3_uncounted_padding",
    "lenet",
    "lenet_grey",
    "lenet_tanh_average",
    "mobilenet_v1",
    "mobilenet_v1_tf_same",
    "mobilenet_v2",
    "mobilenet_v2_tf_same",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "squeezenet1_0",
    "squeezenet1_1",
    "torchscript",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "xception",
    "xception_tf_same",
};

TEST(ReferenceCases, HaveEveryArchitecture) {
  for (const std::string_view name : cnn_architectures()) {
    EXPECT_THAT(kCases, testing::Contains(name));
  }
}

class RandomWeights : public testing::TestWithParam<const char*> {};

TEST_P(RandomWeights, GiveTheReferenceFeaturesAndLogits) {
  const auto folder = TemporaryFolder::create("shoal-net").value();
  const std::string command = std::string("/usr/bin/python3 ") +
                              SHOAL_SOURCE_DIR +
                              "/tests/golden/net_reference.py " + GetParam() +
                              " " + folder.path().string();
  const int status = std::system(command.c_str());
  constexpr int kNoTorchvision = 77;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoTorchvision) {
    GTEST_SKIP() << "needs python3-torchvision, which is not here";
  }
  ASSERT_EQ(status, 0) << command;
  expect_parity(folder.path());
}

INSTANTIATE_TEST_SUITE_P(Models, RandomWeights, testing::ValuesIn(kCases),
                         [](const auto& model) {
                           return std::string(model.param);
                         });

}  // namespace
}  // namespace shoal
