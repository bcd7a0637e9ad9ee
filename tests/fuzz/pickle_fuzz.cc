#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/weights/pickle.h"

// Whatever the bytes are: an error, or values that refer to each other and
// tensors that lie inside their storages.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto pickle =
      shoal::parse_pickle({reinterpret_cast<const char*>(data), size});
  if (!pickle) return 0;
  const shoal::Pickle& p = pickle.value();
  if (p.root >= p.values.size() || p.size_bytes > size) std::abort();
  for (const shoal::PickleValue& value : p.values) {
    for (const std::uint32_t item : value.items) {
      if (item >= p.values.size()) std::abort();
    }
  }
  for (const shoal::PickledTensor& tensor : p.tensors) {
    const std::uint64_t count = p.storages.at(tensor.storage).count;
    std::uint64_t last = static_cast<std::uint64_t>(tensor.offset);
    bool empty = false;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      empty = empty || tensor.shape[i] == 0;
      if (tensor.shape[i] < 1) continue;
      last += static_cast<std::uint64_t>(tensor.shape[i] - 1) *
              static_cast<std::uint64_t>(tensor.strides[i]);
    }
    if (!empty && last >= count) std::abort();
  }
  return 0;
}
