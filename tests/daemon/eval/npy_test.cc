#include "daemon/eval/npy.h"

#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"

namespace shoal::eval {
namespace {

constexpr std::uint64_t kEnough = 1 << 20;

class Npy : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const {
    return folder_.path() / "x.npy";
  }
  void put(const std::string& bytes) const {
    std::ofstream(file(), std::ios::binary) << bytes;
  }
  [[nodiscard]] std::string bytes() const {
    return read_file(file(), kEnough).value();
  }
  /// A whole file with `header` in format 1.0.
  static std::string with_header(const std::string& header,
                                 std::size_t value_bytes) {
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes.push_back(static_cast<char>(header.size()));
    bytes.push_back('\0');
    return bytes + header + std::string(value_bytes, '\0');
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-npy").value();
};

TEST_F(Npy, WhatIsWrittenIsReadBack) {
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{
           {3, 4}, {1, 1}, {0, 7}, {5, 0}, {100, 33}}) {
    const Matrix values = Matrix::Random(rows, columns);
    ASSERT_TRUE(write_npy(file(), values));
    const auto found = read_npy(file(), kEnough);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found.value().rows(), rows);
    EXPECT_EQ(found.value().cols(), columns);
    EXPECT_EQ(found.value(), values);
  }
}

TEST_F(Npy, ValuesBeginAtAMultipleOf64) {
  ASSERT_TRUE(write_npy(file(), Matrix::Ones(7, 3)));
  EXPECT_EQ((bytes().size() - 7 * 3 * sizeof(float)) % 64, 0U);
}

TEST_F(Npy, ACutFileIsRefused) {
  ASSERT_TRUE(write_npy(file(), Matrix::Ones(7, 3)));
  const std::string whole = bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(whole.substr(0, size));
    const auto found = read_npy(file(), kEnough);
    ASSERT_FALSE(found) << size;
    EXPECT_NE(found.error().code, ErrorCode::kIo) << found.error().message;
  }
  put(whole + "x");
  EXPECT_EQ(read_npy(file(), kEnough).error().code, ErrorCode::kCorruption);
}

TEST_F(Npy, AShapeThatTheFileCannotHoldIsRefused) {
  for (const char* shape :
       {"(4, 3), }", "(4294967296, 4294967296), }", "(0, 1), }",
        "(18446744073709551615, 2), }", "(1, 18446744073709551615), }"}) {
    put(with_header(
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': ") +
            shape,
        8));
    EXPECT_EQ(read_npy(file(), kEnough).error().code, ErrorCode::kCorruption)
        << shape;
  }
}

TEST_F(Npy, OtherTypesOrdersAndDimensionsAreNotRead) {
  for (const char* header :
       {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1), }"}) {
    put(with_header(header, 8));
    EXPECT_EQ(read_npy(file(), kEnough).error().code, ErrorCode::kUnsupported)
        << header;
  }
}

TEST_F(Npy, TheSizeIsBounded) {
  ASSERT_TRUE(write_npy(file(), Matrix::Ones(7, 3)));
  EXPECT_EQ(read_npy(file(), bytes().size() - 1).error().code,
            ErrorCode::kResourceExhausted);
  EXPECT_TRUE(read_npy(file(), bytes().size()));
}

TEST_F(Npy, NoFileIsNotFound) {
  EXPECT_EQ(read_npy(file(), kEnough).error().code, ErrorCode::kNotFound);
}

TEST_F(Npy, RandomChangesNeverDoHarm) {
  ASSERT_TRUE(write_npy(file(), Matrix::Ones(5, 3)));
  const std::string whole = bytes();
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string changed = whole;
    for (int i = 0; i < 3; ++i) {
      changed[random() % 140] = static_cast<char>(random());
    }
    put(changed);
    const auto found = read_npy(file(), kEnough);
    if (found) {
      EXPECT_LE(found.value().size() * 4,
                static_cast<Eigen::Index>(whole.size()));
    }
  }
}

TEST_F(Npy, AFolderThatIsNotThereIsAnError) {
  EXPECT_EQ(write_npy(folder_.path() / "no" / "x.npy", Matrix::Ones(1, 1))
                .error()
                .code,
            ErrorCode::kIo);
}

}  // namespace
}  // namespace shoal::eval
