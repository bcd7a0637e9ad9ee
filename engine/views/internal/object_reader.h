#pragma once

#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal::internal {

/// A short JSON form of a value for error messages.
std::string shown(const nlohmann::json& value);

/// Reads the keys of one JSON object. The first fault is kept and given by
/// finish(), so that callers name their keys one after the other; after a
/// fault a reader yields harmless values. `otherwise`: the value of an absent
/// key; none: the key is required. Borrows the object. Owner-thread.
class ObjectReader {
 public:
  /// `prefix` goes before key names in messages ("input.").
  ObjectReader(const nlohmann::json& object, std::string prefix);

  std::string text(const std::string& key,
                   const std::optional<std::string>& otherwise,
                   std::string_view expected = "text");
  /// One of `choices`; the first one is the value of an absent key.
  std::string choice(const std::string& key,
                     std::initializer_list<std::string_view> choices);
  int integer(const std::string& key, std::optional<int> otherwise, int low,
              int high);
  bool boolean(const std::string& key, bool otherwise);
  /// A finite number above 0.
  float positive(const std::string& key, std::optional<float> otherwise);
  std::array<float, 3> three(const std::string& key, bool positive);
  /// The object below `key` (required), an empty one after a fault.
  const nlohmann::json& object(const std::string& key);

  /// Notes a fault at `key`, unless there is one already.
  void fail(const std::string& key, std::string_view found,
            std::string_view expected);
  /// Takes notice of a key whose value is of no interest.
  void ignore(const std::string& key) { asked_.insert(key); }
  /// Makes every key that was neither read nor ignored a fault.
  void refuse_unknown_keys();
  /// Errors: kInvalidArgument, the first fault.
  [[nodiscard]] Result<void> finish() const;

 private:
  const nlohmann::json* find(const std::string& key, bool optional,
                             std::string_view expected);

  const nlohmann::json& object_;
  std::string prefix_;
  std::set<std::string> asked_;
  std::optional<Error> error_;
};

}  // namespace shoal::internal
