#include <cstddef>
#include <cstdint>

#include "engine/weights/internal/torch_file.h"

// Whatever the bytes are, in both layouts: an error, or tensors whose elements
// can be read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const auto read :
       {shoal::internal::read_torch_zip, shoal::internal::read_torch_legacy}) {
    const auto tensors = read(bytes);
    if (!tensors) continue;
    for (const auto& [name, tensor] : tensors.value()) {
      static_cast<void>(shoal::read_values(tensor));
    }
  }
  return 0;
}
