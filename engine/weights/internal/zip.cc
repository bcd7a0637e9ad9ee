#include "engine/weights/internal/zip.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <zlib.h>

#include <spdlog/fmt/fmt.h>

#include "common/bytes.h"

namespace shoal::internal {
namespace {

constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64LocatorSignature = 0x07064b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50;
constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64LocatorBytes = 20;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kCentralBytes = 46;
constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kMaxComment = 65'535;
constexpr std::uint16_t kZip64Field = 1;
constexpr std::uint64_t kIn64 = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint16_t kEncrypted = 1;
// torchvision's largest nets have about a thousand.
constexpr std::uint64_t kMaxEntries = 100'000;

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct Entry {
  std::string name;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0;  ///< bytes in the file
  std::uint64_t size = 0;    ///< bytes unpacked
  std::uint64_t offset = 0;  ///< of its local header
};

/// The `size` bytes at `offset`, or none where they are not all there.
std::string_view slice(std::string_view bytes, std::uint64_t offset,
                       std::uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return {};
  return bytes.substr(offset, size);
}

Result<Directory> read_end64(std::string_view bytes, std::size_t end) {
  if (end < kEnd64LocatorBytes) {
    return corruption("its ZIP64 end is missing");
  }
  ByteReader locator(bytes.substr(end - kEnd64LocatorBytes));
  if (locator.number<std::uint32_t>() != kEnd64LocatorSignature) {
    return corruption("its ZIP64 end is missing");
  }
  locator.raw(4);  // number of the disk
  ByteReader record(slice(bytes, locator.number<std::uint64_t>(), kEnd64Bytes));
  if (record.number<std::uint32_t>() != kEnd64Signature) {
    return corruption("its ZIP64 end is not where it says");
  }
  record.raw(28);  // size, versions, disks, entries on this disk
  Directory directory;
  directory.entries = record.number<std::uint64_t>();
  directory.bytes = record.number<std::uint64_t>();
  directory.offset = record.number<std::uint64_t>();
  return directory;
}

Result<Directory> find_directory(std::string_view bytes) {
  if (bytes.size() < kEndBytes) return corruption("it is cut short");
  const std::size_t last = bytes.size() - kEndBytes;
  const std::size_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (std::size_t at = last + 1; at-- > first;) {
    ByteReader end(bytes.substr(at));
    if (end.number<std::uint32_t>() != kEndSignature) continue;
    end.raw(6);  // disks, entries on this disk
    Directory directory;
    directory.entries = end.number<std::uint16_t>();
    directory.bytes = end.number<std::uint32_t>();
    directory.offset = end.number<std::uint32_t>();
    if (end.number<std::uint16_t>() != last - at) continue;
    if (directory.offset == kIn64 || directory.bytes == kIn64 ||
        directory.entries == std::numeric_limits<std::uint16_t>::max()) {
      return read_end64(bytes, at);
    }
    return directory;
  }
  return corruption("it has no directory at its end; it may be cut short");
}

/// Takes from the extra fields what did not fit in 32 bits.
void read_zip64_field(std::string_view extra, Entry& entry) {
  ByteReader fields(extra);
  while (!fields.failed() && fields.remaining() >= 4) {
    const auto kind = fields.number<std::uint16_t>();
    ByteReader field(fields.raw(fields.number<std::uint16_t>()));
    if (kind != kZip64Field) continue;
    for (std::uint64_t* value : {&entry.size, &entry.packed, &entry.offset}) {
      if (*value == kIn64 && field.remaining() >= 8) {
        *value = field.number<std::uint64_t>();
      }
    }
  }
}

Result<Entry> read_entry(ByteReader& directory) {
  if (directory.remaining() < kCentralBytes ||
      directory.number<std::uint32_t>() != kCentralSignature) {
    return corruption("its directory is broken");
  }
  Entry entry;
  directory.raw(4);  // versions
  entry.flags = directory.number<std::uint16_t>();
  entry.method = directory.number<std::uint16_t>();
  directory.raw(4);  // time
  entry.crc = directory.number<std::uint32_t>();
  entry.packed = directory.number<std::uint32_t>();
  entry.size = directory.number<std::uint32_t>();
  const auto name_bytes = directory.number<std::uint16_t>();
  const auto extra_bytes = directory.number<std::uint16_t>();
  const auto comment_bytes = directory.number<std::uint16_t>();
  directory.raw(8);  // disk, attributes
  entry.offset = directory.number<std::uint32_t>();
  entry.name = std::string(directory.raw(name_bytes));
  const std::string_view extra = directory.raw(extra_bytes);
  directory.raw(comment_bytes);
  if (directory.failed()) return corruption("its directory is cut short");
  read_zip64_field(extra, entry);
  return entry;
}

Result<std::string_view> content(std::string_view bytes, const Entry& entry) {
  const std::string_view header = slice(bytes, entry.offset, kLocalBytes);
  ByteReader local(header);
  if (local.number<std::uint32_t>() != kLocalSignature) {
    return corruption("its header is not where the directory says");
  }
  local.raw(22);  // what the directory says, too
  const std::uint64_t skipped = kLocalBytes +
                                std::uint64_t{local.number<std::uint16_t>()} +
                                local.number<std::uint16_t>();
  const std::string_view data =
      slice(bytes, entry.offset + skipped, entry.size);
  if (data.size() != entry.size) {
    return corruption(
        fmt::format("its {} bytes reach past the end", entry.size));
  }
  if (crc32_z(crc32_z(0, nullptr, 0),
              reinterpret_cast<const Bytef*>(data.data()),
              data.size()) != entry.crc) {
    return corruption("its CRC-32 does not fit: it is damaged");
  }
  return data;
}

}  // namespace

Result<std::map<std::string, ZipEntry>> read_zip(std::string_view bytes) {
  SHOAL_TRY(directory, find_directory(bytes));
  const std::string_view listed =
      slice(bytes, directory.offset, directory.bytes);
  if (listed.size() != directory.bytes || directory.entries > kMaxEntries) {
    return corruption(fmt::format(
        "its directory of {} entries in {} bytes is not where it says",
        directory.entries, directory.bytes));
  }
  std::map<std::string, ZipEntry> entries;
  std::uint64_t total = 0;
  ByteReader reader(listed);
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    SHOAL_TRY(entry, read_entry(reader));
    // Entries may not share bytes: reading them must not cost more than the
    // file has.
    total += std::min<std::uint64_t>(entry.packed, bytes.size() + 1);
    if (total > bytes.size()) {
      return corruption("its entries claim more bytes than it has");
    }
    ZipEntry read;
    read.is_packed = (entry.flags & kEncrypted) != 0 || entry.method != 0 ||
                     entry.packed != entry.size;
    if (!read.is_packed) {
      const auto data = content(bytes, entry);
      if (!data) return data.error().within("entry " + entry.name);
      read.bytes = data.value();
    }
    if (!entries.emplace(entry.name, read).second) {
      return corruption("entry " + entry.name + " appears twice");
    }
  }
  return entries;
}

}  // namespace shoal::internal
