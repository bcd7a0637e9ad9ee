#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace shoal::eval {

/// Exit statuses of shoal-eval.
constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

/// What the command line asks for.
struct CommandOptions {
  std::filesystem::path data;
  std::filesystem::path models;
  std::vector<std::string> views;  ///< none: all there are
  std::filesystem::path cache;
  std::filesystem::path out;
  std::size_t limit = 0;  ///< images; 0: all
  int threads = 0;        ///< 0: all hardware threads
  std::string precision = "fp32";
};

/// Extracts the features and writes them, telling standard error of progress
/// and standard output of the result.
/// @return an exit status
int run_features(const CommandOptions& options, const std::atomic<bool>& stop);

}  // namespace shoal::eval
