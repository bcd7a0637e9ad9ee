#pragma once

#include <deque>
#include <utility>

#include "common/mutex.h"

namespace shoal {

/// Values from many threads to one that waits in zmq_poll or select: a queue
/// with a file descriptor that is readable while the queue holds anything.
///
/// The queue has no limit of its own: what goes in are answers to requests
/// that were admitted under a limit, one each.
/// Thread-safe; the descriptor belongs to the receiving thread's poll.
class WakeFd {
 public:
  WakeFd();
  ~WakeFd();
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  void wake() const;
  void clear() const;

 private:
  int fd_;
};

template <typename T>
class Outbox {
 public:
  /// Becomes readable when there is something to take.
  [[nodiscard]] int fd() const { return wake_.fd(); }

  void put(T value) {
    {
      const MutexLock lock(mutex_);
      queue_.push_back(std::move(value));
    }
    wake_.wake();
  }

  /// Makes the descriptor readable without a value.
  void wake() { wake_.wake(); }

  /// Everything there is, oldest first.
  [[nodiscard]] std::deque<T> take_all() {
    wake_.clear();
    const MutexLock lock(mutex_);
    return std::exchange(queue_, {});
  }

 private:
  WakeFd wake_;
  Mutex mutex_;
  std::deque<T> queue_ SHOAL_GUARDED_BY(mutex_);
};

}  // namespace shoal
