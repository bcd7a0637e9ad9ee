#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/protocol/codec.h"
#include "common/ids.h"
#include "common/result.h"

namespace shoal {

/// A value, or the error that answers the message it should have been in.
template <typename T>
using WireResult = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    T, WireError, BOOST_OUTCOME_V2_NAMESPACE::policy::terminate>;

/// Most image ids in one request.
inline constexpr std::size_t kMaxIds = 10'000;

// Fields of a decoded message. A key that is absent or null is nothing; a
// value of the wrong type, or out of range, is bad_field. `map` must be a
// map. All thread-safe.

/// A number of 0..`max` without a fraction.
[[nodiscard]] WireResult<std::optional<std::uint64_t>> optional_number(
    const nlohmann::json& map, std::string_view key,
    std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
/// Any finite number.
[[nodiscard]] WireResult<std::optional<double>> optional_real(
    const nlohmann::json& map, std::string_view key);
[[nodiscard]] WireResult<std::optional<bool>> optional_flag(
    const nlohmann::json& map, std::string_view key);
/// UTF-8 of at most `max_bytes`.
[[nodiscard]] WireResult<std::optional<std::string>> optional_string(
    const nlohmann::json& map, std::string_view key, std::size_t max_bytes);
/// Bytes: a binary value, or a base64 string (the form that JSON has).
[[nodiscard]] WireResult<std::optional<std::string>> optional_bytes(
    const nlohmann::json& map, std::string_view key);
/// An image id; bad_id when the text breaks the rules of ImageId.
[[nodiscard]] WireResult<std::optional<ImageId>> optional_id(
    const nlohmann::json& map, std::string_view key);
/// A list of 1..kMaxIds image ids; bad_id as for optional_id.
[[nodiscard]] WireResult<std::optional<std::vector<ImageId>>> optional_ids(
    const nlohmann::json& map, std::string_view key);

/// missing_field.
[[nodiscard]] WireError missing_field(std::string_view key);

/// Turns nothing into missing_field:
/// `SHOAL_TRY(id, required("id", optional_id(map, "id")));`
template <typename T>
[[nodiscard]] WireResult<T> required(std::string_view key,
                                     WireResult<std::optional<T>> field) {
  if (field.has_error()) return field.error();
  if (!field.value().has_value()) return missing_field(key);
  return *std::move(field.value());
}

/// Checks key "v". Codes: missing_field, bad_field, bad_version.
[[nodiscard]] WireResult<void> check_version(const nlohmann::json& map);

}  // namespace shoal
