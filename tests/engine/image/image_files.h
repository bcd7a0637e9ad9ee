#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/image/image.h"

namespace shoal::test {

/// Smooth colours with a white block near the top left corner: every
/// orientation of it looks different, and lossy formats keep it well.
Image sample_image(int width, int height);

/// `image` in the format of an OpenCV extension (".png", ".bmp", ...).
std::string encode(const Image& image, std::string_view extension);
/// A JPEG as above with `segment` put in after its start.
std::string encode_jpeg_with(const Image& image, std::string_view segment);
std::string encode_progressive_jpeg(const Image& image);
std::string encode_grey(int width, int height, std::string_view extension);
/// All pixels of one BGRA colour.
std::string encode_alpha(std::array<std::uint8_t, 4> bgra,
                         std::string_view extension);
/// A PNG of 16 bits a sample, all pixels of one RGB colour.
std::string encode_16_bit_png(std::array<std::uint16_t, 3> rgb);
/// Adobe's inverted CMYK, all pixels of one colour, through libjpeg.
std::string encode_cmyk_jpeg(std::array<std::uint8_t, 4> inverted_cmyk,
                             int width, int height);
/// A TIFF of one RGBA colour whose alpha is not multiplied in.
std::string encode_unassociated_alpha_tiff(std::array<std::uint8_t, 4> rgba);

/// A TIFF with an orientation tag.
std::string encode_tiff_turned(const Image& stored, int orientation);
std::string encode_float_tiff();

/// `image` as HEIC (".heic", x265) or AVIF (".avif", aom). `orientation`, as
/// in EXIF, becomes rotation and mirror properties; `exif`, if any, an item.
std::string encode_heif(const Image& image, std::string_view extension,
                        int orientation = 1, std::string_view exif = {});
/// The same with pixels of one RGBA colour.
std::string encode_heif_alpha(std::array<std::uint8_t, 4> rgba,
                              std::string_view extension);

/// Frames of one colour each.
std::string animated_gif(const std::vector<std::array<std::uint8_t, 3>>& frames,
                         int width, int height);
/// One frame of colour 0 on a larger canvas: index 1 is transparent.
std::string gif_with_transparency(bool interlaced);
std::string animated_webp(
    const std::vector<std::array<std::uint8_t, 3>>& frames, int width,
    int height);

/// An APP1 segment with an orientation; little or big endian.
std::string exif_segment(int orientation, bool big_endian);
/// The TIFF structure inside it.
std::string exif_block(int orientation, bool big_endian);
std::string png_chunk(std::string_view type, std::string_view body);
/// A chunk put in before a PNG's first IDAT.
std::string with_png_chunk(std::string png, std::string_view chunk);
/// A simple WebP rewritten as VP8X with an EXIF chunk.
std::string with_webp_exif(const std::string& webp, const Image& image,
                           std::string_view exif);

/// The largest difference of two images' values; 256 for other sizes.
int largest_difference(const Image& a, const Image& b);

}  // namespace shoal::test
