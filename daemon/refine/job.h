#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"
#include "config/config.h"
#include "engine/refine/refinement.h"

namespace shoal {

/// What the settings ask of a run.
[[nodiscard]] RefinementOptions refinement_options(const RefineConfig& config);

/// What shoald tells shoal-refine to do, as a JSON file.
struct RefineJob {
  std::filesystem::path checkpoint;  ///< a store of its own, read-only
  std::filesystem::path output;      ///< where the candidate file goes
  std::filesystem::path steps;       ///< folder of KeptSteps
  std::string method;
  std::string version;  ///< of the program that wrote it
  /// ViewKey::text() of the views to learn from.
  std::vector<std::string> views;
  RefinementOptions options;  ///< transfer.net: a position in `views`
  int threads = 1;
  int nice = 0;
  std::uint64_t max_memory = 0;  ///< bytes; 0: no limit
  std::uint64_t cache_bytes = 64ULL << 20;
};

[[nodiscard]] Result<void> write_job(const std::filesystem::path& file,
                                     const RefineJob& job);
/// Errors: kNotFound, kIo, kInvalidArgument naming the key.
[[nodiscard]] Result<RefineJob> read_job(const std::filesystem::path& file);

/// True when both would do the same on one checkpoint, with the same program:
/// all but where files are, and what time, priority and memory the run gets.
[[nodiscard]] bool same_work(const RefineJob& a, const RefineJob& b);

/// Exit statuses of shoal-refine.
inline constexpr int kWorkerDone = 0;
inline constexpr int kWorkerFailed = 1;
inline constexpr int kWorkerUsage = 2;
inline constexpr int kWorkerCancelled = 3;
/// There is nothing to learn from (too few images): the run is skipped.
inline constexpr int kWorkerSkipped = 4;

}  // namespace shoal
