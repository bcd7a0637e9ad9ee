#pragma once

#include <atomic>
#include <memory>

namespace shoal::eval {

/// Turns SIGINT and SIGTERM into a flag; the second one ends the process at
/// once. Owner-thread; the flag is for all.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  [[nodiscard]] const std::atomic<bool>& flag() const;

 private:
  class Waiter;
  std::unique_ptr<Waiter> waiter_;
};

}  // namespace shoal::eval
