#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/weights/import.h"

namespace shoal {

/// Weights that can be fetched and made into a model folder.
struct DownloadableModel {
  std::string name;  ///< of the view and its folder
  std::string architecture;
  std::string url;
  std::string sha256;  ///< 8 to 64 hex digits: the digest's beginning
  std::optional<std::uint64_t> size_bytes;
  std::optional<Preprocessing> preprocessing;
  std::string licence;
};

/// Reads a list of [[model]] tables with the keys name, architecture, url,
/// sha256, licence and, optionally, size_bytes and preprocessing. `where` goes
/// into messages.
/// Errors: kInvalidArgument with the line and the key.
[[nodiscard]] Result<std::vector<DownloadableModel>> parse_manifest(
    std::string_view text, const std::string& where);

/// The same from a file; none: the built-in list.
/// Errors: kNotFound, kIo, kResourceExhausted, kInvalidArgument.
[[nodiscard]] Result<std::vector<DownloadableModel>> read_manifest(
    const std::optional<std::filesystem::path>& file);

}  // namespace shoal
