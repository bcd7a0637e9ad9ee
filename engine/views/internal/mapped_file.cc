#include "engine/views/internal/mapped_file.h"

#include "common/sha256.h"

namespace shoal::internal {

std::string version_hash(std::string_view bytes) {
  return to_hex(sha256(bytes)).substr(0, 16);
}

}  // namespace shoal::internal
