#include "tests/engine/weights/release_files.h"

#include <cstdlib>
#include <cstring>
#include <sys/wait.h>

#include <gtest/gtest.h>

#include "engine/views/safetensors.h"

namespace shoal::test {

std::optional<TemporaryFolder> run_golden(const std::string& script,
                                          const std::string& arguments) {
  constexpr int kNotInstalled = 77;
  auto folder = TemporaryFolder::create("shoal-weights").value();
  const std::string command = std::string("/usr/bin/python3 -B ") +
                              SHOAL_SOURCE_DIR + "/tests/golden/" + script +
                              ".py " + arguments + " " + folder.path().string();
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotInstalled) {
    return std::nullopt;
  }
  EXPECT_EQ(status, 0) << command;
  return folder;
}

void expect_tensors(const StoredTensors& found,
                    const std::filesystem::path& expected) {
  const auto file = SafetensorsFile::open(expected);
  ASSERT_TRUE(file) << file.error().message;
  for (const auto& [name, tensor] : found) {
    EXPECT_EQ(file.value()->tensors().count(name), 1U) << name << " is new";
  }
  for (const auto& [name, info] : file.value()->tensors()) {
    const auto place = found.find(name);
    ASSERT_NE(place, found.end()) << name << " is missing";
    EXPECT_EQ(place->second.shape, info.shape) << name;
    const auto values = read_values(place->second);
    ASSERT_TRUE(values) << name << ": " << values.error().message;
    ASSERT_EQ(values.value().size() * sizeof(float), info.bytes.size()) << name;
    if (info.bytes.empty()) continue;
    EXPECT_EQ(std::memcmp(values.value().data(), info.bytes.data(),
                          info.bytes.size()),
              0)
        << name;
  }
}

}  // namespace shoal::test
