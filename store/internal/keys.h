#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/ids.h"
#include "common/result.h"

namespace shoal::internal {

inline std::uint64_t key_number(std::uint64_t number) { return number; }
template <typename Tag>
std::uint64_t key_number(NumericId<Tag> id) {
  return id.value();
}

inline void append_big_endian(std::string& key, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>((number >> shift) & 0xff));
  }
}

/// The key made of `parts`, each a number or an id: big-endian, so that byte
/// order is numeric order.
template <typename... Parts>
[[nodiscard]] std::string make_key(Parts... parts) {
  std::string key;
  key.reserve(8 * sizeof...(parts));
  (append_big_endian(key, key_number(parts)), ...);
  return key;
}

/// The smallest key above `key`.
[[nodiscard]] inline std::string successor(std::string key) {
  key.push_back('\0');
  return key;
}

/// The `N` numbers of a key. Errors: kCorruption for another length.
template <std::size_t N>
[[nodiscard]] Result<std::array<std::uint64_t, N>> split_key(
    std::string_view key) {
  if (key.size() != 8 * N) {
    return corruption("a key has " + std::to_string(key.size()) +
                      " bytes where " + std::to_string(8 * N) +
                      " are expected");
  }
  std::array<std::uint64_t, N> numbers{};
  for (std::size_t i = 0; i < key.size(); ++i) {
    numbers[i / 8] = numbers[i / 8] << 8 | static_cast<unsigned char>(key[i]);
  }
  return numbers;
}

}  // namespace shoal::internal
