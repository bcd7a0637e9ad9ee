#include "engine/views/safetensors.h"

#include <cstring>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/file.h"

namespace shoal {
namespace {

using testing::HasSubstr;

/// A file of this header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  return ByteWriter()
      .number(std::uint64_t{header.size()})
      .raw(header)
      .raw(std::string(data_bytes, '\x01'))
      .take();
}

void expect_refused(const std::string& bytes, ErrorCode code,
                    const std::string& message) {
  const auto file = SafetensorsFile::parse(bytes, "the file");
  ASSERT_FALSE(file) << message;
  EXPECT_EQ(file.error().code, code) << file.error().message;
  EXPECT_THAT(file.error().message, HasSubstr(message));
  EXPECT_THAT(file.error().message, HasSubstr("the file"));
}

TEST(Safetensors, ReadsEveryTypeListed) {
  const std::string bytes = file_of(
      R"({"__metadata__": {"format": "pt"},
          "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
          "b": {"dtype": "F16", "shape": [2], "data_offsets": [24, 28]},
          "c": {"dtype": "BF16", "shape": [], "data_offsets": [28, 30]},
          "d": {"dtype": "F64", "shape": [1], "data_offsets": [30, 38]},
          "e": {"dtype": "I64", "shape": [1, 1], "data_offsets": [38, 46]},
          "f": {"dtype": "F32", "shape": [0, 4], "data_offsets": [46, 46]}})",
      46);
  const auto file = SafetensorsFile::parse(bytes, "the file");
  ASSERT_TRUE(file) << file.error().message;
  const auto& tensors = file.value()->tensors();
  ASSERT_EQ(tensors.size(), 6U);
  EXPECT_EQ(tensors.at("a").type, TensorType::kFloat32);
  EXPECT_THAT(tensors.at("a").shape, testing::ElementsAre(2, 3));
  EXPECT_EQ(tensors.at("a").bytes.size(), 24U);
  EXPECT_EQ(tensors.at("b").type, TensorType::kFloat16);
  EXPECT_EQ(tensors.at("c").type, TensorType::kBFloat16);
  EXPECT_TRUE(tensors.at("c").shape.empty());
  EXPECT_EQ(tensors.at("c").bytes.size(), 2U);
  EXPECT_EQ(tensors.at("d").type, TensorType::kFloat64);
  EXPECT_EQ(tensors.at("e").type, TensorType::kInt64);
  EXPECT_TRUE(tensors.at("f").bytes.empty());
  EXPECT_EQ(file.value()->metadata().at("format"), "pt");
}

TEST(Safetensors, WritesWhatItReads) {
  const auto folder = TemporaryFolder::create("shoal-safetensors").value();
  const auto path = folder.path() / "x.safetensors";
  const std::vector<float> values = {1, -2, 3.5F, 4, 5, 6};
  ASSERT_TRUE(write_safetensors(path,
                                {{"z.first", {2, 3}, values.data()},
                                 {"a.second", {2}, values.data()},
                                 {"none", {0}, values.data()}},
                                {{"view", "test"}}));
  const auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const TensorInfo& first = file.value()->tensors().at("z.first");
  EXPECT_THAT(first.shape, testing::ElementsAre(2, 3));
  std::vector<float> read(6);
  std::memcpy(read.data(), first.bytes.data(), first.bytes.size());
  EXPECT_EQ(read, values);
  EXPECT_EQ(file.value()->tensors().at("a.second").bytes,
            first.bytes.substr(0, 8));
  EXPECT_EQ(file.value()->metadata().at("view"), "test");
  EXPECT_EQ(read_file(path, 1000).value().size() % 8, 0U);
}

TEST(Safetensors, RefusesToWriteANameTwice) {
  const auto folder = TemporaryFolder::create("shoal-safetensors").value();
  const float value = 1;
  const auto path = folder.path() / "x.safetensors";
  EXPECT_EQ(
      write_safetensors(path, {{"a", {1}, &value}, {"a", {1}, &value}}, {})
          .error()
          .code,
      ErrorCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Safetensors, FilesThatAreAbsentOrNotFilesAreNamed) {
  const auto folder = TemporaryFolder::create("shoal-safetensors").value();
  EXPECT_EQ(SafetensorsFile::open(folder.path() / "none").error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(SafetensorsFile::open(folder.path()).error().code, ErrorCode::kIo);
  ASSERT_TRUE(write_file_atomically(folder.path() / "empty", ""));
  EXPECT_EQ(SafetensorsFile::open(folder.path() / "empty").error().code,
            ErrorCode::kCorruption);
}

TEST(Safetensors, EveryRuleOfTheFormatIsChecked) {
  const auto corrupt = [](const std::string& header, std::size_t data,
                          const std::string& message) {
    expect_refused(file_of(header, data), ErrorCode::kCorruption, message);
  };
  expect_refused("", ErrorCode::kCorruption, "shorter than its length field");
  expect_refused(std::string(8, '\xff'), ErrorCode::kCorruption, "claims");
  expect_refused(std::string("\x05\0\0\0\0\0\0\0{}", 10),
                 ErrorCode::kCorruption, "claims 5 bytes of 2");
  corrupt("{", 0, "not a JSON object");
  corrupt("[]", 0, "not a JSON object");
  corrupt(R"({"a": 1})", 0, "tensor a");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1]}})", 4, "tensor a");
  corrupt(R"({"a": {"dtype": 7, "shape": [1], "data_offsets": [0, 4]}})", 4,
          "dtype is not a string");
  corrupt(R"({"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}})", 4,
          "shape is not an array");
  corrupt(R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})",
          4, "numbers >= 0");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}})",
          4, "numbers >= 0");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}})", 4,
          "outside the 4 bytes");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", 4,
          "outside");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}})", 4,
          "data_offsets are not two numbers");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}})",
          4, "data_offsets are not two numbers");
  corrupt(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4,
          "needs 8 bytes, its offsets 4");
  corrupt(R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 4, 0],
              "data_offsets": [0, 0]}})",
          4, "larger than the file");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
              "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}})",
          8, "tensor b begins at 2");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", 8,
          "tensor a begins at 4");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 6,
          "2 bytes follow the last tensor");
  corrupt(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
              "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
          4, "tensor a appears twice");
  corrupt(R"({"__metadata__": {"a": 1}})", 0, "__metadata__ a");
  corrupt(R"({"__metadata__": 1})", 0, "__metadata__");
  expect_refused(file_of(R"({"a": {"dtype": "F8_E4M3", "shape": [4],
                  "data_offsets": [0, 4]}})",
                         4),
                 ErrorCode::kUnsupported, "dtype is F8_E4M3");
}

TEST(Safetensors, RandomChangesNeverDoHarm) {
  std::mt19937 random(3);
  const std::string good = file_of(
      R"({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
          "b": {"dtype": "F16", "shape": [2], "data_offsets": [24, 28]}})",
      28);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const auto file = SafetensorsFile::parse(bytes, "the file");
    if (!file) continue;
    for (const auto& [name, tensor] : file.value()->tensors()) {
      EXPECT_GE(tensor.bytes.data(), bytes.data());
      EXPECT_LE(tensor.bytes.data() + tensor.bytes.size(),
                bytes.data() + bytes.size());
    }
  }
  EXPECT_FALSE(SafetensorsFile::parse(file_of(std::string(1'000'000, '['), 0),
                                      "the file"));
}

}  // namespace
}  // namespace shoal
