#pragma once

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "common/channel.h"
#include "common/result.h"

namespace shoal {

/// A thread that owns a T and runs tasks on it one at a time: how other
/// threads ask something of a state that has one owner.
/// Thread-safe; the T is touched by the thread alone after construction.
template <typename T>
class TaskThread {
 public:
  using Task = std::function<void(T&)>;

  /// @param capacity  most tasks waiting
  TaskThread(std::unique_ptr<T> state, std::size_t capacity)
      : state_(std::move(state)),
        tasks_(capacity),
        thread_([this] { run(); }) {}
  ~TaskThread() { stop(); }
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  /// Hands over a task, waiting for room. False after stop().
  [[nodiscard]] bool post(Task task) { return tasks_.send(std::move(task)); }

  /// Runs `function` (T& -> Result<...>) on the thread and waits for what it
  /// returns. Errors: kUnavailable after stop(); the function's own.
  template <typename Function>
  std::invoke_result_t<Function, T&> call(Function function) {
    using R = std::invoke_result_t<Function, T&>;
    auto promise = std::make_shared<std::promise<R>>();
    auto future = promise->get_future();
    if (!post([promise, function = std::move(function)](T& state) mutable {
          promise->set_value(function(state));
        })) {
      return unavailable("the daemon is shutting down");
    }
    return future.get();
  }

  /// Runs what has been handed over, then ends the thread. Idempotent.
  void stop() {
    tasks_.close();
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] std::size_t waiting() const { return tasks_.size(); }

 private:
  void run() {
    while (auto task = tasks_.receive()) (*task)(*state_);
  }

  std::unique_ptr<T> state_;
  Channel<Task> tasks_;
  std::thread thread_;
};

}  // namespace shoal
