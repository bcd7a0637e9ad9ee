#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/views/model_folder.h"

// Whatever the text is: an error with a message, or a usable description.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto model = shoal::parse_model_json(
      {reinterpret_cast<const char*>(data), size}, "/models/input");
  if (model ? model.value().name.empty() || model.value().feature_dim < 1
            : model.error().message.empty()) {
    std::abort();
  }
  return 0;
}
