#include "daemon/pipeline/task_thread.h"

#include <vector>

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(TaskThread, RunsTasksOfManyThreadsOneAtATime) {
  TaskThread<int> thread(std::make_unique<int>(0), 4);
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(thread.post([](int& value) { ++value; }));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(
      thread.call([](int& value) -> Result<int> { return value; }).value(),
      2000);
}

TEST(TaskThread, StoppingRunsWhatWasHandedOverAndRefusesTheRest) {
  int ran = 0;
  {
    TaskThread<int> thread(std::make_unique<int>(0), 100);
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(thread.post([&ran](int&) { ++ran; }));
    }
    thread.stop();
    EXPECT_EQ(ran, 50);
    EXPECT_FALSE(thread.post([](int&) {}));
    const auto late =
        thread.call([](int& value) -> Result<int> { return value; });
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
  }
}

TEST(TaskThread, ErrorsTravelAsValues) {
  TaskThread<int> thread(std::make_unique<int>(0), 4);
  const auto failed =
      thread.call([](int&) -> Result<void> { return invalid_argument("no"); });
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().message, "no");
}

}  // namespace
}  // namespace shoal
