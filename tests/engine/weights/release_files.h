#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "common/file.h"
#include "engine/weights/weights_file.h"

namespace shoal::test {

/// Runs tests/golden/SCRIPT.py ARGUMENTS FOLDER in a fresh folder. None: what
/// the script needs is not installed.
std::optional<TemporaryFolder> run_golden(const std::string& script,
                                          const std::string& arguments = "");

/// Expects `found` to be the float32 tensors of a safetensors file: the same
/// names, shapes and bits.
void expect_tensors(const StoredTensors& found,
                    const std::filesystem::path& expected);

}  // namespace shoal::test

/// `name` becomes the folder that a script made; the test skips without it.
#define SHOAL_GOLDEN_FOLDER(name, ...)                                       \
  const auto name##_made = ::shoal::test::run_golden(__VA_ARGS__);           \
  if (!name##_made) {                                                        \
    GTEST_SKIP() << "needs python3-torchvision and python3-h5py, which are " \
                    "not here";                                              \
  }                                                                          \
  const std::filesystem::path& name = name##_made->path()
