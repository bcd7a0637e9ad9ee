#include "clients/protocol/codec.h"

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/check.h"

namespace shoal {
namespace {

using nlohmann::json;

/// Builds a value from the parser's events, within the limits of a message.
/// The msgpack parser recurses once per container, and only after this has
/// agreed to open it.
// NOLINTNEXTLINE(bugprone-exception-escape): json's destructor may allocate.
class MapBuilder : public nlohmann::json_sax<json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override {
    return add(value);
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // The library's text without its "[json.exception...] " prefix.
    const std::string_view text = error.what();
    const std::size_t prefix = text.find("] ");
    return fail(prefix == std::string_view::npos ? text
                                                 : text.substr(prefix + 2));
  }

  [[nodiscard]] json& root() { return root_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  bool add(json value) { return place(std::move(value)) != nullptr; }

  bool open(json container) {
    if (open_.size() >= kMaxNesting) {
      return fail("nested deeper than " + std::to_string(kMaxNesting));
    }
    json* const at = place(std::move(container));
    if (at == nullptr) return false;
    open_.push_back(at);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  json* place(json value) {
    if (++values_ > kMaxValues) {
      fail("more than " + std::to_string(kMaxValues) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      if (!value.is_object()) {
        fail("not a map");
        return nullptr;
      }
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    const auto [at, is_new] = parent.emplace(key_, std::move(value));
    if (!is_new) {
      fail("a key is given twice");
      return nullptr;
    }
    return &*at;
  }

  bool fail(std::string_view why) {
    error_ = why;
    return false;
  }

  json root_;
  std::vector<json*> open_;
  std::string key_;
  std::size_t values_ = 0;
  std::string error_;
};

/// A copy of `value` with binary values as base64 strings.
json with_text_only(const json& value) {
  if (value.is_binary()) {
    const auto& bytes = value.get_binary();
    return base64_encode(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  if (!value.is_structured()) return value;
  json copy = value.is_array() ? json::array() : json::object();
  if (value.is_array()) {
    for (const json& item : value) copy.push_back(with_text_only(item));
  } else {
    for (const auto& [key, item] : value.items()) {
      copy.emplace(key, with_text_only(item));
    }
  }
  return copy;
}

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Digit -> value; -1 for a character that is no digit.
constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] =
        static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr std::array<std::int8_t, 256> kBase64Values = make_base64_values();

}  // namespace

Encoding encoding_of(std::string_view frame) {
  return !frame.empty() && frame.front() == '{' ? Encoding::kJson
                                                : Encoding::kMsgpack;
}

Result<json> decode_map(std::string_view frame) {
  const bool is_json = encoding_of(frame) == Encoding::kJson;
  MapBuilder builder;
  const bool parsed = json::sax_parse(
      frame.begin(), frame.end(), &builder,
      is_json ? json::input_format_t::json : json::input_format_t::msgpack);
  if (!parsed) {
    return invalid_argument(std::string("not a ") +
                            (is_json ? "JSON" : "msgpack") +
                            " map: " + builder.error());
  }
  return std::move(builder.root());
}

std::string encode_map(const json& map, Encoding encoding) {
  SHOAL_CHECK(map.is_object(), "a message is a map");
  if (encoding == Encoding::kJson) {
    return with_text_only(map).dump(-1, ' ', false,
                                    json::error_handler_t::replace);
  }
  std::string bytes;
  json::to_msgpack(map, bytes);
  return bytes;
}

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group <<= 8U;
      if (j < left) group |= static_cast<unsigned char>(bytes[i + j]);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text.push_back(j <= left ? kBase64Digits[(group >> (18 - 6 * j)) & 63U]
                               : '=');
    }
  }
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return invalid_argument("base64 text of " + std::to_string(text.size()) +
                            " characters; a multiple of 4 is needed");
  }
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() &&
         text[text.size() - 1 - padding] == '=') {
    ++padding;
  }
  const std::size_t digits = text.size() - padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value =
        i < digits ? kBase64Values[static_cast<unsigned char>(text[i])] : 0;
    if (value < 0) {
      return invalid_argument("character " + std::to_string(i) +
                              " is not base64");
    }
    group = group << 6U | static_cast<std::uint32_t>(value);
    if (i % 4 == 3) {
      bytes.push_back(static_cast<char>(group >> 16U & 255U));
      bytes.push_back(static_cast<char>(group >> 8U & 255U));
      bytes.push_back(static_cast<char>(group & 255U));
      group = 0;
    }
  }
  bytes.resize(bytes.size() - padding);
  // Bits beyond the last byte must be zero, so that one value has one text.
  if (!text.empty() &&
      base64_encode(std::string_view(bytes).substr(
          bytes.size() + padding - 3)) != text.substr(text.size() - 4)) {
    return invalid_argument("base64 text has stray bits at its end");
  }
  return bytes;
}

}  // namespace shoal
