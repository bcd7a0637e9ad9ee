#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "common/check.h"
#include "common/mutex.h"

namespace shoal {

/// A bounded, closeable queue of values between threads: the only way in
/// which threads hand work to each other. A message may carry a weight (its
/// bytes, say); both the count and the sum of weights are bounded. A message
/// heavier than the whole limit is let in alone, so nothing can be stuck.
///
/// Closing lets receivers take what is left and then see the end; senders are
/// refused at once.
/// Thread-safe.
template <typename T>
class Channel {
 public:
  enum class SendStatus { kSent, kFull, kClosed };

  /// @param capacity  most messages held, >= 1
  /// @param capacity_weight  largest sum of weights; 0: weights do not count
  explicit Channel(std::size_t capacity, std::size_t capacity_weight = 0)
      : capacity_(capacity), capacity_weight_(capacity_weight) {
    SHOAL_CHECK(capacity >= 1, "a channel holds at least one message");
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Hands over `value` unless the channel is full or closed; on refusal
  /// `value` is left as it was. Never waits.
  [[nodiscard]] SendStatus try_send(T& value, std::size_t weight = 1) {
    {
      const MutexLock lock(mutex_);
      if (closed_) return SendStatus::kClosed;
      if (!has_room(weight)) return SendStatus::kFull;
      push(value, weight);
    }
    not_empty_.notify_one();
    return SendStatus::kSent;
  }

  /// Hands over `value`, waiting for room. False when closed: `value` is
  /// left as it was.
  [[nodiscard]] bool send(T& value, std::size_t weight = 1) {
    {
      MutexLock lock(mutex_);
      while (!closed_ && !has_room(weight)) lock.wait(not_full_);
      if (closed_) return false;
      push(value, weight);
    }
    not_empty_.notify_one();
    return true;
  }
  [[nodiscard]] bool send(T&& value, std::size_t weight = 1) {
    return send(value, weight);
  }

  /// The oldest message, waiting for one; nothing once closed and drained.
  [[nodiscard]] std::optional<T> receive() {
    std::optional<T> value;
    {
      MutexLock lock(mutex_);
      while (!closed_ && queue_.empty()) lock.wait(not_empty_);
      value = pop();
    }
    not_full_.notify_all();
    return value;
  }

  /// As receive(), but gives up at `deadline`; tell the two apart with
  /// is_finished().
  template <typename Clock, typename Duration>
  [[nodiscard]] std::optional<T> receive_until(
      const std::chrono::time_point<Clock, Duration>& deadline) {
    std::optional<T> value;
    {
      MutexLock lock(mutex_);
      while (!closed_ && queue_.empty()) {
        if (lock.wait_until(not_empty_, deadline) == std::cv_status::timeout) {
          break;
        }
      }
      value = pop();
    }
    not_full_.notify_all();
    return value;
  }

  /// The oldest message if there is one. Never waits.
  [[nodiscard]] std::optional<T> try_receive() {
    std::optional<T> value;
    {
      const MutexLock lock(mutex_);
      value = pop();
    }
    not_full_.notify_all();
    return value;
  }

  /// No more messages are taken in. Idempotent.
  void close() {
    {
      const MutexLock lock(mutex_);
      closed_ = true;
    }
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  [[nodiscard]] bool is_finished() const {
    const MutexLock lock(mutex_);
    return closed_ && queue_.empty();
  }
  [[nodiscard]] std::size_t size() const {
    const MutexLock lock(mutex_);
    return queue_.size();
  }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

 private:
  struct Entry {
    T value;
    std::size_t weight;
  };

  [[nodiscard]] bool has_room(std::size_t weight) const SHOAL_REQUIRES(mutex_) {
    if (queue_.empty()) return true;
    if (queue_.size() >= capacity_) return false;
    return capacity_weight_ == 0 || weight_ + weight <= capacity_weight_;
  }
  void push(T& value, std::size_t weight) SHOAL_REQUIRES(mutex_) {
    queue_.push_back(Entry{std::move(value), weight});
    weight_ += weight;
  }
  std::optional<T> pop() SHOAL_REQUIRES(mutex_) {
    if (queue_.empty()) return std::nullopt;
    std::optional<T> value(std::move(queue_.front().value));
    weight_ -= queue_.front().weight;
    queue_.pop_front();
    return value;
  }

  const std::size_t capacity_;
  const std::size_t capacity_weight_;
  mutable Mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<Entry> queue_ SHOAL_GUARDED_BY(mutex_);
  std::size_t weight_ SHOAL_GUARDED_BY(mutex_) = 0;
  bool closed_ SHOAL_GUARDED_BY(mutex_) = false;
};

}  // namespace shoal
