#pragma once

#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>

namespace shoal::eval {

/// Shows how far a loop is: a bar with rate and time left that is redrawn on
/// a terminal, else a line every ten seconds and one at the end.
/// Owner-thread.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param terminal  `out` understands carriage returns
  Progress(std::ostream& out, bool terminal, std::string what,
           std::size_t total, Clock::time_point now);

  /// `done` of the total are done. Writes when it is time to.
  void update(std::size_t done, Clock::time_point now);

 private:
  std::ostream& out_;
  const bool terminal_;
  const std::string what_;
  const std::size_t total_;
  const Clock::time_point started_;
  Clock::time_point shown_;
};

}  // namespace shoal::eval
