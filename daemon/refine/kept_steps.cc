#include "daemon/refine/kept_steps.h"

#include <algorithm>
#include <cctype>
#include <system_error>

#include "common/file.h"
#include "common/log.h"
#include "common/sha256.h"

namespace shoal {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 32;

bool is_name(const std::string& name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-';
         });
}

std::string checksum(std::string_view bytes) {
  const Sha256Digest digest = sha256(bytes);
  return {digest.begin(), digest.end()};
}

}  // namespace

std::optional<std::string> KeptSteps::find(const std::string& name) const {
  if (!is_name(name)) return std::nullopt;
  auto read = read_file(folder_ / name, kMaxBytes);
  if (!read) {
    if (read.error().code != ErrorCode::kNotFound) {
      spdlog::warn("event=step_unreadable step={} error={}", name,
                   log_value(read.error().message));
    }
    return std::nullopt;
  }
  std::string& bytes = read.value();
  constexpr std::size_t kDigestBytes = std::tuple_size_v<Sha256Digest>;
  if (bytes.size() < kDigestBytes) return std::nullopt;
  const std::string sum = bytes.substr(bytes.size() - kDigestBytes);
  bytes.resize(bytes.size() - kDigestBytes);
  if (checksum(bytes) != sum) {
    spdlog::warn("event=step_damaged step={} what=\"made anew\"", name);
    return std::nullopt;
  }
  return std::move(bytes);
}

Result<void> KeptSteps::keep(const std::string& name,
                             std::string_view bytes) const {
  if (!is_name(name)) return invalid_argument("a step called '" + name + "'");
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) {
    return io_error("make " + folder_.string() + ": " + error.message());
  }
  return write_file_atomically(folder_ / name,
                               std::string(bytes) + checksum(bytes));
}

}  // namespace shoal
