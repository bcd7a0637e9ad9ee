#include "common/channel.h"

#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace shoal {
namespace {

using Status = Channel<int>::SendStatus;

TEST(Channel, RefusesBeyondItsCapacityAndKeepsTheValue) {
  Channel<std::unique_ptr<int>> channel(1);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  EXPECT_EQ(channel.try_send(first),
            Channel<std::unique_ptr<int>>::SendStatus::kSent);
  EXPECT_EQ(channel.try_send(second),
            Channel<std::unique_ptr<int>>::SendStatus::kFull);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
}

TEST(Channel, BoundsTheSumOfWeights) {
  Channel<int> channel(10, 100);
  int value = 1;
  EXPECT_EQ(channel.try_send(value, 60), Status::kSent);
  EXPECT_EQ(channel.try_send(value, 60), Status::kFull);
  EXPECT_EQ(channel.try_send(value, 40), Status::kSent);
}

TEST(Channel, LetsAMessageHeavierThanTheLimitThroughAlone) {
  Channel<int> channel(10, 100);
  int value = 7;
  EXPECT_EQ(channel.try_send(value, 1000), Status::kSent);
  EXPECT_EQ(channel.try_send(value, 1), Status::kFull);
  EXPECT_EQ(channel.receive(), 7);
  EXPECT_EQ(channel.try_send(value, 1), Status::kSent);
}

TEST(Channel, ClosingLetsReceiversDrainAndRefusesSenders) {
  Channel<int> channel(4);
  int value = 5;
  ASSERT_EQ(channel.try_send(value), Status::kSent);
  channel.close();
  EXPECT_EQ(channel.try_send(value), Status::kClosed);
  EXPECT_FALSE(channel.send(value));
  EXPECT_EQ(channel.receive(), 5);
  EXPECT_EQ(channel.receive(), std::nullopt);
  EXPECT_TRUE(channel.is_finished());
}

TEST(Channel, ClosingWakesAWaitingReceiverAndSender) {
  Channel<int> empty(1);
  Channel<int> full(1);
  int value = 1;
  ASSERT_EQ(full.try_send(value), Status::kSent);
  std::thread receiver([&] { EXPECT_EQ(empty.receive(), std::nullopt); });
  std::thread sender([&] { EXPECT_FALSE(full.send(2)); });
  empty.close();
  full.close();
  receiver.join();
  sender.join();
}

TEST(Channel, AReceiveWithADeadlineGivesUp) {
  Channel<int> channel(1);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  EXPECT_EQ(channel.receive_until(deadline), std::nullopt);
  EXPECT_FALSE(channel.is_finished());
}

TEST(Channel, ManyThreadsLoseAndDoubleNothing) {
  Channel<int> channel(8);
  constexpr int kSenders = 4;
  constexpr int kEach = 2000;
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&channel, s] {
      for (int i = 0; i < kEach; ++i) {
        ASSERT_TRUE(channel.send(s * kEach + i));
      }
    });
  }
  std::vector<std::vector<int>> received(3);
  std::vector<std::thread> receivers;
  for (auto& mine : received) {
    receivers.emplace_back([&channel, &mine] {
      while (auto value = channel.receive()) mine.push_back(*value);
    });
  }
  for (auto& thread : senders) thread.join();
  channel.close();
  for (auto& thread : receivers) thread.join();
  std::vector<int> counts(kSenders * kEach, 0);
  for (const auto& mine : received) {
    for (const int value : mine) ++counts[static_cast<std::size_t>(value)];
  }
  for (const int count : counts) ASSERT_EQ(count, 1);
}

}  // namespace
}  // namespace shoal
