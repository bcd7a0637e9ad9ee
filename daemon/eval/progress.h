#pragma once

#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>

namespace shoal::eval {

/// "5 s", "3:05 min", "2:13 h".
[[nodiscard]] std::string in_time_units(double seconds);

/// What a Progress counts.
enum class ProgressUnit {
  kImages,   ///< shown with their number and rate
  kPercent,  ///< hundredths of something without a rate
};

/// Shows how far a loop is: a bar with rate and time left that is redrawn on
/// a terminal, else a line every ten seconds and one at the end.
/// Owner-thread.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param terminal  `out` understands carriage returns
  Progress(std::ostream& out, bool terminal, std::string what,
           std::size_t total, Clock::time_point now,
           ProgressUnit unit = ProgressUnit::kImages);

  /// `done` of the total are done. Writes when it is time to.
  void update(std::size_t done, Clock::time_point now);

  /// Writes `line` in the bar's place; nothing follows it.
  void close(const std::string& line);

 private:
  [[nodiscard]] std::string state(std::size_t done, double taken) const;

  std::ostream& out_;
  const bool terminal_;
  const std::string what_;
  const std::size_t total_;
  const ProgressUnit unit_;
  const Clock::time_point started_;
  Clock::time_point shown_;
};

}  // namespace shoal::eval
