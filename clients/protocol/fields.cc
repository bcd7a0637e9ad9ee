#include "clients/protocol/fields.h"

#include <cmath>

#include "common/utf8.h"

namespace shoal {
namespace {

using nlohmann::json;

/// The value of `key`; null where there is none.
const json* find(const json& map, std::string_view key) {
  const auto at = map.find(key);
  return at == map.end() || at->is_null() ? nullptr : &*at;
}

WireError bad_field(std::string_view key, std::string_view rule,
                    const json& value) {
  return {"bad_field", "'" + std::string(key) + "' must be " +
                           std::string(rule) + ", not " +
                           std::string(value.type_name())};
}

WireResult<ImageId> parse_id(std::string_view key, const json& value) {
  if (!value.is_string()) return bad_field(key, "a string", value);
  Result<ImageId> id = ImageId::parse(value.get_ref<const std::string&>());
  if (id.has_error()) return WireError{"bad_id", id.error().message};
  return std::move(id.value());
}

}  // namespace

WireResult<std::optional<std::uint64_t>> optional_number(const json& map,
                                                         std::string_view key,
                                                         std::uint64_t max) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) {
    return bad_field(key, "an unsigned integer", *value);
  }
  // msgpack writers may store a positive number in a signed form.
  if (!value->is_number_unsigned() && value->get<std::int64_t>() < 0) {
    return WireError{"bad_field",
                     "'" + std::string(key) + "' must not be negative"};
  }
  const auto number = value->get<std::uint64_t>();
  if (number > max) {
    return WireError{"bad_field", "'" + std::string(key) + "' is " +
                                      std::to_string(number) + "; at most " +
                                      std::to_string(max) + " is allowed"};
  }
  return number;
}

WireResult<std::optional<double>> optional_real(const json& map,
                                                std::string_view key) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    return bad_field(key, "a finite number", *value);
  }
  return value->get<double>();
}

WireResult<std::optional<bool>> optional_flag(const json& map,
                                              std::string_view key) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return bad_field(key, "true or false", *value);
  return value->get<bool>();
}

WireResult<std::optional<std::string>> optional_string(const json& map,
                                                       std::string_view key,
                                                       std::size_t max_bytes) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return bad_field(key, "a string", *value);
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > max_bytes) {
    return WireError{"bad_field",
                     "'" + std::string(key) + "' has " +
                         std::to_string(text.size()) + " bytes; at most " +
                         std::to_string(max_bytes) + " are allowed"};
  }
  if (!is_valid_utf8(text)) {
    return WireError{"bad_field",
                     "'" + std::string(key) + "' is not valid UTF-8"};
  }
  return text;
}

WireResult<std::optional<std::string>> optional_bytes(const json& map,
                                                      std::string_view key) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_binary()) {
    const auto& bytes = value->get_binary();
    return std::string(bytes.begin(), bytes.end());
  }
  if (!value->is_string()) return bad_field(key, "binary", *value);
  Result<std::string> bytes =
      base64_decode(value->get_ref<const std::string&>());
  if (bytes.has_error()) {
    return WireError{"bad_field",
                     "'" + std::string(key) + "': " + bytes.error().message};
  }
  return std::move(bytes.value());
}

WireResult<std::optional<ImageId>> optional_id(const json& map,
                                               std::string_view key) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  SHOAL_TRY(id, parse_id(key, *value));
  return std::optional<ImageId>(std::move(id));
}

WireResult<std::optional<std::vector<ImageId>>> optional_ids(
    const json& map, std::string_view key) {
  const json* const value = find(map, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) return bad_field(key, "a list of image ids", *value);
  if (value->empty() || value->size() > kMaxIds) {
    return WireError{"bad_field", "'" + std::string(key) + "' has " +
                                      std::to_string(value->size()) +
                                      " image ids; 1 to " +
                                      std::to_string(kMaxIds) + " are allowed"};
  }
  std::vector<ImageId> ids;
  ids.reserve(value->size());
  for (const json& item : *value) {
    SHOAL_TRY(id, parse_id(key, item));
    ids.push_back(std::move(id));
  }
  return std::optional<std::vector<ImageId>>(std::move(ids));
}

WireError missing_field(std::string_view key) {
  return {"missing_field", "'" + std::string(key) + "' is missing"};
}

WireResult<void> check_version(const json& map) {
  SHOAL_TRY(version, required("v", optional_number(map, "v")));
  if (version != static_cast<std::uint64_t>(kProtocolVersion)) {
    return WireError{"bad_version", "protocol version " +
                                        std::to_string(version) +
                                        "; this side speaks " +
                                        std::to_string(kProtocolVersion)};
  }
  return BOOST_OUTCOME_V2_NAMESPACE::success();
}

}  // namespace shoal
