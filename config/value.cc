#include <array>
#include <charconv>

#include "common/utf8.h"
#include "config/internal/fields.h"
#include "config/units.h"

namespace shoal {
namespace {

// As a TOML basic string; for text that is_plain_text().
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

constexpr const char* kNotPlainText =
    "must be UTF-8 without control characters";

bool is_plain_text(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return false;
  }
  return is_valid_utf8(text);
}

// Shortest form that reads back as the same number, in any locale.
std::string format_float(double value) {
  std::array<char, 64> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string format_number(const Field& field, double value) {
  if (field.type == FieldType::kFloat) return format_float(value);
  return format_value(field, static_cast<std::int64_t>(value));
}

std::string_view kind_of(const FieldValue& value) {
  constexpr std::array<std::string_view, 5> kKinds = {
      "true/false", "an integer", "a fraction", "a string", "a list"};
  return kKinds[value.index()];
}

std::string_view expected_kind(FieldType type) {
  switch (type) {
    case FieldType::kBool:
      return "true or false";
    case FieldType::kInteger:
      return "an integer";
    case FieldType::kFloat:
      return "a number";
    case FieldType::kString:
      return "a string";
    case FieldType::kBytes:
      return "a size like \"64MiB\" or an integer";
    case FieldType::kDuration:
      return "a duration like \"250ms\" or \"5s\"";
    case FieldType::kList:
      return "a list of strings";
    case FieldType::kIntegerOrAuto:
      return "an integer or \"auto\"";
  }
  return "another kind of value";
}

// `raw` as a checked value has it, not yet looked at for its range.
Result<FieldValue> convert(const Field& field, const FieldValue& raw) {
  const auto* integer = std::get_if<std::int64_t>(&raw);
  const auto* text = std::get_if<std::string>(&raw);
  switch (field.type) {
    case FieldType::kBool:
      if (std::holds_alternative<bool>(raw)) return raw;
      break;
    case FieldType::kInteger:
      if (integer != nullptr) return raw;
      break;
    case FieldType::kFloat:
      if (integer != nullptr) return FieldValue(static_cast<double>(*integer));
      if (std::holds_alternative<double>(raw)) return raw;
      break;
    case FieldType::kString:
      if (text != nullptr) return raw;
      break;
    case FieldType::kBytes:
      if (integer != nullptr) return raw;
      if (text != nullptr) {
        SHOAL_TRY(bytes, parse_byte_size(*text));
        return FieldValue(static_cast<std::int64_t>(bytes));
      }
      break;
    case FieldType::kDuration:
      if (text != nullptr) {
        SHOAL_TRY(duration, parse_duration(*text));
        return FieldValue(std::int64_t{duration.count()});
      }
      break;
    case FieldType::kList:
      if (std::holds_alternative<std::vector<std::string>>(raw)) return raw;
      break;
    case FieldType::kIntegerOrAuto:
      if (integer != nullptr) return raw;
      if (text != nullptr && *text == kAuto) return raw;
      break;
  }
  return invalid_argument("expects " + std::string(expected_kind(field.type)) +
                          ", found " + std::string(kind_of(raw)));
}

}  // namespace

std::string format_value(const Field& field, const FieldValue& value) {
  switch (field.type) {
    case FieldType::kBool:
      return std::get<bool>(value) ? "true" : "false";
    case FieldType::kInteger:
      return std::to_string(std::get<std::int64_t>(value));
    case FieldType::kFloat:
      return format_float(std::get<double>(value));
    case FieldType::kString:
      return toml_string(std::get<std::string>(value));
    case FieldType::kBytes:
      return toml_string(format_byte_size(
          static_cast<std::uint64_t>(std::get<std::int64_t>(value))));
    case FieldType::kDuration:
      return toml_string(format_duration(
          std::chrono::milliseconds(std::get<std::int64_t>(value))));
    case FieldType::kList: {
      std::string list = "[";
      for (const std::string& item :
           std::get<std::vector<std::string>>(value)) {
        if (list.size() > 1) list += ", ";
        list += toml_string(item);
      }
      return list + "]";
    }
    case FieldType::kIntegerOrAuto:
      if (std::holds_alternative<std::string>(value)) return toml_string(kAuto);
      return std::to_string(std::get<std::int64_t>(value));
  }
  return "";
}

std::string allowed_values(const Field& field) {
  switch (field.type) {
    case FieldType::kBool:
      return "true or false";
    case FieldType::kString: {
      std::string names;
      for (const std::string& name : field.allowed) {
        names += (names.empty() ? "" : ", ") + name;
      }
      return names.empty() ? "text" : "one of " + names;
    }
    case FieldType::kList:
      return "a list of strings";
    default:
      break;
  }
  std::string range = format_number(field, field.min) + " to " +
                      format_number(field, field.max);
  if (!field.unit.empty()) range += " " + field.unit;
  if (field.type == FieldType::kIntegerOrAuto) range += " or \"auto\"";
  return range;
}

std::string problem_of(const Field& field, const FieldValue& value) {
  if (field.type == FieldType::kFloat || value.index() == 1) {
    const double number =
        field.type == FieldType::kFloat
            ? std::get<double>(value)
            : static_cast<double>(std::get<std::int64_t>(value));
    // Written so that NaN is out of every range.
    if (!(number >= field.min && number <= field.max)) {
      return "is out of range; allowed is " + allowed_values(field);
    }
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (!is_plain_text(*text)) return kNotPlainText;
    bool known = field.allowed.empty();
    for (const std::string& name : field.allowed) known |= name == *text;
    if (!known) {
      return "is '" + *text + "'; allowed is " + allowed_values(field);
    }
  }
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& item : *list) {
      if (!is_plain_text(item)) return kNotPlainText;
    }
  }
  return field.check ? field.check(value) : "";
}

Result<FieldValue> read_value(const Field& field, const FieldValue& raw) {
  SHOAL_TRY(value, convert(field, raw));
  std::string problem = problem_of(field, value);
  if (!problem.empty()) return invalid_argument(std::move(problem));
  return value;
}

}  // namespace shoal
