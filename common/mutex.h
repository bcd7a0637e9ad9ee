#pragma once

#include <condition_variable>
#include <mutex>

// Clang's thread-safety annotations; nothing under other compilers.
#if defined(__clang__)
#define SHOAL_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define SHOAL_THREAD_ATTRIBUTE(x)
#endif
#define SHOAL_CAPABILITY(x) SHOAL_THREAD_ATTRIBUTE(capability(x))
#define SHOAL_SCOPED_CAPABILITY SHOAL_THREAD_ATTRIBUTE(scoped_lockable)
#define SHOAL_GUARDED_BY(x) SHOAL_THREAD_ATTRIBUTE(guarded_by(x))
#define SHOAL_REQUIRES(...) \
  SHOAL_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define SHOAL_ACQUIRE(...) \
  SHOAL_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define SHOAL_RELEASE(...) \
  SHOAL_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace shoal {

/// std::mutex that clang's analysis understands. The exception to "one owner
/// thread per state": say in the class why it is needed.
class SHOAL_CAPABILITY("mutex") Mutex {
 public:
  void lock() SHOAL_ACQUIRE() { mutex_.lock(); }
  void unlock() SHOAL_RELEASE() { mutex_.unlock(); }
  /// For std::condition_variable waits through MutexLock.
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex for its scope; can wait on a condition variable.
class SHOAL_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SHOAL_ACQUIRE(mutex)
      : lock_(mutex.native()) {}
  ~MutexLock() SHOAL_RELEASE() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void wait(std::condition_variable& condition) { condition.wait(lock_); }
  template <typename Clock, typename Duration>
  std::cv_status wait_until(
      std::condition_variable& condition,
      const std::chrono::time_point<Clock, Duration>& deadline) {
    return condition.wait_until(lock_, deadline);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace shoal
