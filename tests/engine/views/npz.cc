#include "tests/engine/views/npz.h"

#include <cstring>
#include <regex>
#include <zlib.h>

#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/file.h"

namespace shoal::test {
namespace {

std::string inflated(std::string_view data, std::size_t size) {
  std::string out(size, '\0');
  z_stream stream{};
  constexpr int kRawDeflate = -15;
  EXPECT_EQ(inflateInit2(&stream, kRawDeflate), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  inflateEnd(&stream);
  return out;
}

NpyArray parse_npy(const std::string& npy) {
  NpyArray array;
  const std::size_t header_size = static_cast<std::uint8_t>(npy.at(8)) +
                                  256U * static_cast<std::uint8_t>(npy.at(9));
  const std::string header = npy.substr(10, header_size);
  std::smatch match;
  EXPECT_TRUE(
      std::regex_search(header, match, std::regex("'descr': '([^']*)'")));
  array.type = match[1];
  EXPECT_NE(header.find("'fortran_order': False"), std::string::npos);
  EXPECT_TRUE(
      std::regex_search(header, match, std::regex("'shape': \\(([^)]*)\\)")));
  const std::string shape = match[1];
  const std::regex number("[0-9]+");
  for (auto it = std::sregex_iterator(shape.begin(), shape.end(), number);
       it != std::sregex_iterator(); ++it) {
    array.shape.push_back(std::stoul(it->str()));
  }
  array.bytes = npy.substr(10 + header_size);
  return array;
}

}  // namespace

std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path) {
  std::map<std::string, NpyArray> arrays;
  const auto file = read_file(path, 1ULL << 30);
  EXPECT_TRUE(file) << path;
  if (!file) return arrays;
  const std::string_view bytes = file.value();
  // The central directory is found from the record at the file's end.
  const std::size_t end = bytes.rfind(std::string_view("PK\5\6", 4));
  EXPECT_NE(end, std::string_view::npos) << path;
  if (end == std::string_view::npos) return arrays;
  ByteReader record(bytes.substr(end + 10));
  const auto entries = record.number<std::uint16_t>();
  record.number<std::uint32_t>();
  ByteReader directory(bytes.substr(record.number<std::uint32_t>()));
  for (int i = 0; i < entries; ++i) {
    directory.raw(10);
    const auto method = directory.number<std::uint16_t>();
    directory.raw(8);
    const auto packed_size = directory.number<std::uint32_t>();
    const auto size = directory.number<std::uint32_t>();
    const auto name_size = directory.number<std::uint16_t>();
    const auto extra_size = directory.number<std::uint16_t>();
    const auto comment_size = directory.number<std::uint16_t>();
    directory.raw(8);
    const auto offset = directory.number<std::uint32_t>();
    std::string name(directory.raw(name_size));
    directory.raw(std::size_t{extra_size} + comment_size);
    EXPECT_FALSE(directory.failed()) << path;
    ByteReader local(bytes.substr(offset));
    local.raw(26);
    const auto local_name_size = local.number<std::uint16_t>();
    const auto local_extra_size = local.number<std::uint16_t>();
    local.raw(std::size_t{local_name_size} + local_extra_size);
    const std::string_view packed = local.raw(packed_size);
    EXPECT_FALSE(local.failed()) << path;
    constexpr int kDeflated = 8;
    name.resize(name.size() - std::strlen(".npy"));
    arrays[name] = parse_npy(method == kDeflated ? inflated(packed, size)
                                                 : std::string(packed));
  }
  return arrays;
}

Matrix as_matrix(const NpyArray& array) {
  EXPECT_EQ(array.type, "<f4");
  EXPECT_EQ(array.shape.size(), 2U);
  Matrix matrix(static_cast<Eigen::Index>(array.shape.at(0)),
                static_cast<Eigen::Index>(array.shape.at(1)));
  EXPECT_EQ(array.bytes.size(),
            static_cast<std::size_t>(matrix.size()) * sizeof(float));
  std::memcpy(matrix.data(), array.bytes.data(), array.bytes.size());
  return matrix;
}

std::vector<Image> as_images(const NpyArray& array) {
  EXPECT_EQ(array.type, "|u1");
  EXPECT_EQ(array.shape.size(), 4U);
  EXPECT_EQ(array.shape.at(1), 3U);
  const std::size_t plane = array.shape.at(2) * array.shape.at(3);
  std::vector<Image> images(array.shape.at(0));
  for (std::size_t n = 0; n < images.size(); ++n) {
    images[n].height = static_cast<int>(array.shape.at(2));
    images[n].width = static_cast<int>(array.shape.at(3));
    images[n].rgb.resize(plane * 3);
    for (std::size_t i = 0; i < plane * 3; ++i) {
      images[n].rgb[i] = static_cast<std::uint8_t>(
          array.bytes.at(n * plane * 3 + i % 3 * plane + i / 3));
    }
  }
  return images;
}

}  // namespace shoal::test
