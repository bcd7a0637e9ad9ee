#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace shoal::internal {

/// One entry of a TIFF directory.
struct TiffEntry {
  std::uint16_t type = 0;
  std::uint32_t count = 0;
  std::size_t values_at = 0;  ///< offset of the first value
};

/// Reads numbers and the first directory of a TIFF structure: a TIFF file or
/// an EXIF block (TIFF 6.0, section 2). Every read is checked: out of range
/// yields none. Borrows the bytes.
class TiffReader {
 public:
  /// None when the bytes do not begin a (classic) TIFF structure.
  static std::optional<TiffReader> open(std::string_view bytes);

  [[nodiscard]] std::optional<std::uint32_t> u16(std::size_t at) const;
  [[nodiscard]] std::optional<std::uint32_t> u32(std::size_t at) const;
  /// True when the first directory lies inside the bytes. (Its values may
  /// not: see values_inside.)
  [[nodiscard]] bool has_directory() const;
  /// True when the values of all the first directory's entries do, too.
  [[nodiscard]] bool values_inside() const;
  /// The entry `tag` of the first directory.
  [[nodiscard]] std::optional<TiffEntry> find(std::uint16_t tag) const;
  /// Value `index` of an entry of type SHORT or LONG.
  [[nodiscard]] std::optional<std::uint32_t> value(const TiffEntry& entry,
                                                   std::uint32_t index) const;

 private:
  [[nodiscard]] TiffEntry entry(std::size_t at) const;
  TiffReader(std::string_view bytes, bool big_endian)
      : bytes_(bytes), big_endian_(big_endian) {}
  std::string_view bytes_;
  bool big_endian_;
};

/// The orientation (1..8) that an EXIF block asks for; 1 when it says
/// nothing usable. `bytes` may begin with "Exif\0\0".
int exif_orientation(std::string_view bytes);

}  // namespace shoal::internal
