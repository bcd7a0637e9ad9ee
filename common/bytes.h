#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/result.h"

namespace shoal {

/// Appends fields in the store's and the run files' byte layout: integers and
/// IEEE floats little-endian, strings as u32 length + bytes. Owner-thread.
class ByteWriter {
 public:
  template <typename T>
  ByteWriter& number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
    return *this;
  }
  ByteWriter& string(std::string_view text) {
    number(static_cast<std::uint32_t>(text.size()));
    bytes_.append(text);
    return *this;
  }
  /// `bytes` as they are, without a length.
  ByteWriter& raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what ByteWriter wrote. Reading past the end sets a sticky failure
/// and yields zeros, so that a record is decoded field by field and checked
/// once with finish(). Owner-thread; borrows the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  T number() {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    const std::string_view from = raw(sizeof(T));
    if (from.size() == sizeof(T)) std::memcpy(&value, from.data(), sizeof(T));
    return value;
  }
  std::string string() {
    const auto size = number<std::uint32_t>();
    return std::string(raw(size));
  }
  /// The next `size` bytes, or none when fewer are left.
  std::string_view raw(std::size_t size) {
    if (failed_ || size > bytes_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view head = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return head;
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::size_t remaining() const { return bytes_.size(); }
  /// Errors: kCorruption when something was missing or is left over.
  [[nodiscard]] Result<void> finish(std::string_view what) const {
    if (failed_) return corruption(std::string(what) + " ends too early");
    if (!bytes_.empty()) {
      return corruption(std::string(what) + " has " +
                        std::to_string(bytes_.size()) + " bytes too many");
    }
    return ok();
  }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

}  // namespace shoal
