#include "engine/image/internal/heif_boxes.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/image/internal/probe.h"

namespace shoal::internal {
namespace {

/// More than cameras write; each costs a little time.
constexpr std::size_t kMaxItems = 10'000;

ImageError truncated(std::string message) {
  return {ImageProblem::kTruncated, std::move(message)};
}
ImageError broken(std::string message) {
  return {ImageProblem::kBroken, std::move(message)};
}
auto success() { return BOOST_OUTCOME_V2_NAMESPACE::success(); }

/// Reads big-endian numbers. Past the end a sticky failure is set and zeros
/// come. Borrows the bytes.
class BoxReader {
 public:
  explicit BoxReader(std::string_view bytes) : rest_(bytes) {}
  /// The next `size` bytes as a number; 0 to 8 of them.
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (const char byte : raw(size)) {
      value = value << 8 | static_cast<std::uint8_t>(byte);
    }
    return value;
  }
  std::string_view raw(std::uint64_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view head = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return head;
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

struct Box {
  std::string_view type;
  std::string_view body;
};

/// The boxes that fill `bytes` (ISO 14496-12 section 4.2).
ImageResult<std::vector<Box>> boxes_in(std::string_view bytes) {
  std::vector<Box> boxes;
  while (!bytes.empty()) {
    BoxReader reader(bytes);
    std::uint64_t length = reader.number(4);
    Box box;
    box.type = reader.raw(4);
    std::uint64_t header_bytes = 8;
    if (length == 1) {  // a 64-bit length follows
      length = reader.number(8);
      header_bytes = 16;
    } else if (length == 0) {  // up to the end
      length = bytes.size();
    }
    if (reader.failed()) return truncated("HEIF ends inside a box");
    if (length < header_bytes) {
      return broken("HEIF box shorter than its header");
    }
    if (length > bytes.size()) return truncated("HEIF ends inside a box");
    if (boxes.size() == kMaxItems) return broken("HEIF of too many boxes");
    box.body = bytes.substr(header_bytes, length - header_bytes);
    boxes.push_back(box);
    bytes.remove_prefix(length);
  }
  return boxes;
}

/// Reads bits, highest first; past the end zeros come. Borrows the bytes.
class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}
  std::uint32_t bits(std::size_t count) {
    std::uint32_t value = 0;
    for (; count > 0; --count, ++at_) {
      const std::size_t byte = at_ / 8;
      const auto current =
          byte < bytes_.size() ? static_cast<std::uint8_t>(bytes_[byte]) : 0U;
      value = value << 1 | (current >> (7 - at_ % 8) & 1);
    }
    return value;
  }
  void skip(std::size_t count) { at_ += count; }
  /// Exp-Golomb: HEVC's ue(v), AV1's uvlc().
  std::uint32_t exp_golomb() {
    std::size_t zeros = 0;
    while (zeros < 32 && at_ < bytes_.size() * 8 && bits(1) == 0) ++zeros;
    return zeros == 32 ? 0xffffffff : (1U << zeros) - 1 + bits(zeros);
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

/// Errors: kTooManyPixels for a picture that decoding would need more pixels
/// for than the limits allow.
ImageResult<void> check_coded(std::uint64_t width, std::uint64_t height,
                              const ImageLimits& limits) {
  const auto shown = [](std::uint64_t side) {
    return side < kHeifBlockSide ? 1 : side - (kHeifBlockSide - 1);
  };
  return check_size("coded HEIF", shown(width), shown(height), limits);
}

/// H.265 section 7.3.2.2, up to the picture's size.
ImageResult<void> check_hevc_unit(std::string_view unit,
                                  const ImageLimits& limits) {
  constexpr std::uint32_t kSequenceParameters = 33;
  if (unit.size() < 2) return success();
  if ((static_cast<std::uint8_t>(unit[0]) >> 1 & 0x3f) != kSequenceParameters) {
    return success();
  }
  // The size stands near the beginning. 00 00 03 stands for 00 00.
  std::string plain;
  int zeros = 0;
  for (const char byte : unit.substr(2, 256)) {
    if (byte == 3 && zeros >= 2) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    plain.push_back(byte);
  }
  BitReader reader(plain);
  reader.skip(4);
  const std::uint32_t sub_layers = reader.bits(3);
  reader.skip(1 + 96);
  std::vector<std::pair<bool, bool>> present;
  for (std::uint32_t i = 0; i < sub_layers; ++i) {
    const bool profile = reader.bits(1) != 0;
    const bool level = reader.bits(1) != 0;
    present.emplace_back(profile, level);
  }
  if (sub_layers > 0) reader.skip(2 * (8 - std::size_t{sub_layers}));
  for (const auto& [profile, level] : present) {
    reader.skip((profile ? 88U : 0U) + (level ? 8U : 0U));
  }
  reader.exp_golomb();  // the set's number
  constexpr std::uint32_t kFullChroma = 3;
  if (reader.exp_golomb() == kFullChroma) reader.skip(1);
  const std::uint32_t width = reader.exp_golomb();
  const std::uint32_t height = reader.exp_golomb();
  return check_coded(width, height, limits);
}

/// AV1 section 5.5, up to the largest frame's size.
ImageResult<void> check_av1_sequence(std::string_view header,
                                     const ImageLimits& limits) {
  BitReader reader(header);
  reader.skip(3 + 1);
  if (reader.bits(1) != 0) {  // reduced_still_picture_header
    reader.skip(5);
  } else {
    bool decoder_model = false;
    std::size_t delay_bits = 0;
    if (reader.bits(1) != 0) {  // timing_info
      reader.skip(64);
      if (reader.bits(1) != 0) reader.exp_golomb();
      decoder_model = reader.bits(1) != 0;
      if (decoder_model) {
        delay_bits = reader.bits(5) + 1;
        reader.skip(32 + 5 + 5);
      }
    }
    const bool display_delay = reader.bits(1) != 0;
    const std::uint32_t points = reader.bits(5) + 1;
    for (std::uint32_t i = 0; i < points; ++i) {
      reader.skip(12);
      if (reader.bits(5) > 7) reader.skip(1);
      if (decoder_model && reader.bits(1) != 0) reader.skip(2 * delay_bits + 1);
      if (display_delay && reader.bits(1) != 0) reader.skip(4);
    }
  }
  const std::size_t width_bits = reader.bits(4) + 1;
  const std::size_t height_bits = reader.bits(4) + 1;
  const std::uint64_t width = std::uint64_t{reader.bits(width_bits)} + 1;
  const std::uint64_t height = std::uint64_t{reader.bits(height_bits)} + 1;
  return check_coded(width, height, limits);
}

/// AV1 section 5.3: a series of OBUs.
ImageResult<void> check_av1(std::string_view data, const ImageLimits& limits) {
  constexpr std::uint32_t kSequenceHeader = 1;
  while (!data.empty()) {
    BoxReader reader(data);
    const std::uint64_t header = reader.number(1);
    if ((header & 4) != 0) reader.raw(1);
    std::uint64_t size = reader.rest().size();
    if ((header & 2) != 0) {
      size = 0;
      for (int shift = 0; shift < 56; shift += 7) {
        const std::uint64_t byte = reader.number(1);
        size |= (byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) break;
      }
    }
    const std::string_view body = reader.raw(size);
    if (reader.failed()) return broken("AVIF data end inside a unit");
    if ((header >> 3 & 15) == kSequenceHeader) {
      SHOAL_TRY(check_av1_sequence(body, limits));
    }
    data = reader.rest();
  }
  return success();
}

/// HEVC units, each after its length (ISO 14496-15 section 8.3.2).
ImageResult<void> check_hevc(std::string_view data, const ImageLimits& limits) {
  BoxReader reader(data);
  while (!reader.rest().empty()) {
    const std::uint64_t size = reader.number(4);
    const std::string_view unit = reader.raw(size);
    if (reader.failed()) return broken("HEIC data end inside a unit");
    SHOAL_TRY(check_hevc_unit(unit, limits));
  }
  return success();
}

/// The parameter sets of an hvcC box (ISO 14496-15 section 8.3.3.1).
ImageResult<void> check_hvcc(std::string_view body, const ImageLimits& limits) {
  BoxReader reader(body);
  reader.raw(22);
  const std::uint64_t arrays = reader.number(1);
  for (std::uint64_t i = 0; i < arrays && !reader.failed(); ++i) {
    reader.raw(1);
    const std::uint64_t units = reader.number(2);
    for (std::uint64_t j = 0; j < units && !reader.failed(); ++j) {
      SHOAL_TRY(check_hevc_unit(reader.raw(reader.number(2)), limits));
    }
  }
  if (reader.failed()) return broken("HEIC with a short hvcC box");
  return success();
}

/// Grid and overlay (ISO 23008-12 sections 6.6.2.2 and 6.6.2.3): the canvas.
ImageResult<void> check_canvas(std::string_view type, std::string_view data,
                               const ImageLimits& limits) {
  BoxReader reader(data);
  reader.raw(1);
  const std::size_t side_bytes = (reader.number(1) & 1) != 0 ? 4 : 2;
  reader.raw(type == "grid" ? 2 : 8);
  const std::uint64_t width = reader.number(side_bytes);
  const std::uint64_t height = reader.number(side_bytes);
  if (reader.failed()) return broken("HEIF with a short grid or overlay");
  return check_size("HEIF canvas", width, height, limits);
}

/// What a meta box says of the items.
struct Items {
  std::map<std::uint64_t, std::string_view> types;
  std::string_view locations;
  std::string_view inner_data;  ///< idat
};

ImageResult<void> read_types(std::string_view iinf, Items& items) {
  if (iinf.empty()) return broken("HEIF without a list of items");
  BoxReader reader(iinf);
  const bool many = reader.number(1) != 0;
  reader.raw(3);
  reader.number(many ? 4 : 2);
  SHOAL_TRY(entries, boxes_in(reader.rest()));
  for (const Box& entry : entries) {
    BoxReader fields(entry.body);
    const std::uint64_t version = fields.number(1);
    fields.raw(3);
    const std::uint64_t id = fields.number(version < 3 ? 2 : 4);
    fields.raw(2);
    const std::string_view type = fields.raw(4);
    if (entry.type != "infe" || version < 2 || fields.failed()) continue;
    if (!items.types.emplace(id, type).second) {
      return broken("HEIF with two descriptions of an item");
    }
  }
  return success();
}

ImageResult<void> check_item(std::string_view type, std::string_view data,
                             const ImageLimits& limits) {
  const bool coded = type == "hvc1" || type == "av01";
  if (coded && data.empty()) return truncated("HEIF without its image data");
  if (type == "hvc1") return check_hevc(data, limits);
  if (type == "av01") return check_av1(data, limits);
  if (type == "grid" || type == "iovl") {
    return check_canvas(type, data, limits);
  }
  return success();
}

/// The iloc box (ISO 14496-12 section 8.11.3): where each item's data are.
ImageResult<void> check_items(std::string_view bytes, const Items& items,
                              const ImageLimits& limits) {
  BoxReader reader(items.locations);
  const std::uint64_t version = reader.number(1);
  reader.raw(3);
  const std::uint64_t sizes = reader.number(2);
  const std::size_t offset_bytes = sizes >> 12 & 15;
  const std::size_t length_bytes = sizes >> 8 & 15;
  const std::size_t base_bytes = sizes >> 4 & 15;
  const std::size_t index_bytes = version == 0 ? 0 : sizes & 15;
  if (std::max({offset_bytes, length_bytes, base_bytes, index_bytes}) > 8) {
    return broken("HEIF with a malformed iloc box");
  }
  const std::uint64_t count = reader.number(version < 2 ? 2 : 4);
  // Overlapping extents must not make more work than the file has bytes.
  std::uint64_t left = 2 * std::uint64_t{bytes.size()};
  for (std::uint64_t i = 0; i < count && !reader.failed(); ++i) {
    const std::uint64_t id = reader.number(version < 2 ? 2 : 4);
    const bool inside = version > 0 && (reader.number(2) & 15) == 1;
    reader.raw(2);
    const std::uint64_t base = reader.number(base_bytes);
    const std::uint64_t extents = reader.number(2);
    const std::string_view from = inside ? items.inner_data : bytes;
    std::string data;
    for (std::uint64_t j = 0; j < extents && !reader.failed(); ++j) {
      reader.raw(index_bytes);
      const std::uint64_t offset = base + reader.number(offset_bytes);
      const std::uint64_t length = reader.number(length_bytes);
      if (offset > from.size() || length > from.size() - offset) {
        return truncated("HEIF whose image data lie past its end");
      }
      if (length > left) return broken("HEIF whose items overlap");
      left -= length;
      data += from.substr(offset, length);
    }
    const auto type = items.types.find(id);
    if (type != items.types.end() && !reader.failed()) {
      SHOAL_TRY(check_item(type->second, data, limits));
    }
  }
  if (reader.failed()) return broken("HEIF with a short iloc box");
  return success();
}

ImageResult<void> check_properties(std::string_view iprp,
                                   const ImageLimits& limits) {
  SHOAL_TRY(parts, boxes_in(iprp));
  for (const Box& part : parts) {
    if (part.type != "ipco") continue;
    SHOAL_TRY(properties, boxes_in(part.body));
    for (const Box& property : properties) {
      if (property.type == "hvcC") {
        SHOAL_TRY(check_hvcc(property.body, limits));
      } else if (property.type == "av1C" && property.body.size() >= 4) {
        SHOAL_TRY(check_av1(property.body.substr(4), limits));
      }
    }
  }
  return success();
}

/// The only box of a type; empty when there is none. Of two, a decoder may
/// read the other one.
ImageResult<std::string_view> only(const std::vector<Box>& boxes,
                                   std::string_view type) {
  std::string_view body;
  bool found = false;
  for (const Box& box : boxes) {
    if (box.type != type) continue;
    if (found)
      return broken("HEIF with two boxes of type " + std::string(type));
    found = true;
    body = box.body;
  }
  return body;
}

ImageResult<void> check_meta(std::string_view bytes, std::string_view meta,
                             const ImageLimits& limits) {
  if (meta.size() < 4) return broken("HEIF with a short meta box");
  SHOAL_TRY(boxes, boxes_in(meta.substr(4)));
  SHOAL_TRY(types, only(boxes, "iinf"));
  SHOAL_TRY(properties, only(boxes, "iprp"));
  SHOAL_TRY(locations, only(boxes, "iloc"));
  SHOAL_TRY(inner_data, only(boxes, "idat"));
  Items items;
  items.locations = locations;
  items.inner_data = inner_data;
  SHOAL_TRY(read_types(types, items));
  SHOAL_TRY(check_properties(properties, limits));
  return check_items(bytes, items, limits);
}

}  // namespace

std::string_view heif_format(std::string_view bytes) {
  if (bytes.size() < 12 || bytes.substr(4, 4) != "ftyp") return {};
  const std::string_view brand = bytes.substr(8, 4);
  if (brand == "avif" || brand == "avis") return "avif";
  for (const std::string_view heic :
       {"heic", "heix", "heim", "heis", "hevc", "hevx"}) {
    if (brand == heic) return "heic";
  }
  if (brand != "mif1" && brand != "msf1") return {};
  // These brands are of both; the compatible ones tell which.
  const std::size_t end =
      std::min<std::size_t>(BoxReader(bytes).number(4), bytes.size());
  for (std::size_t at = 16; at + 4 <= end; at += 4) {
    if (bytes.substr(at, 4) == "avif") return "avif";
  }
  return "heic";
}

ImageResult<void> check_heif_boxes(std::string_view bytes,
                                   const ImageLimits& limits) {
  SHOAL_TRY(boxes, boxes_in(bytes));
  SHOAL_TRY(meta, only(boxes, "meta"));
  if (!meta.empty()) return check_meta(bytes, meta, limits);
  SHOAL_TRY(movie, only(boxes, "moov"));
  if (movie.data() != nullptr) {
    return ImageError{ImageProblem::kUnsupportedFormat,
                      "HEIF image sequences without a still are not decoded"};
  }
  return truncated("HEIF without its description");
}

}  // namespace shoal::internal
