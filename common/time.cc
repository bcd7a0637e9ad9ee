#include "common/time.h"

#include <cstdint>
#include <cstdio>
#include <ctime>

namespace shoal {
namespace {

// Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant,
// "chrono-compatible low-level date algorithms").
std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
  y -= m <= 2 ? 1 : 0;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m + (m > 2 ? -3U : 9U)) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool number(std::size_t digits, int* value) {
    if (text_.size() < digits) return false;
    *value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      *value = *value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(digits);
    return true;
  }
  bool any_of(std::string_view allowed, char* found = nullptr) {
    if (text_.empty() || allowed.find(text_.front()) == std::string_view::npos)
      return false;
    if (found != nullptr) *found = text_.front();
    text_.remove_prefix(1);
    return true;
  }
  /// Digits after the point, as microseconds; further digits are dropped.
  bool fraction(int* micros) {
    int value = 0;
    int unit = 100000;
    bool any = false;
    while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9') {
      value += (text_.front() - '0') * unit;
      unit /= 10;
      any = true;
      text_.remove_prefix(1);
    }
    *micros = value;
    return any;
  }
  [[nodiscard]] bool done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

}  // namespace

Timestamp now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now());
}

std::string format_rfc3339(Timestamp time) {
  const std::int64_t micros = time.time_since_epoch().count();
  if (micros == 0) return "";
  std::int64_t seconds = micros / 1000000;
  std::int64_t rest = micros % 1000000;
  if (rest < 0) {
    rest += 1000000;
    --seconds;
  }
  const std::time_t clock = seconds;
  std::tm parts{};
  gmtime_r(&clock, &parts);
  char buffer[80];
  std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(rest));
  return buffer;
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return invalid_argument("'" + std::string(text.substr(0, 64)) +
                            "' is not an RFC 3339 time such as "
                            "2026-11-24T13:31:59.25Z");
  };
  Reader in(text);
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int micros = 0;
  if (!in.number(4, &year) || !in.any_of("-") || !in.number(2, &month) ||
      !in.any_of("-") || !in.number(2, &day) || !in.any_of("Tt ") ||
      !in.number(2, &hour) || !in.any_of(":") || !in.number(2, &minute) ||
      !in.any_of(":") || !in.number(2, &second)) {
    return bad();
  }
  if (in.any_of(".") && !in.fraction(&micros)) return bad();
  int offset_minutes = 0;
  char sign = 0;
  if (in.any_of("+-", &sign)) {
    int hours = 0;
    int minutes = 0;
    if (!in.number(2, &hours) || !in.any_of(":") || !in.number(2, &minutes) ||
        hours > 23 || minutes > 59) {
      return bad();
    }
    offset_minutes = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
  } else if (!in.any_of("Zz")) {
    return bad();
  }
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30,
                                  31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (!in.done() || month < 1 || month > 12 || day < 1 ||
      day > kDays[month - 1] + (leap && month == 2 ? 1 : 0) || hour > 23 ||
      minute > 59 || second > 60) {
    return bad();
  }
  const std::int64_t seconds =
      days_from_civil(year, static_cast<unsigned>(month),
                      static_cast<unsigned>(day)) *
          86400 +
      (hour * 60 + minute - offset_minutes) * 60 + second;
  return Timestamp(std::chrono::microseconds(seconds * 1000000 + micros));
}

}  // namespace shoal
