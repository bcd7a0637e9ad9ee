#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/result.h"

namespace shoal {

struct DownloadRequest {
  std::string url;  ///< https, or http to this machine
  /// Grows to be the whole file. What is there of an earlier try is kept and
  /// the rest asked for.
  std::filesystem::path file;
  std::string sha256;  ///< hex digits with which the digest begins
  std::optional<std::uint64_t> size_bytes;
  std::uint64_t max_bytes = std::uint64_t{4} << 30;
  /// Called now and then with the bytes there and, once known, of the whole.
  std::function<void(std::uint64_t have, std::uint64_t whole)> progress;
};

/// Fetches a file and checks it. A connection that breaks is taken up again
/// where it broke, as long as each try brings something.
/// Errors, all with the address: kInvalidArgument for the address;
/// kUnavailable without a network or answer; kNotFound; kPermissionDenied;
/// kResourceExhausted past `max_bytes`; kStorageFull; kIo; kCorruption for
/// another size or digest, the file being removed.
[[nodiscard]] Result<void> download(const DownloadRequest& request);

}  // namespace shoal
