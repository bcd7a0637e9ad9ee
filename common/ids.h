#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "common/result.h"

namespace shoal {

/// A number with a meaning: no implicit conversion from or to another number
/// or another meaning. 0 is "none" for every kind of id.
template <typename Tag>
class NumericId {
 public:
  constexpr NumericId() = default;
  constexpr explicit NumericId(std::uint64_t value) : value_(value) {}
  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] constexpr bool valid() const { return value_ != 0; }

  friend constexpr bool operator==(NumericId a, NumericId b) {
    return a.value_ == b.value_;
  }
  friend constexpr bool operator!=(NumericId a, NumericId b) {
    return a.value_ != b.value_;
  }
  friend constexpr bool operator<(NumericId a, NumericId b) {
    return a.value_ < b.value_;
  }

 private:
  std::uint64_t value_ = 0;
};

/// Permanent id of a cluster: given once, never reused.
using ClusterId = NumericId<struct ClusterIdTag>;
/// A published (or held) result of a refinement run; grows by one per run.
using EpochId = NumericId<struct EpochIdTag>;
/// The order in which images were stored, from 1; an image's internal key.
using ImageSeq = NumericId<struct ImageSeqTag>;
/// Position of a person's correction in their log, from 1.
using CorrectionSeq = NumericId<struct CorrectionSeqTag>;

/// An image's public name: 1 to 256 bytes of UTF-8 without control
/// characters, chosen by the client or derived from the bytes' SHA-256.
class ImageId {
 public:
  static constexpr std::size_t kMaxBytes = 256;

  ImageId() = default;
  /// Errors: kInvalidArgument, saying which rule `text` breaks.
  static Result<ImageId> parse(std::string_view text);
  /// The first 32 hex digits of the SHA-256 of `bytes`.
  static ImageId of_bytes(std::string_view bytes);

  [[nodiscard]] const std::string& str() const { return text_; }
  friend bool operator==(const ImageId& a, const ImageId& b) {
    return a.text_ == b.text_;
  }
  friend bool operator<(const ImageId& a, const ImageId& b) {
    return a.text_ < b.text_;
  }

 private:
  explicit ImageId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace shoal

template <typename Tag>
struct std::hash<shoal::NumericId<Tag>> {
  std::size_t operator()(shoal::NumericId<Tag> id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value());
  }
};
template <>
struct std::hash<shoal::ImageId> {
  std::size_t operator()(const shoal::ImageId& id) const noexcept {
    return std::hash<std::string>{}(id.str());
  }
};
