#include <csetjmp>
#include <cstdio>
#include <string>

// jpeglib.h needs FILE and size_t, and decides what jerror.h declares.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "engine/image/internal/decoders.h"

// libjpeg is used directly, because OpenCV's decoder takes damaged data for
// grey pixels and prints the library's warnings.

namespace shoal::internal {
namespace {

/// libjpeg's error state; `base` must be first, the callbacks cast to it.
struct ErrorState {
  jpeg_error_mgr base{};
  std::jmp_buf jump{};
  bool damaged = false;
  ImageProblem problem = ImageProblem::kBroken;
  char message[JMSG_LENGTH_MAX] = {};
};

ErrorState& state_of(j_common_ptr codec) {
  return *reinterpret_cast<ErrorState*>(codec->err);
}

void on_error(j_common_ptr codec) {
  ErrorState& state = state_of(codec);
  if (!state.damaged) codec->err->format_message(codec, state.message);
  state.damaged = true;
  std::longjmp(state.jump, 1);
}

/// Warnings that mean lost pixels count as errors; odd but harmless headers
/// do not.
void on_warning(j_common_ptr codec, int level) {
  if (level >= 0) return;
  ErrorState& state = state_of(codec);
  switch (codec->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_JPEG_EOF:
      state.problem = ImageProblem::kTruncated;
      break;
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
      break;
    default:
      return;
  }
  codec->err->format_message(codec, state.message);
  state.damaged = true;
  std::longjmp(state.jump, 1);
}

void print_nothing(j_common_ptr /*codec*/) {}

struct DestroyAtEnd {
  jpeg_decompress_struct* codec;
  ~DestroyAtEnd() { jpeg_destroy_decompress(codec); }
};

/// Adobe's CMYK as JPEG files hold it: inverted.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, int pixels) {
  for (int i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    for (int channel = 0; channel < 3; ++channel) {
      const unsigned product = unsigned{cmyk[channel]} * cmyk[3];
      rgb[channel] = static_cast<std::uint8_t>((product + 127) / 255);
    }
  }
}

/// False when libjpeg jumped out. Holds no object with a destructor: longjmp
/// would pass it by.
bool read_pixels(jpeg_decompress_struct& codec, ErrorState& state,
                 std::string_view bytes, int divisor, Image& image,
                 std::vector<std::uint8_t>& cmyk_row) {
  if (setjmp(state.jump) != 0) return false;
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, reinterpret_cast<const unsigned char*>(bytes.data()),
               static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&codec, TRUE);
  const bool cmyk =
      codec.jpeg_color_space == JCS_CMYK || codec.jpeg_color_space == JCS_YCCK;
  codec.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  codec.scale_num = 1;
  codec.scale_denom = static_cast<unsigned>(divisor);
  jpeg_start_decompress(&codec);
  image.width = static_cast<int>(codec.output_width);
  image.height = static_cast<int>(codec.output_height);
  const std::size_t stride = std::size_t{codec.output_width} * 3;
  image.rgb.resize(stride * codec.output_height);
  if (cmyk) cmyk_row.resize(std::size_t{codec.output_width} * 4);
  while (codec.output_scanline < codec.output_height) {
    std::uint8_t* target = image.rgb.data() + codec.output_scanline * stride;
    JSAMPROW row = cmyk ? cmyk_row.data() : target;
    jpeg_read_scanlines(&codec, &row, 1);
    if (cmyk) cmyk_to_rgb(row, target, image.width);
  }
  jpeg_finish_decompress(&codec);
  return true;
}

}  // namespace

ImageResult<Image> decode_jpeg(std::string_view bytes, int divisor) {
  ErrorState state;
  jpeg_decompress_struct codec{};
  codec.err = jpeg_std_error(&state.base);
  state.base.error_exit = on_error;
  state.base.emit_message = on_warning;
  state.base.output_message = print_nothing;
  const DestroyAtEnd destroy{&codec};
  Image image;
  std::vector<std::uint8_t> cmyk_row;
  if (!read_pixels(codec, state, bytes, divisor, image, cmyk_row)) {
    return ImageError{state.problem,
                      std::string("JPEG: ") + std::string(state.message)};
  }
  return image;
}

}  // namespace shoal::internal
