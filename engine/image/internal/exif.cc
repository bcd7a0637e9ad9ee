#include "engine/image/internal/exif.h"

namespace shoal::internal {
namespace {

constexpr std::uint16_t kShort = 3;
constexpr std::uint16_t kLong = 4;
constexpr std::size_t kEntryBytes = 12;
constexpr std::uint16_t kOrientationTag = 274;

/// Bytes of one value of a TIFF type; unknown types count as bytes.
std::uint64_t value_bytes(std::uint16_t type) {
  switch (type) {
    case kShort:
    case 8:  // signed short
      return 2;
    case kLong:
    case 9:   // signed long
    case 11:  // float
      return 4;
    case 5:   // rational
    case 10:  // signed rational
    case 12:  // double
      return 8;
    default:
      return 1;
  }
}

}  // namespace

std::optional<TiffReader> TiffReader::open(std::string_view bytes) {
  if (bytes.size() < 8) return std::nullopt;
  const std::string_view magic = bytes.substr(0, 4);
  if (magic == std::string_view("II*\0", 4)) return TiffReader(bytes, false);
  if (magic == std::string_view("MM\0*", 4)) return TiffReader(bytes, true);
  return std::nullopt;
}

std::optional<std::uint32_t> TiffReader::u16(std::size_t at) const {
  if (at > bytes_.size() || bytes_.size() - at < 2) return std::nullopt;
  const std::uint32_t first = static_cast<std::uint8_t>(bytes_[at]);
  const std::uint32_t second = static_cast<std::uint8_t>(bytes_[at + 1]);
  return big_endian_ ? (first << 8 | second) : (second << 8 | first);
}

std::optional<std::uint32_t> TiffReader::u32(std::size_t at) const {
  const auto first = u16(at);
  const auto second = u16(at + 2);
  if (!first || !second) return std::nullopt;
  return big_endian_ ? (*first << 16 | *second) : (*second << 16 | *first);
}

bool TiffReader::has_directory() const {
  const auto directory = u32(4);
  if (!directory || *directory < 8) return false;
  const auto count = u16(*directory);
  if (!count || *count == 0) return false;
  const std::size_t end = *directory + 2 + *count * kEntryBytes;
  return end <= bytes_.size();
}

TiffEntry TiffReader::entry(std::size_t at) const {
  TiffEntry entry;
  entry.type = static_cast<std::uint16_t>(*u16(at + 2));
  entry.count = *u32(at + 4);
  // Values of up to four bytes stand in the entry itself.
  const bool inside = entry.count * value_bytes(entry.type) <= 4;
  entry.values_at = inside ? at + 8 : *u32(at + 8);
  return entry;
}

bool TiffReader::values_inside() const {
  if (!has_directory()) return false;
  const std::size_t directory = *u32(4);
  const std::uint32_t count = *u16(directory);
  for (std::uint32_t i = 0; i < count; ++i) {
    const TiffEntry values = entry(directory + 2 + i * kEntryBytes);
    if (values.values_at + values.count * value_bytes(values.type) >
        bytes_.size()) {
      return false;
    }
  }
  return true;
}

std::optional<TiffEntry> TiffReader::find(std::uint16_t tag) const {
  if (!has_directory()) return std::nullopt;
  const std::size_t directory = *u32(4);
  const std::uint32_t count = *u16(directory);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t at = directory + 2 + i * kEntryBytes;
    if (*u16(at) != tag) continue;
    return entry(at);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> TiffReader::value(const TiffEntry& entry,
                                               std::uint32_t index) const {
  if (index >= entry.count) return std::nullopt;
  if (entry.type == kShort) {
    return u16(entry.values_at + std::size_t{index} * 2);
  }
  if (entry.type == kLong) {
    return u32(entry.values_at + std::size_t{index} * 4);
  }
  return std::nullopt;
}

int exif_orientation(std::string_view bytes) {
  constexpr std::string_view kPrefix("Exif\0\0", 6);
  if (bytes.substr(0, kPrefix.size()) == kPrefix) {
    bytes.remove_prefix(kPrefix.size());
  }
  const auto reader = TiffReader::open(bytes);
  if (!reader) return 1;
  const auto entry = reader->find(kOrientationTag);
  if (!entry) return 1;
  const auto value = reader->value(*entry, 0);
  if (!value || *value < 1 || *value > 8) return 1;
  return static_cast<int>(*value);
}

}  // namespace shoal::internal
