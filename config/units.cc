#include "config/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace shoal {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// From the largest to the smallest.
constexpr std::array<Unit, 5> kByteUnits = {{{"TiB", 1ULL << 40},
                                             {"GiB", 1ULL << 30},
                                             {"MiB", 1ULL << 20},
                                             {"KiB", 1ULL << 10},
                                             {"B", 1}}};
constexpr std::array<Unit, 4> kTimeUnits = {
    {{"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};
// Values travel as signed 64-bit integers.
constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// A whole number, optional spaces, a unit of `units` or none (factor
// `plain_factor`; 0: a unit is required).
template <std::size_t N>
Result<std::uint64_t> parse_with_unit(std::string_view text,
                                      const std::array<Unit, N>& units,
                                      std::uint64_t plain_factor,
                                      std::string_view example) {
  const auto refuse = [&](std::string_view why) {
    return invalid_argument("'" + std::string(text) + "' " + std::string(why) +
                            "; write it like " + std::string(example));
  };
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec == std::errc::result_out_of_range) {
    return refuse("is too large");
  }
  if (parsed.ec != std::errc()) return refuse("has no whole number");
  std::string_view rest(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  std::uint64_t factor = plain_factor;
  if (rest.empty()) {
    if (factor == 0 && number != 0) return refuse("has no unit");
  } else {
    factor = 0;
    for (const Unit& unit : units) {
      if (equal_ignoring_case(rest, unit.name)) factor = unit.factor;
    }
    if (factor == 0) return refuse("has an unknown unit");
  }
  if (factor != 0 && number > kLargest / factor) return refuse("is too large");
  return number * factor;
}

template <std::size_t N>
std::string format_with_unit(std::uint64_t value,
                             const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return std::to_string(value / unit.factor) + std::string(unit.name);
    }
  }
  return "0" + std::string(units.back().name);
}

}  // namespace

Result<std::uint64_t> parse_byte_size(std::string_view text) {
  return parse_with_unit(text, kByteUnits, 1, "64MiB or 1000000");
}

std::string format_byte_size(std::uint64_t bytes) {
  return format_with_unit(bytes, kByteUnits);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  SHOAL_TRY(value, parse_with_unit(text, kTimeUnits, 0, "250ms, 5s or 2min"));
  return std::chrono::milliseconds(static_cast<std::int64_t>(value));
}

std::string format_duration(std::chrono::milliseconds duration) {
  return format_with_unit(static_cast<std::uint64_t>(duration.count()),
                          kTimeUnits);
}

}  // namespace shoal
