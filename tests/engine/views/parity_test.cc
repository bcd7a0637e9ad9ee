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

TEST_P(SharedModel, SeesWhatIsOnThePhotographs) {
  const std::string folder = std::string("models/") + GetParam();
  SHOAL_REQUIRE_DATA(folder);
  SHOAL_REQUIRE_DATA("photos");
  const auto model = read_model_folder(test::shared_data() / folder).value();
  const auto view = make_cnn_view(model, {"cpu"});
  ASSERT_TRUE(view) << view.error().message;
  struct Photo {
    const char* file;
    std::vector<int> classes;  ///< ImageNet's, from 0
  };
  const std::vector<Photo> photos = {
      {"cat.png", {281, 282, 283, 285}},  // tabby, tiger, Persian, Egyptian
      {"grace_hopper.png", {652}},        // military uniform
      {"hot_dog.jpg", {934}},
      {"owl.jpg", {24}},         // great grey owl
      {"parrot.jpg", {88}},      // macaw
      {"sunflower.png", {985}},  // daisy
  };
  int right = 0;
  for (const Photo& photo : photos) {
    const auto bytes =
        read_file(test::shared_data() / "photos" / photo.file, 1 << 20);
    ASSERT_TRUE(bytes);
    const auto image = decode_image(bytes.value(), {});
    ASSERT_TRUE(image) << image.error().message;
    const auto logits = cnn_logits(
        *view.value(),
        {resize_image(image.value(), model.input_width, model.input_height)});
    if (!logits) {
      EXPECT_EQ(logits.error().code, ErrorCode::kUnsupported);
      GTEST_SKIP() << GetParam() << " has no classifier";
    }
    Eigen::Index best = 0;
    logits.value().row(0).maxCoeff(&best);
    const int found = static_cast<int>(best) - model.class_offset;
    const bool good = testing::Value(found, testing::AnyOfArray(photo.classes));
    EXPECT_TRUE(good) << photo.file << " is class " << found;
    right += good ? 1 : 0;
  }
  EXPECT_EQ(right, 6);
}

INSTANTIATE_TEST_SUITE_P(Models, SharedModel,
                         testing::Values("alexnet", "googlenet", "mobilenet_v1",
                                         "mobilenet_v1_075_192", "mobilenet_v2",
                                         "resnet50", "squeezenet1_1"),
                         [](const auto& model) {
                           return std::string(model.param);
                         });

class TorchvisionLayout : public testing::TestWithParam<const char*> {};

TEST_P(TorchvisionLayout, WithBatchNormEqualsTorchvision) {
  const auto folder = TemporaryFolder::create("shoal-torchvision").value();
  const std::string command = std::string("/usr/bin/python3 ") +
                              SHOAL_SOURCE_DIR +
                              "/tests/golden/torchvision_reference.py " +
                              GetParam() + " " + folder.path().string();
  const int status = std::system(command.c_str());
  constexpr int kNoTorchvision = 77;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoTorchvision) {
    GTEST_SKIP() << "needs python3-torchvision, which is not here";
  }
  ASSERT_EQ(status, 0) << command;
  expect_parity(folder.path());
}

INSTANTIATE_TEST_SUITE_P(Models, TorchvisionLayout,
                         testing::Values("googlenet", "mobilenet_v2",
                                         "resnet50", "squeezenet1_1",
                                         "torchscript"),
                         [](const auto& model) {
                           return std::string(model.param);
                         });

}  // namespace
}  // namespace shoal
