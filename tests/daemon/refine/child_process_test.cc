#include "daemon/refine/child_process.h"

#include <csignal>

#include <gtest/gtest.h>

namespace shoal {
namespace {

constexpr std::chrono::milliseconds kLong{10'000};

Result<ChildProcess> shell(const std::string& script) {
  return ChildProcess::start("/bin/sh", {"-c", script});
}

TEST(ChildProcess, ReadsItsLinesAndItsExitStatus) {
  auto child = shell("echo one; echo two; exit 3").value();
  EXPECT_EQ(child.read_line(kLong), "one");
  EXPECT_EQ(child.read_line(kLong), "two");
  EXPECT_EQ(child.read_line(kLong), std::nullopt);
  EXPECT_TRUE(child.at_end());
  const ChildExit exit = child.wait();
  EXPECT_FALSE(exit.signalled);
  EXPECT_EQ(exit.status, 3);
}

TEST(ChildProcess, TellsADeathBySignal) {
  auto child = shell("kill -9 $$").value();
  while (!child.at_end()) static_cast<void>(child.read_line(kLong));
  const ChildExit exit = child.wait();
  EXPECT_TRUE(exit.signalled);
  EXPECT_EQ(exit.status, SIGKILL);
}

TEST(ChildProcess, ASilentChildTimesOutAndCanBeStopped) {
  auto child = shell("exec sleep 1000").value();
  EXPECT_EQ(child.read_line(std::chrono::milliseconds(1)), std::nullopt);
  child.signal(SIGTERM);
  while (!child.at_end()) static_cast<void>(child.read_line(kLong));
  EXPECT_EQ(child.wait().status, SIGTERM);
}

TEST(ChildProcess, IsKilledWithItsOwner) {
  pid_t pid = 0;
  {
    auto child = shell("sleep 1000").value();
    pid = child.pid();
    ASSERT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(ChildProcess, AnEndlessLineIsCutInsteadOfHeld) {
  auto child =
      shell("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end").value();
  std::size_t longest = 0;
  std::string last;
  while (auto line = child.read_line(kLong)) {
    longest = std::max(longest, line->size());
    last = *line;
  }
  EXPECT_LT(longest, 128U * 1024);
  EXPECT_EQ(last, "end");
}

TEST(ChildProcess, AMissingProgramIsNamed) {
  const auto child = ChildProcess::start("/no/such/program", {});
  ASSERT_FALSE(child.has_value());
  EXPECT_NE(child.error().message.find("/no/such/program"), std::string::npos);
}

}  // namespace
}  // namespace shoal
