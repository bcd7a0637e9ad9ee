#include "daemon/models/manifest.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal {
namespace {

using testing::HasSubstr;

constexpr const char* kGood = R"([[model]]
name = "a_1.0"
architecture = "resnet18"
url = "https://example.org/a.pth"
sha256 = "0123456789abcdef"
size_bytes = 123
preprocessing = "caffe"
licence = "MIT"
)";

/// kGood with `from` replaced by `to`.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_refused(const std::string& text, const std::string& message) {
  const auto models = parse_manifest(text, "list.toml");
  ASSERT_FALSE(models) << text;
  EXPECT_EQ(models.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(models.error().message, HasSubstr("list.toml: "));
  EXPECT_THAT(models.error().message, HasSubstr(message));
}

TEST(Manifest, IsReadInFull) {
  const auto models = parse_manifest(kGood, "list.toml");
  ASSERT_TRUE(models) << models.error().message;
  ASSERT_EQ(models.value().size(), 1U);
  const DownloadableModel& model = models.value()[0];
  EXPECT_EQ(model.name, "a_1.0");
  EXPECT_EQ(model.architecture, "resnet18");
  EXPECT_EQ(model.url, "https://example.org/a.pth");
  EXPECT_EQ(model.sha256, "0123456789abcdef");
  EXPECT_EQ(model.size_bytes, 123U);
  EXPECT_EQ(model.preprocessing, Preprocessing::kCaffe);
  EXPECT_EQ(model.licence, "MIT");
}

TEST(Manifest, FaultsAreNamedWithTheirLine) {
  expect_refused("x = [", "not valid TOML");
  expect_refused("x = 1", "not a list of [[model]] tables");
  expect_refused("model = [1]", "a model is no table");
  expect_refused(std::string("a") + std::string(100'000, '.'), "dots");
  expect_refused(changed("name = \"a_1.0\"", ""), "1: [[model]]: name is");
  expect_refused(changed("\"a_1.0\"", "\"../a\""), "name is ../a");
  expect_refused(changed("\"a_1.0\"", "\".a\""), "name is .a");
  expect_refused(changed("abcdef", "ABCDEF"), "sha256 is not 8 to 64 digits");
  expect_refused(changed("123\n", "-1\n"), "size_bytes is no whole number");
  expect_refused(changed("caffe", "gray"), "preprocessing is gray");
  expect_refused(changed("licence", "license"), "licence is missing");
  expect_refused(std::string(kGood) + kGood, "a_1.0 is listed twice");
}

TEST(Manifest, TheBuiltInListIsSoundAndImportable) {
  const auto models = read_manifest(std::nullopt);
  ASSERT_TRUE(models) << models.error().message;
  EXPECT_EQ(models.value().size(), 18U);
  const auto known = importable_architectures();
  for (const DownloadableModel& model : models.value()) {
    EXPECT_EQ(model.url.rfind("https://", 0), 0U) << model.name;
    // The publishers put the digest's beginning into the file's name.
    EXPECT_THAT(model.url, HasSubstr("-" + model.sha256 + ".pth"));
    EXPECT_NE(std::find(known.begin(), known.end(), model.architecture),
              known.end())
        << model.architecture;
  }
}

}  // namespace
}  // namespace shoal
