#include "engine/image/internal/probe.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <zlib.h>

#include <spdlog/fmt/fmt.h>

#include "engine/image/internal/decoders.h"
#include "engine/image/internal/exif.h"
#include "engine/image/internal/heif_boxes.h"

namespace shoal::internal {
namespace {

// Above these OpenCV's decoders refuse, whatever ImageLimits allow.
constexpr std::uint64_t kDecoderMaxPixels = 1ULL << 30;
constexpr std::uint64_t kDecoderMaxSide = 1ULL << 20;
// Progressive JPEGs have about ten scans; each costs a pass over all pixels.
constexpr int kMaxJpegScans = 500;

ImageError truncated(std::string message) {
  return {ImageProblem::kTruncated, std::move(message)};
}
ImageError broken(std::string message) {
  return {ImageProblem::kBroken, std::move(message)};
}
ImageError not_supported(std::string message) {
  return {ImageProblem::kUnsupportedFormat, std::move(message)};
}

// Unchecked reads: callers have compared with bytes.size() before.
std::uint32_t u8(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}
std::uint32_t be16(std::string_view bytes, std::size_t at) {
  return u8(bytes, at) << 8 | u8(bytes, at + 1);
}
std::uint32_t be32(std::string_view bytes, std::size_t at) {
  return be16(bytes, at) << 16 | be16(bytes, at + 2);
}
std::uint32_t le16(std::string_view bytes, std::size_t at) {
  return u8(bytes, at + 1) << 8 | u8(bytes, at);
}
std::uint32_t le24(std::string_view bytes, std::size_t at) {
  return u8(bytes, at + 2) << 16 | le16(bytes, at);
}
std::uint32_t le32(std::string_view bytes, std::size_t at) {
  return le16(bytes, at + 2) << 16 | le16(bytes, at);
}

bool starts_with(std::string_view bytes, std::string_view prefix) {
  return bytes.substr(0, prefix.size()) == prefix;
}

ImageResult<void> set_size(Probe& probe, std::uint64_t width,
                           std::uint64_t height, const ImageLimits& limits) {
  SHOAL_TRY(check_size(probe.info.format, width, height, limits));
  probe.info.width = static_cast<std::uint32_t>(width);
  probe.info.height = static_cast<std::uint32_t>(height);
  return BOOST_OUTCOME_V2_NAMESPACE::success();
}

/// Offset of the next marker byte at or after `from` (the byte after 0xFF),
/// passing over stuffed zeros, fill bytes and restart markers; npos: none.
std::size_t next_jpeg_marker(std::string_view bytes, std::size_t from) {
  for (std::size_t at = from; at + 1 < bytes.size();) {
    at = bytes.find('\xff', at);
    if (at == std::string_view::npos || at + 1 >= bytes.size()) break;
    const std::uint32_t marker = u8(bytes, at + 1);
    const bool restart = marker >= 0xd0 && marker <= 0xd7;
    if (marker == 0xff) {
      ++at;
    } else if (marker == 0 || marker == 1 || restart) {
      at += 2;
    } else {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

// ITU-T T.81 annex B.
ImageResult<Probe> probe_jpeg(std::string_view bytes,
                              const ImageLimits& limits) {
  constexpr std::uint32_t kSoi = 0xd8;
  constexpr std::uint32_t kEoi = 0xd9;
  constexpr std::uint32_t kSos = 0xda;
  constexpr std::uint32_t kApp1 = 0xe1;
  Probe probe;
  probe.info.format = "jpeg";
  int scans = 0;
  std::size_t at = 2;
  for (;;) {
    at = next_jpeg_marker(bytes, at);
    if (at == std::string_view::npos) {
      return truncated("JPEG without its end marker");
    }
    const std::uint32_t marker = u8(bytes, at);
    ++at;
    if (marker == kSoi) continue;
    if (marker == kEoi) {
      if (scans == 0) return broken("JPEG without image data");
      return probe;
    }
    if (bytes.size() - at < 2) return truncated("JPEG ends inside a segment");
    const std::size_t length = be16(bytes, at);
    if (length < 2) return broken("JPEG segment shorter than its length field");
    if (bytes.size() - at < length) {
      return truncated("JPEG ends inside a segment");
    }
    const std::string_view body = bytes.substr(at + 2, length - 2);
    at += length;
    const bool is_frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
                          marker != 0xc8 && marker != 0xcc;
    if (is_frame) {
      if (marker != 0xc0 && marker != 0xc1 && marker != 0xc2 &&
          marker != 0xc9 && marker != 0xca) {
        return not_supported("lossless or hierarchical JPEG is not decoded");
      }
      if (body.size() < 6) return broken("JPEG frame header is too short");
      if (u8(body, 0) != 8) {
        return not_supported(
            fmt::format("JPEG of {} bits a sample is not decoded; 8 bits are",
                        u8(body, 0)));
      }
      SHOAL_TRY(set_size(probe, be16(body, 3), be16(body, 1), limits));
    } else if (marker == kApp1 && starts_with(body, {"Exif\0\0", 6})) {
      probe.orientation = exif_orientation(body);
    } else if (marker == kSos) {
      if (probe.info.width == 0) return broken("JPEG scan before its frame");
      if (++scans > kMaxJpegScans) {
        return broken(fmt::format("JPEG of over {} scans", kMaxJpegScans));
      }
    }
  }
}

// PNG specification (third edition), section 5.
ImageResult<Probe> probe_png(std::string_view bytes,
                             const ImageLimits& limits) {
  Probe probe;
  probe.info.format = "png";
  bool has_data = false;
  for (std::size_t at = 8;;) {
    if (bytes.size() - at < 12) return truncated("PNG ends before IEND");
    const std::size_t length = be32(bytes, at);
    const std::string_view type = bytes.substr(at + 4, 4);
    // The size is judged before the rest: a huge header may come alone.
    if (at == 8) {
      if (type != "IHDR" || length != 13) return broken("PNG without IHDR");
      if (bytes.size() - at < 25) return truncated("PNG ends inside IHDR");
      SHOAL_TRY(
          set_size(probe, be32(bytes, at + 8), be32(bytes, at + 12), limits));
    }
    if (length > 0x7fffffff) return broken("PNG chunk length over 2^31");
    if (bytes.size() - at - 12 < length) {
      return truncated("PNG ends inside a chunk");
    }
    const std::string_view body = bytes.substr(at + 8, length);
    // Bit 5 of the first letter is clear in chunks that decoding needs.
    if ((u8(type, 0) & 0x20) == 0) {
      const auto checksum =
          crc32_z(0, reinterpret_cast<const Bytef*>(type.data()), 4 + length);
      if (checksum != be32(bytes, at + 8 + length)) {
        return broken("PNG chunk with a wrong checksum");
      }
    }
    if (type == "IDAT") has_data = true;
    if (type == "eXIf") probe.orientation = exif_orientation(body);
    if (type == "IEND") {
      if (!has_data) return broken("PNG without image data");
      return probe;
    }
    at += 12 + length;
  }
}

// WebP container specification and RFC 6386 section 9.1 (VP8), the lossless
// bitstream specification section 3 (VP8L).
ImageResult<Probe> probe_webp(std::string_view bytes,
                              const ImageLimits& limits) {
  Probe probe;
  probe.info.format = "webp";
  const std::uint64_t end = std::uint64_t{le32(bytes, 4)} + 8;
  if (bytes.size() < 30) return truncated("WebP ends inside its header");
  const std::string_view first = bytes.substr(12, 4);
  if (first == "VP8X") {
    SHOAL_TRY(
        set_size(probe, le24(bytes, 24) + 1, le24(bytes, 27) + 1, limits));
  } else if (first == "VP8L") {
    if (u8(bytes, 20) != 0x2f)
      return broken("WebP with a wrong VP8L signature");
    const std::uint32_t bits = le32(bytes, 21);
    SHOAL_TRY(set_size(probe, (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1,
                       limits));
  } else if (first == "VP8 ") {
    if (bytes.substr(23, 3) != std::string_view("\x9d\x01\x2a", 3)) {
      return broken("WebP with a wrong VP8 start code");
    }
    SHOAL_TRY(set_size(probe, le16(bytes, 26) & 0x3fff,
                       le16(bytes, 28) & 0x3fff, limits));
  } else {
    return broken("WebP whose first chunk is none of VP8, VP8L, VP8X");
  }
  if (end > bytes.size()) return truncated("WebP ends before its RIFF size");
  for (std::uint64_t at = 12; at + 8 <= end;) {
    const std::uint64_t length = le32(bytes, at + 4);
    if (end - at - 8 < length) return truncated("WebP ends inside a chunk");
    if (bytes.substr(at, 4) == "EXIF") {
      probe.orientation = exif_orientation(bytes.substr(at + 8, length));
    }
    at += 8 + length + (length & 1);
  }
  return probe;
}

// TIFF 6.0. Its orientation tag is left to the decoder, which applies it.
ImageResult<Probe> probe_tiff(std::string_view bytes,
                              const ImageLimits& limits) {
  Probe probe;
  probe.info.format = "tiff";
  const auto reader = TiffReader::open(bytes);
  if (!reader) return truncated("TIFF ends inside its header");
  if (!reader->has_directory()) {
    return truncated("TIFF whose directory lies past its end");
  }
  const auto number = [&](std::uint16_t tag) -> std::uint32_t {
    const auto entry = reader->find(tag);
    return entry ? reader->value(*entry, 0).value_or(0) : 0;
  };
  SHOAL_TRY(set_size(probe, number(256), number(257), limits));
  if (!reader->values_inside()) {
    return truncated("TIFF whose directory's values lie past its end");
  }
  // Strips (273, 279) or tiles (324, 325): where the pixels are.
  bool has_data = false;
  for (const auto& [offsets_tag, counts_tag] :
       {std::pair<std::uint16_t, std::uint16_t>{273, 279}, {324, 325}}) {
    const auto offsets = reader->find(offsets_tag);
    const auto counts = reader->find(counts_tag);
    if (!offsets || !counts) continue;
    has_data = true;
    for (std::uint32_t i = 0; i < offsets->count; ++i) {
      const auto offset = reader->value(*offsets, i);
      const auto count = reader->value(*counts, i);
      if (!offset || !count || std::uint64_t{*offset} + *count > bytes.size()) {
        return truncated("TIFF whose pixels lie past its end");
      }
    }
  }
  if (!has_data) return broken("TIFF without strips or tiles");
  return probe;
}

// BITMAPFILEHEADER and the headers of Windows GDI.
ImageResult<Probe> probe_bmp(std::string_view bytes,
                             const ImageLimits& limits) {
  Probe probe;
  probe.info.format = "bmp";
  if (bytes.size() < 26) return truncated("BMP ends inside its header");
  const std::uint32_t header_bytes = le32(bytes, 14);
  const std::uint64_t data_at = le32(bytes, 10);
  std::uint64_t bits = 0;
  std::uint32_t compression = 0;
  std::uint64_t compressed_bytes = 0;
  if (header_bytes == 12) {
    SHOAL_TRY(set_size(probe, le16(bytes, 18), le16(bytes, 20), limits));
    bits = le16(bytes, 24);
  } else if (header_bytes >= 40 && header_bytes <= 1024) {
    // A negative height means rows from top to bottom.
    const auto height = static_cast<std::int32_t>(le32(bytes, 22));
    SHOAL_TRY(set_size(
        probe, le32(bytes, 18),
        static_cast<std::uint64_t>(std::abs(std::int64_t{height})), limits));
    if (bytes.size() < 14 + std::size_t{header_bytes}) {
      return truncated("BMP ends inside its header");
    }
    bits = le16(bytes, 28);
    compression = le32(bytes, 30);
    compressed_bytes = le32(bytes, 34);
  } else {
    return broken("BMP with an unknown header");
  }
  constexpr std::uint32_t kRle8 = 1;
  constexpr std::uint32_t kBitFields = 3;
  if (compression > kBitFields) {
    return not_supported("BMP with a compression that is not decoded");
  }
  constexpr std::uint32_t kRle4 = 2;
  const bool rle = compression == kRle8 || compression == kRle4;
  const std::uint64_t row_bytes = (probe.info.width * bits + 31) / 32 * 4;
  const std::uint64_t data_bytes =
      rle ? compressed_bytes : row_bytes * probe.info.height;
  if (data_at + data_bytes > bytes.size()) {
    return truncated("BMP ends before its last row");
  }
  return probe;
}

/// Offset after a GIF's chain of sub-blocks that starts at `at`; npos when it
/// runs past the end.
std::size_t skip_gif_blocks(std::string_view bytes, std::size_t at) {
  while (at < bytes.size()) {
    const std::size_t length = u8(bytes, at);
    at += 1 + length;
    if (length == 0) return at;
  }
  return std::string_view::npos;
}

// GIF89a specification.
ImageResult<Probe> probe_gif(std::string_view bytes,
                             const ImageLimits& limits) {
  Probe probe;
  probe.info.format = "gif";
  if (bytes.size() < 13) return truncated("GIF ends inside its header");
  SHOAL_TRY(set_size(probe, le16(bytes, 6), le16(bytes, 8), limits));
  const auto palette_bytes = [](std::uint32_t flags) -> std::size_t {
    return (flags & 0x80) != 0 ? std::size_t{3} << ((flags & 7) + 1) : 0;
  };
  bool has_frame = false;
  std::size_t at = 13 + palette_bytes(u8(bytes, 10));
  while (at < bytes.size()) {
    const std::uint32_t block = u8(bytes, at);
    if (block == 0x3b) {  // trailer
      if (!has_frame) return broken("GIF without a frame");
      return probe;
    }
    if (block == 0x21) {  // extension
      at = skip_gif_blocks(bytes, at + 2);
    } else if (block == 0x2c) {  // frame
      if (bytes.size() - at < 11) break;
      if (!has_frame) {
        SHOAL_TRY(check_size("gif", le16(bytes, at + 5), le16(bytes, at + 7),
                             limits));
      }
      has_frame = true;
      at = skip_gif_blocks(bytes, at + 11 + palette_bytes(u8(bytes, at + 9)));
    } else {
      return broken("GIF with an unknown block");
    }
  }
  return truncated("GIF ends before its trailer");
}

ImageResult<Probe> probe_heif(std::string_view bytes, std::string_view format,
                              const ImageLimits& limits) {
  Probe probe;
  probe.info.format = format;
  SHOAL_TRY(check_heif_boxes(bytes, limits));
  SHOAL_TRY(sizes, heif_sizes(bytes));
  const auto side = [](int pixels) {
    return static_cast<std::uint64_t>(std::max(pixels, 0));
  };
  SHOAL_TRY(check_size(format, side(sizes.stored_width),
                       side(sizes.stored_height), limits));
  SHOAL_TRY(set_size(probe, side(sizes.width), side(sizes.height), limits));
  return probe;
}

/// The name of a format that is recognised but not decoded; empty: unknown.
std::string_view undecoded_format(std::string_view bytes) {
  struct Signature {
    std::string_view prefix;
    std::string_view name;
  };
  static constexpr std::array kSignatures = {
      Signature{{"II+\0", 4}, "BigTIFF"},
      Signature{{"MM\0+", 4}, "BigTIFF"},
      Signature{{"\xff\x0a", 2}, "JPEG XL"},
      Signature{{"\0\0\0\x0cJXL ", 8}, "JPEG XL"},
      Signature{{"\0\0\0\x0cjP  ", 8}, "JPEG 2000"},
      Signature{{"\xff\x4f\xff\x51", 4}, "JPEG 2000"},
      Signature{{"8BPS", 4}, "Photoshop"},
      Signature{{"\x76\x2f\x31\x01", 4}, "OpenEXR"},
      Signature{{"#?RADIANCE", 10}, "Radiance HDR"},
      Signature{{"qoif", 4}, "QOI"},
      Signature{{"\0\0\1\0", 4}, "ICO"},
      Signature{{"<svg", 4}, "SVG"},
      Signature{{"P1\n", 3}, "PNM"},
      Signature{{"P2\n", 3}, "PNM"},
      Signature{{"P3\n", 3}, "PNM"},
      Signature{{"P4\n", 3}, "PNM"},
      Signature{{"P5\n", 3}, "PNM"},
      Signature{{"P6\n", 3}, "PNM"},
      Signature{{"P7\n", 3}, "PNM"},
  };
  for (const Signature& signature : kSignatures) {
    if (starts_with(bytes, signature.prefix)) return signature.name;
  }
  return {};
}

}  // namespace

ImageResult<void> check_size(std::string_view format, std::uint64_t width,
                             std::uint64_t height, const ImageLimits& limits) {
  if (width == 0 || height == 0) {
    return broken(
        fmt::format("{} image of {} x {} pixels", format, width, height));
  }
  const std::uint64_t max_side =
      std::min<std::uint64_t>(limits.max_side, kDecoderMaxSide);
  const std::uint64_t max_pixels =
      std::min(limits.max_pixels, kDecoderMaxPixels);
  if (width > max_side || height > max_side || width * height > max_pixels) {
    return ImageError{
        ImageProblem::kTooManyPixels,
        fmt::format("{} image of {} x {} pixels; the limits are {} pixels a "
                    "side and {} in all",
                    format, width, height, max_side, max_pixels)};
  }
  return BOOST_OUTCOME_V2_NAMESPACE::success();
}

ImageResult<Probe> probe(std::string_view bytes, const ImageLimits& limits) {
  if (bytes.empty())
    return ImageError{
        ImageProblem::kEmpty,
        "the image has no bytes: send the file's content as the second frame"};
  if (starts_with(bytes, {"\xff\xd8\xff", 3})) return probe_jpeg(bytes, limits);
  if (starts_with(bytes, {"\x89PNG\r\n\x1a\n", 8})) {
    return probe_png(bytes, limits);
  }
  if (starts_with(bytes, "RIFF") && bytes.size() >= 12 &&
      bytes.substr(8, 4) == "WEBP") {
    return probe_webp(bytes, limits);
  }
  if (starts_with(bytes, {"II*\0", 4}) || starts_with(bytes, {"MM\0*", 4})) {
    return probe_tiff(bytes, limits);
  }
  if (starts_with(bytes, "GIF87a") || starts_with(bytes, "GIF89a")) {
    return probe_gif(bytes, limits);
  }
  const std::string_view heif = heif_format(bytes);
  if (!heif.empty()) return probe_heif(bytes, heif, limits);
  const std::string_view undecoded = undecoded_format(bytes);
  if (!undecoded.empty()) {
    return not_supported(fmt::format(
        "{} images are not decoded; JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP and "
        "GIF are",
        undecoded));
  }
  // BMP's signature is only two letters, so it comes last and the header's
  // reserved fields must be zero too.
  if (starts_with(bytes, "BM") && (bytes.size() < 10 || le32(bytes, 6) == 0)) {
    return probe_bmp(bytes, limits);
  }
  return ImageError{ImageProblem::kNotAnImage,
                    "the bytes begin like no known image format"};
}

}  // namespace shoal::internal
