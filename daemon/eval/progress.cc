#include "daemon/eval/progress.h"

#include <string_view>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace shoal::eval {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kLine{10};
constexpr std::size_t kBarWidth = 30;

/// Covers a longer line before, where the cursor returns.
constexpr std::string_view kBlanks = "          ";

}  // namespace

std::string in_time_units(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

Progress::Progress(std::ostream& out, bool terminal, std::string what,
                   std::size_t total, Clock::time_point now, ProgressUnit unit)
    : out_(out),
      terminal_(terminal),
      what_(std::move(what)),
      total_(total),
      unit_(unit),
      started_(now),
      shown_(now) {}

void Progress::update(std::size_t done, Clock::time_point now) {
  const bool last = done == total_;
  if (!last && now - shown_ < (terminal_ ? Clock::duration(kRedraw)
                                         : Clock::duration(kLine))) {
    return;
  }
  shown_ = now;
  const std::string line =
      state(done, std::chrono::duration<double>(now - started_).count());
  if (!terminal_) {
    out_ << what_ << ": " << line << "\n" << std::flush;
    return;
  }
  const std::size_t filled = kBarWidth * done / total_;
  out_ << fmt::format("\r{} [{:<{}}] {}{}", what_, std::string(filled, '#'),
                      kBarWidth, line, kBlanks)
       << (last ? "\n" : "") << std::flush;
}

void Progress::close(const std::string& line) {
  if (!terminal_) {
    out_ << line << "\n" << std::flush;
    return;
  }
  constexpr std::string_view kEraseLine = "\r\x1b[K";
  out_ << kEraseLine << line << "\n" << std::flush;
}

std::string Progress::state(std::size_t done, double taken) const {
  const double rate = taken > 0 ? static_cast<double>(done) / taken : 0;
  std::string text =
      unit_ == ProgressUnit::kImages
          ? fmt::format("{}/{}  {:.0f} images/s", done, total_, rate)
          : fmt::format("{:3} %", 100 * done / total_);
  if (done == total_) {
    text += ", " + in_time_units(taken);
  } else if (rate > 0) {
    text += ", " + in_time_units(static_cast<double>(total_ - done) / rate) +
            " left";
  }
  return text;
}

}  // namespace shoal::eval
