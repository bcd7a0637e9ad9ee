#include "daemon/refine/kept_steps.h"

#include <gtest/gtest.h>

#include "common/file.h"

namespace shoal {
namespace {

TEST(KeptSteps, AreFoundAsTheyWereKept) {
  auto folder = TemporaryFolder::create("shoal-steps-test").value();
  const KeptSteps steps(folder.path() / "steps");
  EXPECT_FALSE(steps.find("round0-view1").has_value());
  const std::string bytes("a\0b", 3);
  ASSERT_TRUE(steps.keep("round0-view1", bytes));
  ASSERT_TRUE(steps.keep("empty", ""));
  EXPECT_EQ(KeptSteps(folder.path() / "steps").find("round0-view1"), bytes);
  EXPECT_EQ(steps.find("empty"), "");
  ASSERT_TRUE(steps.keep("round0-view1", "newer"));
  EXPECT_EQ(steps.find("round0-view1"), "newer");
}

TEST(KeptSteps, ADamagedOneIsNone) {
  auto folder = TemporaryFolder::create("shoal-steps-test").value();
  const KeptSteps steps(folder.path());
  ASSERT_TRUE(steps.keep("one", "some bytes"));
  const std::string whole = read_file(folder.path() / "one", 1000).value();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_TRUE(write_file_atomically(folder.path() / "one", damaged));
    EXPECT_FALSE(steps.find("one").has_value()) << at;
    ASSERT_TRUE(
        write_file_atomically(folder.path() / "one", whole.substr(0, at)));
    EXPECT_FALSE(steps.find("one").has_value()) << at;
  }
}

TEST(KeptSteps, ANameCannotLeaveTheFolder) {
  auto folder = TemporaryFolder::create("shoal-steps-test").value();
  const KeptSteps steps(folder.path() / "steps");
  EXPECT_EQ(steps.keep("../outside", "x").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(steps.keep("", "x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(steps.find("../outside").has_value());
}

}  // namespace
}  // namespace shoal
