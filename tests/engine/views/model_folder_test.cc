#include "engine/views/model_folder.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "tests/support/data.h"

namespace shoal {
namespace {

using testing::HasSubstr;

constexpr const char* kGood = R"({
  "name": "net_1.0", "architecture": "resnet50", "variant": {"classes": 10},
  "weights": "w.safetensors", "batch_norm": "folded",
  "input": {"width": 224, "height": 200, "channels": "bgr", "scale": 0.5,
            "mean": [1, 2, 3.5], "std": [1, 1, 2], "formula": "any"},
  "feature": {"layer": "pool", "dim": 2048},
  "class_offset": 1, "source": "somewhere", "licence": "MIT"})";

/// kGood with `from` replaced by `to`.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_refused(const std::string& text, const std::string& message) {
  const auto model = parse_model_json(text, "/models/x");
  ASSERT_FALSE(model) << text;
  EXPECT_EQ(model.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(model.error().message, HasSubstr(message));
  EXPECT_THAT(model.error().message, HasSubstr("/models/x/model.json"));
}

TEST(ModelJson, IsReadInFull) {
  const auto model = parse_model_json(kGood, "/models/x");
  ASSERT_TRUE(model) << model.error().message;
  const ModelFolder& m = model.value();
  EXPECT_EQ(m.folder, "/models/x");
  EXPECT_EQ(m.name, "net_1.0");
  EXPECT_EQ(m.architecture, "resnet50");
  EXPECT_EQ(m.variant, R"({"classes":10})");
  EXPECT_EQ(m.weights, "/models/x/w.safetensors");
  EXPECT_EQ(m.input_width, 224);
  EXPECT_EQ(m.input_height, 200);
  EXPECT_TRUE(m.bgr);
  EXPECT_EQ(m.scale, 0.5F);
  EXPECT_EQ(m.mean, (std::array<float, 3>{1, 2, 3.5F}));
  EXPECT_EQ(m.std, (std::array<float, 3>{1, 1, 2}));
  EXPECT_EQ(m.feature_dim, 2048);
  EXPECT_EQ(m.class_offset, 1);
  EXPECT_EQ(m.source, "somewhere");
  EXPECT_EQ(m.licence, "MIT");
}

TEST(ModelJson, VariantAndClassOffsetMayBeAbsent) {
  std::string text = changed(R"("variant": {"classes": 10},)", "");
  text.erase(text.find(R"("class_offset": 1,)"), 18);
  const auto model = parse_model_json(text, "/models/x");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model.value().variant, "{}");
  EXPECT_EQ(model.value().class_offset, 0);
}

TEST(ModelJson, FaultsNameTheKeyWhatWasFoundAndWhatIsExpected) {
  expect_refused("", "not a JSON object");
  expect_refused("[1]", "not a JSON object");
  expect_refused("{", "not a JSON object");
  expect_refused("{}", "name is missing; expected text");
  expect_refused(changed("\"net_1.0\"", "\"Net 1\""), "name is \"Net 1\"");
  expect_refused(changed("\"net_1.0\"", "\"\""), "name is \"\"");
  expect_refused(changed("\"resnet50\"", "50"), "architecture is 50");
  expect_refused(changed("\"w.safetensors\"", "\"../w\""),
                 "weights is \"../w\"; expected a file name in the folder");
  expect_refused(changed("\"w.safetensors\"", "\"/etc/passwd\""), "weights");
  expect_refused(changed("{\"classes\": 10}", "[]"), "variant is []");
  expect_refused(changed("224", "0"),
                 "input.width is 0; expected a whole number from 1 to 4096");
  expect_refused(changed("224", "224.5"), "input.width is 224.5");
  expect_refused(changed("200", "18446744073709551615"), "input.height");
  expect_refused(changed("\"bgr\"", "\"grb\""),
                 "input.channels is \"grb\"; expected \"rgb\" or \"bgr\"");
  expect_refused(changed("\"scale\": 0.5", "\"scale\": 0"), "input.scale is 0");
  expect_refused(changed("\"scale\": 0.5", "\"scale\": 1e300"), "input.scale");
  expect_refused(changed("[1, 2, 3.5]", "[1, 2]"),
                 "input.mean is [1,2]; expected three numbers");
  expect_refused(changed("[1, 1, 2]", "[1, 0, 2]"), "input.std");
  expect_refused(changed("\"mean\"", "\"maen\""), "input.mean is missing");
  expect_refused(changed("\"formula\"", "\"gamma\""),
                 "input.gamma is not a known key");
  expect_refused(changed("2048", "-1"), "feature.dim is -1");
  expect_refused(changed("\"dim\"", "\"size\""), "feature.dim is missing");
  expect_refused(changed("\"feature\":", "\"features\":"),
                 "feature is missing; expected an object");
}

TEST(ModelJson, UnknownKeysAtTheTopAreRemarks) {
  EXPECT_TRUE(parse_model_json(changed("\"batch_norm\"", "\"note\""), "/m"));
}

TEST(ModelJson, RandomChangesNeverDoHarm) {
  std::mt19937 random(5);
  for (int round = 0; round < 3000; ++round) {
    std::string text = kGood;
    for (int i = 0; i < 3; ++i) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const auto model = parse_model_json(text, "/m");
    if (!model) {
      EXPECT_FALSE(model.error().message.empty());
    }
  }
  EXPECT_FALSE(parse_model_json(std::string(100'000, '['), "/m"));
}

TEST(ModelFolder, ReadsTheFileAndWantsItsWeights) {
  const auto folder = TemporaryFolder::create("shoal-model").value();
  EXPECT_EQ(read_model_folder(folder.path()).error().code,
            ErrorCode::kNotFound);
  ASSERT_TRUE(write_file_atomically(folder.path() / "model.json", kGood));
  const auto without = read_model_folder(folder.path());
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(without.error().message, HasSubstr("w.safetensors"));
  ASSERT_TRUE(write_file_atomically(folder.path() / "w.safetensors", "x"));
  EXPECT_TRUE(read_model_folder(folder.path()));
}

TEST(ModelFolder, ListsFoldersByName) {
  const auto folder = TemporaryFolder::create("shoal-models").value();
  for (const char* name : {"b", "a", "c"}) {
    std::filesystem::create_directory(folder.path() / name);
  }
  for (const char* name : {"b", "a"}) {
    ASSERT_TRUE(
        write_file_atomically(folder.path() / name / "model.json", kGood));
  }
  const auto found = list_model_folders(folder.path());
  ASSERT_TRUE(found);
  EXPECT_THAT(found.value(),
              testing::ElementsAre(folder.path() / "a", folder.path() / "b"));
  EXPECT_EQ(list_model_folders(folder.path() / "none").error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(list_model_folders(folder.path() / "a" / "model.json").error().code,
            ErrorCode::kIo);
}

TEST(ModelFolder, ReadsAllSharedModels) {
  SHOAL_REQUIRE_DATA("models");
  const auto folders =
      list_model_folders(test::shared_data() / "models").value();
  EXPECT_EQ(folders.size(), 7U);
  for (const auto& folder : folders) {
    const auto model = read_model_folder(folder);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model.value().name, folder.filename().string());
  }
}

}  // namespace
}  // namespace shoal
