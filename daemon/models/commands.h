#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/weights/import.h"

namespace shoal {

/// What shoal-models ends with.
enum class ModelsExit {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kNoNetwork = 4,
};

/// What all commands share.
struct ModelsOutput {
  bool as_json = false;  ///< one JSON object a line on standard output
};

struct CheckCommand {
  std::filesystem::path folder;
  std::vector<std::filesystem::path> images;
};

struct ImportCommand {
  std::filesystem::path file;
  std::string architecture;
  std::filesystem::path models;
  std::string preprocessing;  ///< empty: as the release has it
  ImportOptions options;
};

struct PullCommand {
  std::vector<std::string> names;  ///< none: show what can be pulled
  std::filesystem::path models;
  std::optional<std::filesystem::path> manifest;
  bool force = false;
};

// The commands of shoal-models. Results go to standard output, messages to
// standard error.
ModelsExit list_models(const ModelsOutput& output,
                       const std::filesystem::path& models);
ModelsExit check_model(const ModelsOutput& output, const CheckCommand& command);
ModelsExit import_model(const ModelsOutput& output,
                        const ImportCommand& command);
ModelsExit pull_models(const ModelsOutput& output, const PullCommand& command);

}  // namespace shoal
