#include "engine/views/internal/executor.h"

#include <cstring>

namespace shoal::internal {
namespace {

/// To the nearest, ties to even. `value` is finite.
std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  return static_cast<std::uint16_t>(rounded >> 16U);
}

template <typename T>
void write_image(const Image& image, PixelTransform::Layout layout, bool bgr,
                 const std::array<std::array<T, 256>, 3>& table, T* out) {
  const std::size_t pixels = image.rgb.size() / 3;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const std::uint8_t* source =
        image.rgb.data() + (bgr ? 2 - channel : channel);
    const std::array<T, 256>& values = table[channel];
    if (layout == PixelTransform::Layout::kPlanes) {
      for (std::size_t i = 0; i < pixels; ++i) *out++ = values[source[3 * i]];
    } else {
      for (std::size_t i = 0; i < pixels; ++i) {
        out[3 * i + channel] = values[source[3 * i]];
      }
    }
  }
}

}  // namespace

std::string to_string(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      break;
    case Precision::kBFloat16:
      return "bf16";
    case Precision::kFloat16:
      return "fp16";
  }
  return "fp32";
}

PixelTransform::PixelTransform(const ModelFolder& model)
    : width_(model.input_width), height_(model.input_height), bgr_(model.bgr) {
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const float value = (static_cast<float>(byte) - model.mean[channel]) *
                          model.scale / model.std[channel];
      float_[channel][byte] = value;
      bfloat_[channel][byte] = to_bfloat16(value);
    }
  }
}

void PixelTransform::write(const Image& image, Layout layout,
                           float* out) const {
  write_image(image, layout, bgr_, float_, out);
}

void PixelTransform::write(const Image& image, Layout layout,
                           std::uint16_t* out) const {
  write_image(image, layout, bgr_, bfloat_, out);
}

}  // namespace shoal::internal
