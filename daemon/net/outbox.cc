#include "daemon/net/outbox.h"

#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"

namespace shoal {

WakeFd::WakeFd() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  SHOAL_CHECK(fd_ >= 0, "no file descriptor left for an event counter");
}

WakeFd::~WakeFd() { ::close(fd_); }

void WakeFd::wake() const {
  const std::uint64_t one = 1;
  // Fails only when the counter is at its maximum: then it is readable.
  [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
}

void WakeFd::clear() const {
  std::uint64_t count = 0;
  // Fails only when nothing woke it.
  [[maybe_unused]] const auto got = ::read(fd_, &count, sizeof count);
}

}  // namespace shoal
