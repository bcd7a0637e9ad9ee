#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/image/image.h"
#include "engine/views/model_folder.h"

namespace shoal::internal {

enum class Precision { kFloat32, kBFloat16, kFloat16 };

/// "fp32", "bf16", "fp16".
std::string to_string(Precision precision);

/// How bytes become a net's input: (value - mean) * scale / std, in the net's
/// channel order. Immutable.
class PixelTransform {
 public:
  explicit PixelTransform(const ModelFolder& model);

  enum class Layout { kInterleaved, kPlanes };

  /// Writes an image's 3 * height * width values, channel by channel of each
  /// pixel, or plane by plane.
  void write(const Image& image, Layout layout, float* out) const;
  /// The same as bfloat16 bits, rounded to the nearest.
  void write(const Image& image, Layout layout, std::uint16_t* out) const;

  [[nodiscard]] int width() const { return width_; }
  [[nodiscard]] int height() const { return height_; }
  [[nodiscard]] bool bgr() const { return bgr_; }
  /// What each byte becomes, for each of the net's channels.
  [[nodiscard]] const std::array<std::array<float, 256>, 3>& table() const {
    return float_;
  }

 private:
  int width_;
  int height_;
  bool bgr_;
  std::array<std::array<float, 256>, 3> float_{};
  std::array<std::array<std::uint16_t, 256>, 3> bfloat_{};
};

/// A net that is ready to run.
class Executor {
 public:
  virtual ~Executor() = default;

  /// @param images  at least one, each of the net's input size
  /// @return (images, d), not checked for finite values
  /// Errors: kResourceExhausted, kInternal.
  /// Thread: owner.
  [[nodiscard]] virtual Result<Matrix> run(
      const std::vector<Image>& images) = 0;

  /// The bytes that activations take, whatever the batch; 0: they are the
  /// library's, and grow with the batch.
  [[nodiscard]] virtual std::size_t arena_bytes() const { return 0; }
};

}  // namespace shoal::internal
