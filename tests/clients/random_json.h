#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace shoal::test {

inline std::string random_bytes(std::mt19937_64& random, std::size_t most) {
  std::string bytes(random() % (most + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(random() & 255U);
  return bytes;
}

/// Any value that a message can hold, of at most `depth` levels. Strings are
/// UTF-8. @param with_binary  JSON has none
inline nlohmann::json random_value(std::mt19937_64& random, int depth,
                                   bool with_binary) {
  using nlohmann::json;
  switch (random() % (depth > 1 ? 9U : 7U)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return random();
    case 3:
      return -static_cast<std::int64_t>(random() % (1ULL << 62U)) - 1;
    case 4:
      return static_cast<double>(random()) / 3.0;
    case 5:
      return std::string(random() % 40, 'x') + "\u00e4\n";
    case 6: {
      if (!with_binary) return "text";
      const std::string bytes = random_bytes(random, 300);
      return json::binary({bytes.begin(), bytes.end()});
    }
    case 7: {
      json list = json::array();
      for (std::uint64_t i = random() % 20; i > 0; --i) {
        list.push_back(random_value(random, depth - 1, with_binary));
      }
      return list;
    }
    default: {
      json map = json::object();
      for (std::uint64_t i = random() % 20; i > 0; --i) {
        map["k" + std::to_string(random() % 1000)] =
            random_value(random, depth - 1, with_binary);
      }
      return map;
    }
  }
}

inline nlohmann::json random_map(std::mt19937_64& random, bool with_binary) {
  nlohmann::json map = nlohmann::json::object();
  for (std::uint64_t i = random() % 8; i > 0; --i) {
    map["k" + std::to_string(i)] = random_value(random, 5, with_binary);
  }
  return map;
}

/// `bytes` with a few bytes changed, left out, doubled or cut off.
inline std::string mutate(std::mt19937_64& random, std::string bytes) {
  for (std::uint64_t i = 1 + random() % 4; i > 0 && !bytes.empty(); --i) {
    const std::size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<char>(random() & 255U);
        break;
      case 1:
        bytes.erase(at, 1);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, 1 + random() % 8));
        break;
      default:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

}  // namespace shoal::test
