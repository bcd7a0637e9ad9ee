#include "daemon/eval/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/fmt/fmt.h>

// The format is NEP 1 / numpy.lib.format: magic, version, length of the
// header, a Python dictionary as text, the values.

namespace shoal::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kAlignment = 64;
constexpr std::uint32_t kMaxHeaderBytes = 1 << 16;
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

/// Removes `text` from the front of `rest`, blanks before it too.
bool take(std::string_view& rest, std::string_view text) {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \n"), rest.size()));
  if (rest.substr(0, text.size()) != text) return false;
  rest.remove_prefix(text.size());
  return true;
}

std::optional<std::uint64_t> take_number(std::string_view& rest) {
  take(rest, "");
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc()) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

using Shape = std::pair<std::uint64_t, std::uint64_t>;

/// What numpy.save writes: {'descr': '<f4', 'fortran_order': False,
/// 'shape': (n, d), }
Result<Shape> parse_header(std::string_view header) {
  std::string_view rest = header;
  if (!take(rest, "{") || !take(rest, "'descr':")) {
    return corruption("the header is no NumPy header");
  }
  if (!take(rest, "'<f4'") || !take(rest, ",") ||
      !take(rest, "'fortran_order':") || !take(rest, "False") ||
      !take(rest, ",") || !take(rest, "'shape':") || !take(rest, "(")) {
    return unsupported(
        fmt::format("float32 in C order is read; the header says {}", header));
  }
  const auto rows = take_number(rest);
  const bool comma = take(rest, ",");
  const auto columns = take_number(rest);
  if (!rows || !comma || !columns || !take(rest, ")")) {
    return unsupported(fmt::format(
        "arrays of two dimensions are read; the header says {}", header));
  }
  return Shape{*rows, *columns};
}

Result<Matrix> read_open(std::ifstream& file, std::uint64_t file_bytes) {
  std::array<char, 12> start{};
  file.read(start.data(), 8);
  if (!file || std::string_view(start.data(), 6) != kMagic) {
    return corruption("no NumPy file");
  }
  const int version = start[6];
  if (version < 1 || version > 3) {
    return unsupported(fmt::format("NumPy format {} is not read", version));
  }
  const int length_bytes = version == 1 ? 2 : 4;
  file.read(start.data() + 8, length_bytes);
  std::uint32_t header_bytes = 0;
  std::memcpy(&header_bytes, start.data() + 8,
              static_cast<std::size_t>(length_bytes));
  if (!file || header_bytes > kMaxHeaderBytes) {
    return corruption("the NumPy header is too long");
  }
  std::string header(header_bytes, '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (!file) return corruption("the NumPy header ends too early");
  SHOAL_TRY(shape, parse_header(header));
  const std::uint64_t value_bytes =
      file_bytes - 8 - static_cast<std::uint64_t>(length_bytes) - header_bytes;
  const auto [rows, columns] = shape;
  const std::uint64_t values = value_bytes / sizeof(float);
  const bool fits = rows == 0 || columns == 0
                        ? value_bytes == 0
                        : columns <= values / rows &&
                              rows * columns == values &&
                              value_bytes % sizeof(float) == 0;
  if (!fits) {
    return corruption(fmt::format("{} bytes of values do not make {} x {}",
                                  value_bytes, rows, columns));
  }
  Matrix matrix(static_cast<Eigen::Index>(rows),
                static_cast<Eigen::Index>(columns));
  file.read(reinterpret_cast<char*>(matrix.data()),
            static_cast<std::streamsize>(value_bytes));
  if (!file) return io_error("the values cannot be read");
  return matrix;
}

}  // namespace

Result<void> write_npy(const fs::path& path, MatrixView values) {
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, "
      "{}), }}",
      values.rows(), values.cols());
  const std::size_t start_bytes = kMagic.size() + 4;
  while ((start_bytes + header.size() + 1) % kAlignment != 0) header += ' ';
  header += '\n';
  const auto header_bytes = static_cast<std::uint16_t>(header.size());

  const fs::path temporary = path.string() + ".tmp";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << kMagic << '\1' << '\0';
  file.write(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes);
  file << header;
  for (Eigen::Index row = 0; row < values.rows(); ++row) {
    file.write(reinterpret_cast<const char*>(values.row(row).data()),
               static_cast<std::streamsize>(sizeof(float)) * values.cols());
  }
  file.close();
  std::error_code error;
  if (!file) {
    fs::remove(temporary, error);
    return io_error("write " + path.string() + ": is the disk full?");
  }
  fs::rename(temporary, path, error);
  if (error) {
    return io_error("rename " + temporary.string() + ": " + error.message());
  }
  return ok();
}

Result<Matrix> read_npy(const fs::path& path, std::uint64_t max_bytes) {
  std::error_code error;
  const std::uint64_t file_bytes = fs::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) {
    return not_found("no file " + path.string());
  }
  if (error) return io_error("read " + path.string() + ": " + error.message());
  if (file_bytes > max_bytes) {
    return resource_exhausted(fmt::format("{} has {} bytes; the limit is {}",
                                          path.string(), file_bytes,
                                          max_bytes));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return io_error("open " + path.string());
  auto matrix = read_open(file, file_bytes);
  if (!matrix) return matrix.error().within(path.string());
  return matrix;
}

}  // namespace shoal::eval
