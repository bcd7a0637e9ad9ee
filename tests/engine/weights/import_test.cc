#include "engine/weights/import.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/views/cnn.h"
#include "tests/engine/weights/release_files.h"

namespace shoal {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// The answers of a net that tests/golden/release_nets.py made: image,
/// features and logits.
struct Reference {
  Image image;
  std::vector<float> features;
  std::vector<float> logits;
};

Reference read_reference(const fs::path& path) {
  const json file = json::parse(read_file(path, 1 << 24).value());
  Reference reference;
  reference.image.width = file["width"];
  reference.image.height = file["height"];
  reference.image.rgb = file["rgb"].get<std::vector<std::uint8_t>>();
  reference.features = file["features"].get<std::vector<float>>();
  reference.logits = file["logits"].get<std::vector<float>>();
  return reference;
}

void expect_near(const Matrix& found, const std::vector<float>& expected) {
  ASSERT_EQ(static_cast<std::size_t>(found.size()), expected.size());
  const Eigen::Map<const Matrix> wanted(expected.data(), 1, found.cols());
  const float scale = wanted.cwiseAbs().maxCoeff();
  EXPECT_GT(scale, 0);
  EXPECT_LT((found - wanted).cwiseAbs().maxCoeff() / scale, 1e-4);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class ImportedRelease : public testing::TestWithParam<const char*> {};

// Preprocessing, padding, epsilon, order of strides and axes: all have to be
// right for the answers to agree.
TEST_P(ImportedRelease, AnswersAsTheReferenceDoes) {
  const std::string kind = GetParam();
  SHOAL_GOLDEN_FOLDER(folder, "release_nets", kind);
  const json facts =
      json::parse(read_file(folder / "facts.json", 1 << 16).value());
  const std::string architecture = facts["architecture"];
  const auto known = cnn_architectures();
  ASSERT_NE(std::find(known.begin(), known.end(), architecture), known.end());
  ImportOptions options;
  options.name = "net";
  const auto imported =
      import_weights(folder / facts["file"].get<std::string>(), architecture,
                     folder / "models", options);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(names_in(folder / "models"), std::vector<std::string>{"net"});
  const auto view = make_cnn_view(imported.value().model, {"cpu"});
  ASSERT_TRUE(view) << view.error().message;
  const Reference reference = read_reference(folder / "reference.json");
  const auto features = view.value()->extract({reference.image});
  ASSERT_TRUE(features) << features.error().message;
  expect_near(features.value(), reference.features);
  const auto logits = cnn_logits(*view.value(), {reference.image});
  ASSERT_TRUE(logits) << logits.error().message;
  expect_near(logits.value(), reference.logits);
}

INSTANTIATE_TEST_SUITE_P(
    Releases, ImportedRelease,
    testing::Values("keras_mobilenet_v1", "keras_mobilenet_v2",
                    "keras_resnet50", "torchvision_mobilenet_v2",
                    "torchvision_squeezenet1_1", "torchvision_googlenet"),
    [](const auto& release) { return std::string(release.param); });

/// A folder with net.pth, a SqueezeNet 1.1 of torchvision with ten classes.
class Import : public testing::Test {
 protected:
  void SetUp() override {
    made_ = test::run_golden("release_nets", "torchvision_squeezenet1_1");
    if (!made_) GTEST_SKIP() << "needs python3-torchvision";
    file_ = made_->path() / "net.pth";
    models_ = made_->path() / "models";
  }

  Result<ImportedModel> import(const std::string& architecture,
                               const ImportOptions& options = {}) {
    return import_weights(file_, architecture, models_, options);
  }

  std::optional<TemporaryFolder> made_;
  fs::path file_;
  fs::path models_;
};

TEST_F(Import, WritesWhatItKnowsOfTheRelease) {
  ImportOptions options;
  options.source = "a page";
  options.licence = "a licence";
  const auto imported = import("squeezenet1_1", options);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(names_in(models_), std::vector<std::string>{"squeezenet1_1"});
  const ModelFolder& model = imported.value().model;
  EXPECT_EQ(model.folder, models_ / "squeezenet1_1");
  EXPECT_EQ(model.input_width, 224);
  EXPECT_FALSE(model.bgr);
  EXPECT_FLOAT_EQ(model.mean[0], 123.675F);
  EXPECT_FLOAT_EQ(model.std[2], 0.225F);
  EXPECT_EQ(model.feature_dim, 512);
  EXPECT_EQ(json::parse(model.variant)["classes"], 10);
  EXPECT_EQ(model.source, "a page");
  EXPECT_EQ(model.licence, "a licence");
  // 722,496 without the classifier, which has 512 x 10 + 10.
  EXPECT_EQ(imported.value().parameters, 722'496U + 5'130U);
}

TEST_F(Import, PreprocessingCanBeChosen) {
  ImportOptions options;
  options.preprocessing = parse_preprocessing("caffe").value();
  const auto imported = import("squeezenet1_1", options);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_TRUE(imported.value().model.bgr);
  EXPECT_FLOAT_EQ(imported.value().model.mean[0], 103.939F);
  EXPECT_FALSE(parse_preprocessing("none"));
}

TEST_F(Import, AFailedImportLeavesNothing) {
  const auto wrong = import("mobilenet_v2");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message,
              HasSubstr("does not fit architecture mobilenet_v2"));
  EXPECT_THAT(wrong.error().message, HasSubstr("tensor "));
  EXPECT_TRUE(names_in(models_).empty());

  const auto unknown = import("transformer");
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(unknown.error().message, HasSubstr("known are alexnet"));
  file_ = made_->path() / "absent";
  EXPECT_EQ(import("squeezenet1_1").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(names_in(models_).empty());
}

TEST_F(Import, AFolderIsReplacedOnlyByForce) {
  ImportOptions options;
  ASSERT_TRUE(import("squeezenet1_1", options));
  const fs::path folder = models_ / "squeezenet1_1";
  ASSERT_TRUE(write_file_atomically(folder / "mine", "x"));
  const auto again = import("squeezenet1_1", options);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(again.error().message, HasSubstr("--force"));
  EXPECT_TRUE(fs::exists(folder / "mine"));

  options.force = true;
  ASSERT_FALSE(import("mobilenet_v2", [&] {
    ImportOptions other = options;
    other.name = "squeezenet1_1";
    return other;
  }()));
  EXPECT_TRUE(fs::exists(folder / "mine"));
  ASSERT_TRUE(import("squeezenet1_1", options));
  EXPECT_FALSE(fs::exists(folder / "mine"));
  EXPECT_EQ(names_in(models_), std::vector<std::string>{"squeezenet1_1"});
}

TEST_F(Import, NamesThatLeadElsewhereAreRefused) {
  for (const char* name : {"..", ".hidden", "a/b", "../x", "Capital"}) {
    ImportOptions options;
    options.name = name;
    options.force = true;
    const auto imported = import("squeezenet1_1", options);
    ASSERT_FALSE(imported) << name;
    EXPECT_EQ(imported.error().code, ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(names_in(models_).empty());
  EXPECT_TRUE(fs::exists(file_));
}

TEST(ImportableArchitectures, AreAllBuilt) {
  const auto built = cnn_architectures();
  for (const std::string_view name : importable_architectures()) {
    EXPECT_NE(std::find(built.begin(), built.end(), name), built.end()) << name;
  }
}

}  // namespace
}  // namespace shoal
