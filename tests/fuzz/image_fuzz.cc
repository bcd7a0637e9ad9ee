#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/image/image.h"

// Whatever the bytes are: a reason, or an image within the limits.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const shoal::ImageLimits limits{250'000, 2'000};
  const auto image =
      shoal::decode_image({reinterpret_cast<const char*>(data), size}, limits);
  if (image && (image.value().rgb.empty() ||
                image.value().rgb.size() > limits.max_pixels * 3)) {
    std::abort();
  }
  return 0;
}
