#include <algorithm>
#include <array>
#include <cstring>
#include <gif_lib.h>
#include <memory>
#include <string>

#include "engine/image/internal/decoders.h"
#include "engine/image/internal/probe.h"

namespace shoal::internal {
namespace {

struct CloseGif {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};

ImageError broken(const GifFileType* gif) {
  const char* text = gif == nullptr ? nullptr : GifErrorString(gif->Error);
  return {ImageProblem::kBroken,
          std::string("GIF: ") + (text == nullptr ? "does not decode" : text)};
}

int read_bytes(GifFileType* gif, GifByteType* target, int count) {
  auto& rest = *static_cast<std::string_view*>(gif->UserData);
  const std::size_t size =
      std::min(rest.size(), static_cast<std::size_t>(count));
  std::memcpy(target, rest.data(), size);
  rest.remove_prefix(size);
  return static_cast<int>(size);
}

/// Reads up to the first frame's descriptor. @return its transparent colour
/// index, or NO_TRANSPARENT_COLOR
ImageResult<int> find_first_frame(GifFileType* gif) {
  int transparent = NO_TRANSPARENT_COLOR;
  for (;;) {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &type) == GIF_ERROR) return broken(gif);
    if (type == IMAGE_DESC_RECORD_TYPE) {
      if (DGifGetImageDesc(gif) == GIF_ERROR) return broken(gif);
      return transparent;
    }
    if (type != EXTENSION_RECORD_TYPE) return broken(gif);
    int code = 0;
    GifByteType* block = nullptr;
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) return broken(gif);
    while (block != nullptr) {
      GraphicsControlBlock control{};
      // A block's first byte is its length.
      if (code == GRAPHICS_EXT_FUNC_CODE &&
          DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
        transparent = control.TransparentColor;
      }
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) return broken(gif);
    }
  }
}

/// The order in which an interlaced frame's rows are stored.
std::vector<int> interlaced_rows(int height) {
  struct Pass {
    int first;
    int step;
  };
  constexpr std::array kPasses = {Pass{0, 8}, Pass{4, 8}, Pass{2, 4},
                                  Pass{1, 2}};
  std::vector<int> rows;
  for (const Pass pass : kPasses) {
    for (int row = pass.first; row < height; row += pass.step) {
      rows.push_back(row);
    }
  }
  return rows;
}

}  // namespace

ImageResult<Image> decode_gif(std::string_view bytes,
                              const ImageLimits& limits) {
  int error = 0;
  const std::unique_ptr<GifFileType, CloseGif> gif(
      DGifOpen(&bytes, read_bytes, &error));
  if (gif == nullptr) return broken(nullptr);
  SHOAL_TRY(transparent, find_first_frame(gif.get()));
  const GifImageDesc& frame = gif->Image;
  SHOAL_TRY(check_size("gif", static_cast<std::uint64_t>(frame.Width),
                       static_cast<std::uint64_t>(frame.Height), limits));
  const ColorMapObject* colors =
      frame.ColorMap != nullptr ? frame.ColorMap : gif->SColorMap;
  if (colors == nullptr) {
    return ImageError{ImageProblem::kBroken, "GIF without a palette"};
  }

  Image image;
  image.width = gif->SWidth;
  image.height = gif->SHeight;
  const auto stride = static_cast<std::size_t>(image.width) * 3;
  // What the first frame does not cover shows the white behind.
  image.rgb.assign(stride * static_cast<std::size_t>(image.height), 255);
  const std::vector<int> interlaced =
      frame.Interlace ? interlaced_rows(frame.Height) : std::vector<int>{};
  std::vector<GifPixelType> row(static_cast<std::size_t>(frame.Width));
  for (int i = 0; i < frame.Height; ++i) {
    if (DGifGetLine(gif.get(), row.data(), frame.Width) == GIF_ERROR) {
      return broken(gif.get());
    }
    const int y =
        frame.Top +
        (frame.Interlace ? interlaced[static_cast<std::size_t>(i)] : i);
    if (y >= image.height) continue;
    const int columns = std::min(frame.Width, image.width - frame.Left);
    for (int column = 0; column < columns; ++column) {
      const int index = row[static_cast<std::size_t>(column)];
      if (index == transparent) continue;
      if (index >= colors->ColorCount) {
        return ImageError{ImageProblem::kBroken,
                          "GIF pixel outside its palette"};
      }
      const GifColorType& color = colors->Colors[index];
      std::uint8_t* pixel = image.rgb.data() +
                            static_cast<std::size_t>(y) * stride +
                            static_cast<std::size_t>(frame.Left + column) * 3;
      pixel[0] = color.Red;
      pixel[1] = color.Green;
      pixel[2] = color.Blue;
    }
  }
  return image;
}

}  // namespace shoal::internal
