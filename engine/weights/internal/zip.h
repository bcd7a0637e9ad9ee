#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal::internal {

/// One entry, borrowed from the file.
struct ZipEntry {
  std::string_view bytes;
  bool is_packed = false;  ///< compressed or encrypted: `bytes` is empty
};

/// The entries of a zip file by name. Reads what torch.save writes: one file,
/// ZIP64 or not, entries stored as they are. Every offset and length is
/// checked and so is the CRC-32 of what is stored.
/// Errors: kCorruption with the entry and the rule broken.
/// Source: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3.
Result<std::map<std::string, ZipEntry>> read_zip(std::string_view bytes);

}  // namespace shoal::internal
