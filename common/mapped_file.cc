#include "common/mapped_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace shoal {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.value < 0) {
    const int reason = errno;
    if (reason == ENOENT) return not_found("no file " + path.string());
    return errno_error("open " + path.string(), reason);
  }
  struct stat status {};
  if (fstat(file.value, &status) != 0) {
    return errno_error("read " + path.string(), errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return io_error(path.string() + " is not a regular file");
  }
  MappedFile mapped;
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return mapped;  // mmap refuses empty ranges
  void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (start == MAP_FAILED) {
    return errno_error("map " + path.string(), errno);
  }
  mapped.bytes_ = {static_cast<const char*>(start), size};
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
}

}  // namespace shoal
