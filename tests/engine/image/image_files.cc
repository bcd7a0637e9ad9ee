#include "tests/engine/image/image_files.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

// jpeglib.h needs FILE and size_t.
// clang-format off
#include <jpeglib.h>
// clang-format on
#include <gif_lib.h>
#include <libheif/heif.h>
#include <tiffio.h>
#include <webp/encode.h>
#include <webp/mux.h>
#include <zlib.h>

#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "common/file.h"

namespace shoal::test {
namespace {

std::string encode_mat(const cv::Mat& mat, std::string_view extension) {
  std::vector<std::uint8_t> bytes;
  EXPECT_TRUE(cv::imencode(std::string(extension), mat, bytes));
  return {bytes.begin(), bytes.end()};
}

cv::Mat bgr_of(const Image& image) {
  cv::Mat bgr;
  cv::cvtColor(cv::Mat(image.height, image.width, CV_8UC3,
                       const_cast<std::uint8_t*>(image.rgb.data())),
               bgr, cv::COLOR_RGB2BGR);
  return bgr;
}

void append_le32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>(value >> shift & 0xff));
  }
}

void append_be32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift & 0xff));
  }
}

int append_to_string(GifFileType* gif, const GifByteType* bytes, int count) {
  static_cast<std::string*>(gif->UserData)
      ->append(reinterpret_cast<const char*>(bytes),
               static_cast<std::size_t>(count));
  return count;
}

std::string write_tiff(int width, int height, int channels, int orientation,
                       std::vector<std::uint8_t> pixels) {
  const auto folder = TemporaryFolder::create("shoal-tiff").value();
  const auto path = folder.path() / "image.tif";
  TIFF* tiff = TIFFOpen(path.c_str(), "w");
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, channels);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, orientation);
  TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, height);
  if (channels == 4) {
    const std::uint16_t extra = EXTRASAMPLE_UNASSALPHA;
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
  }
  for (int y = 0; y < height; ++y) {
    TIFFWriteScanline(tiff, pixels.data() + y * width * channels,
                      static_cast<std::uint32_t>(y), 0);
  }
  TIFFClose(tiff);
  return read_file(path, 1 << 20).value();
}

heif_error append_heif(heif_context* /*context*/, const void* bytes,
                       std::size_t size, void* target) {
  static_cast<std::string*>(target)->append(static_cast<const char*>(bytes),
                                            size);
  return {heif_error_Ok, heif_suberror_Unspecified, ""};
}

/// `pixels` of 3 or 4 channels as a file whose data say that they are to be
/// turned by `orientation`.
std::string write_heif(const std::vector<std::uint8_t>& pixels, int width,
                       int height, int channels, std::string_view extension,
                       int orientation, std::string_view exif) {
  heif_context* context = heif_context_alloc();
  heif_encoder* encoder = nullptr;
  heif_context_get_encoder_for_format(
      context,
      extension == ".avif" ? heif_compression_AV1 : heif_compression_HEVC,
      &encoder);
  heif_encoder_set_lossy_quality(encoder, 95);
  heif_image* image = nullptr;
  heif_image_create(width, height, heif_colorspace_RGB,
                    channels == 4 ? heif_chroma_interleaved_RGBA
                                  : heif_chroma_interleaved_RGB,
                    &image);
  heif_image_add_plane(image, heif_channel_interleaved, width, height, 8);
  int stride = 0;
  std::uint8_t* plane =
      heif_image_get_plane(image, heif_channel_interleaved, &stride);
  for (int y = 0; y < height; ++y) {
    std::copy_n(pixels.data() + y * width * channels, width * channels,
                plane + y * stride);
  }
  heif_encoding_options* options = heif_encoding_options_alloc();
  options->image_orientation = static_cast<heif_orientation>(orientation);
  heif_image_handle* handle = nullptr;
  EXPECT_EQ(
      heif_context_encode_image(context, image, encoder, options, &handle).code,
      heif_error_Ok);
  if (!exif.empty()) {
    heif_context_add_exif_metadata(context, handle, exif.data(),
                                   static_cast<int>(exif.size()));
  }
  std::string bytes;
  heif_writer writer{1, append_heif};
  EXPECT_EQ(heif_context_write(context, &writer, &bytes).code, heif_error_Ok);
  heif_image_handle_release(handle);
  heif_encoding_options_free(options);
  heif_image_release(image);
  heif_encoder_release(encoder);
  heif_context_free(context);
  return bytes;
}

}  // namespace

Image sample_image(int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool corner = x < width / 4 && y < height / 4;
      image.rgb.push_back(
          static_cast<std::uint8_t>(corner ? 255 : 200 * x / width));
      image.rgb.push_back(
          static_cast<std::uint8_t>(corner ? 255 : 200 * y / height));
      image.rgb.push_back(corner ? 255 : 60);
    }
  }
  return image;
}

std::string encode(const Image& image, std::string_view extension) {
  return encode_mat(bgr_of(image), extension);
}

std::string encode_jpeg_with(const Image& image, std::string_view segment) {
  std::string bytes = encode(image, ".jpg");
  bytes.insert(2, segment);
  return bytes;
}

std::string encode_progressive_jpeg(const Image& image) {
  std::vector<std::uint8_t> bytes;
  EXPECT_TRUE(cv::imencode(".jpg", bgr_of(image), bytes,
                           {cv::IMWRITE_JPEG_PROGRESSIVE, 1}));
  return {bytes.begin(), bytes.end()};
}

std::string encode_grey(int width, int height, std::string_view extension) {
  cv::Mat grey;
  cv::cvtColor(bgr_of(sample_image(width, height)), grey, cv::COLOR_BGR2GRAY);
  return encode_mat(grey, extension);
}

std::string encode_alpha(std::array<std::uint8_t, 4> bgra,
                         std::string_view extension) {
  return encode_mat(
      cv::Mat(12, 20, CV_8UC4, cv::Scalar(bgra[0], bgra[1], bgra[2], bgra[3])),
      extension);
}

std::string encode_16_bit_png(std::array<std::uint16_t, 3> rgb) {
  return encode_mat(
      cv::Mat(12, 20, CV_16UC3, cv::Scalar(rgb[2], rgb[1], rgb[0])), ".png");
}

std::string encode_cmyk_jpeg(std::array<std::uint8_t, 4> inverted_cmyk,
                             int width, int height) {
  jpeg_compress_struct codec{};
  jpeg_error_mgr errors{};
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&codec, &buffer, &size);
  codec.image_width = static_cast<JDIMENSION>(width);
  codec.image_height = static_cast<JDIMENSION>(height);
  codec.input_components = 4;
  codec.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, 95, TRUE);
  jpeg_start_compress(&codec, TRUE);
  std::vector<std::uint8_t> row;
  for (int x = 0; x < width; ++x) {
    row.insert(row.end(), inverted_cmyk.begin(), inverted_cmyk.end());
  }
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW pixels = row.data();
    jpeg_write_scanlines(&codec, &pixels, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  std::string bytes(reinterpret_cast<const char*>(buffer), size);
  std::free(buffer);
  return bytes;
}

std::string encode_unassociated_alpha_tiff(std::array<std::uint8_t, 4> rgba) {
  constexpr int kWidth = 20;
  constexpr int kHeight = 12;
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < kWidth * kHeight; ++i) {
    pixels.insert(pixels.end(), rgba.begin(), rgba.end());
  }
  return write_tiff(kWidth, kHeight, 4, 1, pixels);
}

std::string encode_tiff_turned(const Image& stored, int orientation) {
  return write_tiff(stored.width, stored.height, 3, orientation, stored.rgb);
}

std::string encode_float_tiff() {
  return encode_mat(cv::Mat(12, 20, CV_32FC3, cv::Scalar(0.1, 0.2, 0.3)),
                    ".tiff");
}

std::string encode_heif(const Image& image, std::string_view extension,
                        int orientation, std::string_view exif) {
  return write_heif(image.rgb, image.width, image.height, 3, extension,
                    orientation, exif);
}

std::string encode_heif_alpha(std::array<std::uint8_t, 4> rgba,
                              std::string_view extension) {
  constexpr int kSide = 64;
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < kSide * kSide; ++i) {
    pixels.insert(pixels.end(), rgba.begin(), rgba.end());
  }
  return write_heif(pixels, kSide, kSide, 4, extension, 1, {});
}

std::string animated_gif(const std::vector<std::array<std::uint8_t, 3>>& frames,
                         int width, int height) {
  std::string bytes;
  int error = 0;
  GifFileType* gif = EGifOpen(&bytes, append_to_string, &error);
  EGifSetGifVersion(gif, true);
  EGifPutScreenDesc(gif, width, height, 8, 0, nullptr);
  std::vector<GifPixelType> row(static_cast<std::size_t>(width), 0);
  for (const auto& color : frames) {
    const std::array<GifColorType, 2> colors = {
        GifColorType{color[0], color[1], color[2]}, GifColorType{}};
    ColorMapObject* map = GifMakeMapObject(2, colors.data());
    EGifPutImageDesc(gif, 0, 0, width, height, false, map);
    GifFreeMapObject(map);
    for (int y = 0; y < height; ++y) EGifPutLine(gif, row.data(), width);
  }
  EGifCloseFile(gif, &error);
  return bytes;
}

std::string gif_with_transparency(bool interlaced) {
  // 8 x 8 canvas, a 4 x 6 frame at (2, 1) whose first column is transparent
  // and whose row y has the grey 10 * y.
  std::string bytes;
  int error = 0;
  GifFileType* gif = EGifOpen(&bytes, append_to_string, &error);
  EGifSetGifVersion(gif, true);
  std::array<GifColorType, 8> colors{};
  for (std::size_t i = 0; i < colors.size(); ++i) {
    const auto grey = static_cast<GifByteType>(10 * i);
    colors[i] = {grey, grey, grey};
  }
  ColorMapObject* map = GifMakeMapObject(8, colors.data());
  EGifPutScreenDesc(gif, 8, 8, 8, 0, map);
  constexpr int kTransparent = 7;
  GraphicsControlBlock control{};
  control.TransparentColor = kTransparent;
  std::array<GifByteType, 4> extension{};
  EGifGCBToExtension(&control, extension.data());
  EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, extension.data());
  EGifPutImageDesc(gif, 2, 1, 4, 6, interlaced, nullptr);
  const std::vector<int> order = interlaced
                                     ? std::vector<int>{0, 4, 2, 1, 3, 5}
                                     : std::vector<int>{0, 1, 2, 3, 4, 5};
  for (const int y : order) {
    const auto grey = static_cast<GifPixelType>(y);
    std::array<GifPixelType, 4> row{kTransparent, grey, grey, grey};
    EGifPutLine(gif, row.data(), 4);
  }
  EGifCloseFile(gif, &error);
  GifFreeMapObject(map);
  return bytes;
}

std::string animated_webp(
    const std::vector<std::array<std::uint8_t, 3>>& frames, int width,
    int height) {
  WebPAnimEncoderOptions options;
  WebPAnimEncoderOptionsInit(&options);
  WebPAnimEncoder* encoder = WebPAnimEncoderNew(width, height, &options);
  WebPConfig config;
  WebPConfigInit(&config);
  config.lossless = 1;
  int timestamp = 0;
  for (const auto& color : frames) {
    std::vector<std::uint8_t> rgb;
    for (int i = 0; i < width * height; ++i) {
      rgb.insert(rgb.end(), color.begin(), color.end());
    }
    WebPPicture picture;
    WebPPictureInit(&picture);
    picture.width = width;
    picture.height = height;
    picture.use_argb = 1;
    WebPPictureImportRGB(&picture, rgb.data(), width * 3);
    EXPECT_NE(WebPAnimEncoderAdd(encoder, &picture, timestamp, &config), 0);
    WebPPictureFree(&picture);
    timestamp += 100;
  }
  WebPAnimEncoderAdd(encoder, nullptr, timestamp, nullptr);
  WebPData data;
  WebPDataInit(&data);
  EXPECT_NE(WebPAnimEncoderAssemble(encoder, &data), 0);
  std::string bytes(reinterpret_cast<const char*>(data.bytes), data.size);
  WebPDataClear(&data);
  WebPAnimEncoderDelete(encoder);
  return bytes;
}

std::string exif_block(int orientation, bool big_endian) {
  std::string block = big_endian ? std::string("MM\0*\0\0\0\x08", 8)
                                 : std::string("II*\0\x08\0\0\0", 8);
  const auto u16 = [&](int value) {
    const char high = static_cast<char>(value >> 8);
    const char low = static_cast<char>(value & 0xff);
    block += big_endian ? std::string{high, low} : std::string{low, high};
  };
  const auto u32 = [&](int value) {
    if (big_endian) {
      u16(0);
      u16(value);
    } else {
      u16(value);
      u16(0);
    }
  };
  u16(1);    // entries
  u16(274);  // orientation
  u16(3);    // SHORT
  u32(1);    // one value
  u16(orientation);
  u16(0);
  u32(0);  // no further directory
  return block;
}

std::string exif_segment(int orientation, bool big_endian) {
  const std::string body =
      std::string("Exif\0\0", 6) + exif_block(orientation, big_endian);
  std::string segment = "\xff\xe1";
  segment.push_back(0);
  segment.push_back(static_cast<char>(body.size() + 2));
  return segment + body;
}

std::string png_chunk(std::string_view type, std::string_view body) {
  std::string chunk;
  append_be32(chunk, static_cast<std::uint32_t>(body.size()));
  chunk += type;
  chunk += body;
  append_be32(chunk, static_cast<std::uint32_t>(crc32_z(
                         0, reinterpret_cast<const Bytef*>(chunk.data()) + 4,
                         chunk.size() - 4)));
  return chunk;
}

std::string with_png_chunk(std::string png, std::string_view chunk) {
  const std::size_t data = png.find("IDAT");
  png.insert(data - 4, chunk);
  return png;
}

std::string with_webp_exif(const std::string& webp, const Image& image,
                           std::string_view exif) {
  std::string body = "WEBPVP8X";
  append_le32(body, 10);
  append_le32(body, 0x08);  // flags: EXIF
  for (const int side : {image.width - 1, image.height - 1}) {
    for (int shift = 0; shift < 24; shift += 8) {
      body.push_back(static_cast<char>(side >> shift & 0xff));
    }
  }
  body += webp.substr(12);
  body += "EXIF";
  append_le32(body, static_cast<std::uint32_t>(exif.size()));
  body += exif;
  if (exif.size() % 2 != 0) body.push_back(0);
  std::string file = "RIFF";
  append_le32(file, static_cast<std::uint32_t>(body.size()));
  return file + body;
}

int largest_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height ||
      a.rgb.size() != b.rgb.size()) {
    return 256;
  }
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) {
    largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  }
  return largest;
}

}  // namespace shoal::test
