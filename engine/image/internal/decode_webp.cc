#include <memory>
#include <webp/demux.h>

#include "engine/image/internal/decoders.h"

namespace shoal::internal {
namespace {

struct DeleteDecoder {
  void operator()(WebPAnimDecoder* decoder) const {
    WebPAnimDecoderDelete(decoder);
  }
};

}  // namespace

// The animation decoder also reads still images, as animations of one frame.
ImageResult<Image> decode_webp(std::string_view bytes) {
  WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()),
                bytes.size()};
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const std::unique_ptr<WebPAnimDecoder, DeleteDecoder> decoder(
      WebPAnimDecoderNew(&data, &options));
  WebPAnimInfo info{};
  std::uint8_t* rgba = nullptr;
  int timestamp = 0;
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0 ||
      WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp) == 0) {
    return ImageError{ImageProblem::kBroken, "WebP data do not decode"};
  }
  return image_over_white(rgba, static_cast<int>(info.canvas_width),
                          static_cast<int>(info.canvas_height));
}

}  // namespace shoal::internal
