#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace shoal {

enum class FieldType {
  kBool,
  kInteger,
  kFloat,
  kString,
  kBytes,
  kDuration,
  kList,  ///< of strings
  kIntegerOrAuto,
};

/// A field's value. Once read, sizes are integers (bytes), durations integers
/// (milliseconds), and kIntegerOrAuto an integer or the string kAuto.
using FieldValue = std::variant<bool, std::int64_t, double, std::string,
                                std::vector<std::string>>;
inline constexpr const char* kAuto = "auto";

/// All there is to know about one field; made only in fields.cc.
struct Field {
  std::string section;
  std::string key;
  FieldType type = FieldType::kString;
  FieldValue default_value;
  /// Of numbers, sizes and durations, both included.
  double min = 0;
  double max = 0;
  /// The only strings allowed, or empty: any.
  std::vector<std::string> allowed;
  std::string unit;  ///< "images"; empty where the value carries its own
  bool reloads = false;
  std::string doc;
  /// What is wrong with a value of the right type, or "".
  std::function<std::string(const FieldValue&)> check;
  std::function<FieldValue(const Config&)> get;
  std::function<void(Config&, const FieldValue&)> set;

  [[nodiscard]] std::string name() const { return section + "." + key; }
};

struct SectionInfo {
  std::string name;
  std::string doc;
};

/// All sections and fields, in the order of the file.
[[nodiscard]] const std::vector<SectionInfo>& config_sections();
[[nodiscard]] const std::vector<Field>& config_fields();
/// None when there is no such field.
[[nodiscard]] const Field* find_field(std::string_view section,
                                      std::string_view key);

/// Rules between fields: the field at fault ("section.key") and what is wrong.
struct BrokenRule {
  std::string field;
  std::string message;
};
[[nodiscard]] std::vector<BrokenRule> broken_rules(const Config& config);

/// "5s", "[\"hog\"]", "0.99", "\"auto\"": a read value in TOML.
[[nodiscard]] std::string format_value(const Field& field,
                                       const FieldValue& value);
/// "1 to 100 images", "one of auto, on, off", "any text".
[[nodiscard]] std::string allowed_values(const Field& field);

/// What is wrong with a read value, or "".
[[nodiscard]] std::string problem_of(const Field& field,
                                     const FieldValue& value);
/// Reads a value as it stands in a file ("64MiB"). Errors: kInvalidArgument
/// for a wrong type, range or form.
[[nodiscard]] Result<FieldValue> read_value(const Field& field,
                                            const FieldValue& raw);

}  // namespace shoal
