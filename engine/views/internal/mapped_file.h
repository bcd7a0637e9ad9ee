#pragma once

#include <string>
#include <string_view>

#include "common/mapped_file.h"

namespace shoal::internal {

using shoal::MappedFile;

/// The first 16 hex digits of the SHA-256 of `bytes`: a version's hash.
std::string version_hash(std::string_view bytes);

}  // namespace shoal::internal
