#include "daemon/net/outbox.h"

#include <poll.h>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace shoal {
namespace {

bool readable(int fd) {
  pollfd item{fd, POLLIN, 0};
  return ::poll(&item, 1, 0) == 1;
}

TEST(Outbox, IsReadableExactlyWhileItHoldsSomething) {
  Outbox<int> outbox;
  EXPECT_FALSE(readable(outbox.fd()));
  outbox.put(1);
  outbox.put(2);
  EXPECT_TRUE(readable(outbox.fd()));
  EXPECT_EQ(outbox.take_all(), (std::deque<int>{1, 2}));
  EXPECT_FALSE(readable(outbox.fd()));
  EXPECT_TRUE(outbox.take_all().empty());
}

TEST(Outbox, NothingPutByAnotherThreadIsMissed) {
  Outbox<int> outbox;
  std::vector<std::thread> senders;
  for (int t = 0; t < 3; ++t) {
    senders.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) outbox.put(i);
    });
  }
  std::size_t taken = 0;
  while (taken < 3000) {
    pollfd item{outbox.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&item, 1, 10'000), 1);
    taken += outbox.take_all().size();
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(taken, 3000U);
}

}  // namespace
}  // namespace shoal
