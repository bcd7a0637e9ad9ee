#include "common/ids.h"

#include "common/sha256.h"
#include "common/utf8.h"

namespace shoal {

Result<ImageId> ImageId::parse(std::string_view text) {
  if (text.empty()) {
    return invalid_argument("image id is empty; give 1 to 256 bytes of UTF-8");
  }
  if (text.size() > kMaxBytes) {
    return invalid_argument("image id has " + std::to_string(text.size()) +
                            " bytes; at most " + std::to_string(kMaxBytes) +
                            " are allowed");
  }
  if (!is_valid_utf8(text)) {
    return invalid_argument("image id is not valid UTF-8");
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return invalid_argument("image id contains a control character");
    }
  }
  return ImageId(std::string(text));
}

ImageId ImageId::of_bytes(std::string_view bytes) {
  return ImageId(to_hex(sha256(bytes)).substr(0, 32));
}

}  // namespace shoal
