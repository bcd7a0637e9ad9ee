#include "common/file.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(File, ReadsBackWhatWasWrittenAtomically) {
  auto folder = TemporaryFolder::create("shoal-file-test").value();
  const auto path = folder.path() / "x";
  ASSERT_TRUE(write_file_atomically(path, "first").has_value());
  ASSERT_TRUE(write_file_atomically(path, "second").has_value());
  EXPECT_EQ(read_file(path, 100).value(), "second");
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".tmp"));
}

TEST(File, TellsMissingFromTooLarge) {
  auto folder = TemporaryFolder::create("shoal-file-test").value();
  const auto path = folder.path() / "x";
  EXPECT_EQ(read_file(path, 1).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_file_atomically(path, "12345").has_value());
  EXPECT_EQ(read_file(path, 4).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(read_file(path, 5).value(), "12345");
}

TEST(File, WritingIntoAMissingFolderNamesTheFile) {
  auto folder = TemporaryFolder::create("shoal-file-test").value();
  const auto result = write_file_atomically(folder.path() / "no" / "such", "x");
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("no/such"), std::string::npos);
}

TEST(File, ATemporaryFolderIsRemovedWithItsContent) {
  std::filesystem::path path;
  {
    auto folder = TemporaryFolder::create("shoal-file-test").value();
    path = folder.path();
    ASSERT_TRUE(write_file_atomically(path / "x", "y").has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace shoal
