#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/views/safetensors.h"

// Whatever the bytes are: an error, or tensors that lie inside them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto file = shoal::SafetensorsFile::parse(bytes, "input");
  if (!file) return 0;
  for (const auto& [name, tensor] : file.value()->tensors()) {
    if (tensor.bytes.data() < bytes.data() ||
        tensor.bytes.data() + tensor.bytes.size() >
            bytes.data() + bytes.size()) {
      std::abort();
    }
  }
  return 0;
}
