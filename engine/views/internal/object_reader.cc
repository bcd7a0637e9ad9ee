#include "engine/views/internal/object_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace shoal::internal {
namespace {

using nlohmann::json;

/// NaN unless `value` is a number that float can hold.
float as_float(const json& value) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  if (!value.is_number()) return kNone;
  const auto number = value.get<double>();
  if (std::abs(number) > std::numeric_limits<float>::max()) return kNone;
  return static_cast<float>(number);
}

}  // namespace

std::string shown(const json& value) {
  constexpr std::size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

ObjectReader::ObjectReader(const json& object, std::string prefix)
    : object_(object), prefix_(std::move(prefix)) {
  if (!object.is_object()) fail("", shown(object), "an object");
}

std::string ObjectReader::text(const std::string& key,
                               const std::optional<std::string>& otherwise,
                               std::string_view expected) {
  const json* value = find(key, otherwise.has_value(), expected);
  if (value == nullptr) return otherwise.value_or("");
  if (!value->is_string()) {
    fail(key, shown(*value), expected);
    return "";
  }
  return value->get<std::string>();
}

std::string ObjectReader::choice(
    const std::string& key, std::initializer_list<std::string_view> choices) {
  const std::string expected =
      fmt::format("\"{}\"", fmt::join(choices, "\" or \""));
  const std::string first(*choices.begin());
  std::string found = text(key, first, expected);
  if (std::find(choices.begin(), choices.end(), found) == choices.end()) {
    fail(key, shown(found), expected);
    return first;
  }
  return found;
}

int ObjectReader::integer(const std::string& key, std::optional<int> otherwise,
                          int low, int high) {
  const std::string expected =
      fmt::format("a whole number from {} to {}", low, high);
  const json* value = find(key, otherwise.has_value(), expected);
  if (value == nullptr) return otherwise.value_or(low);
  const double number =
      value->is_number_integer() ? value->get<double>() : low - 1.0;
  if (number < low || number > high) {
    fail(key, shown(*value), expected);
    return low;
  }
  return static_cast<int>(number);
}

bool ObjectReader::boolean(const std::string& key, bool otherwise) {
  const json* value = find(key, true, "true or false");
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) fail(key, shown(*value), "true or false");
  return value->is_boolean() && value->get<bool>();
}

float ObjectReader::positive(const std::string& key,
                             std::optional<float> otherwise) {
  constexpr std::string_view kExpected = "a number above 0";
  const json* value = find(key, otherwise.has_value(), kExpected);
  if (value == nullptr) return otherwise.value_or(1);
  const float number = as_float(*value);
  if (number > 0) return number;
  fail(key, shown(*value), kExpected);
  return 1;
}

std::array<float, 3> ObjectReader::three(const std::string& key,
                                         bool positive) {
  const std::string_view expected =
      positive ? "three numbers above 0" : "three numbers";
  std::array<float, 3> numbers{1, 1, 1};
  const json* value = find(key, false, expected);
  if (value == nullptr) return numbers;
  bool good = value->is_array() && value->size() == numbers.size();
  for (std::size_t i = 0; good && i < numbers.size(); ++i) {
    numbers[i] = as_float((*value)[i]);
    good = std::isfinite(numbers[i]) && (!positive || numbers[i] > 0);
  }
  if (!good) fail(key, shown(*value), expected);
  return numbers;
}

const json& ObjectReader::object(const std::string& key) {
  static const json kEmpty = json::object();
  const json* value = find(key, false, "an object");
  return value == nullptr ? kEmpty : *value;
}

void ObjectReader::fail(const std::string& key, std::string_view found,
                        std::string_view expected) {
  if (error_) return;
  error_ = invalid_argument(
      fmt::format("{}{} is {}; expected {}", prefix_, key, found, expected));
}

void ObjectReader::refuse_unknown_keys() {
  if (error_ || !object_.is_object()) return;
  for (const auto& [key, value] : object_.items()) {
    if (asked_.count(key) != 0) continue;
    error_ =
        invalid_argument(fmt::format("{}{} is not a known key; known are {}",
                                     prefix_, key, fmt::join(asked_, ", ")));
    return;
  }
}

Result<void> ObjectReader::finish() const {
  if (error_) return *error_;
  return ok();
}

const json* ObjectReader::find(const std::string& key, bool optional,
                               std::string_view expected) {
  asked_.insert(key);
  if (!object_.is_object()) return nullptr;
  const auto place = object_.find(key);
  if (place != object_.end()) return &*place;
  if (!optional) fail(key, "missing", expected);
  return nullptr;
}

}  // namespace shoal::internal
