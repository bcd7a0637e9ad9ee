#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"
#include "daemon/eval/stream.h"
#include "engine/deep/embedded_clustering.h"
#include "engine/transfer/transfer_clustering.h"

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

  // What run_methods and run_stream read.
  int clusters = 0;            ///< 0: as many as classes
  bool find_clusters = false;  ///< estimate them; `clusters` does not count
  int seeds = 1;

  // What run_methods alone reads.
  std::vector<std::string> methods;
  std::size_t map_images = 2000;  ///< most on a map; 0: no maps
  std::string transfer_net;       ///< empty: the only net of the views
  double initial_share = 0.2;     ///< Delta
  double share_step = 0.1;        ///< delta
  int max_iterations = 20;        ///< k_max
  RowDistance distance = RowDistance::kEuclidean;
  int max_updates = EmbeddedOptions().max_updates;  ///< of dec, idec and dcn

  // What run_stream alone reads.
  std::vector<StreamOrder> orders = StreamOptions().orders;
  std::size_t refine_every = StreamOptions().refine_every;
  /// Of the runs; `clusters` and `seed` do not count.
  RefineConfig refine = default_config().refine;
};

/// Extracts the features and writes them, telling standard error of progress
/// and standard output of the result.
/// @return an exit status
int run_features(const CommandOptions& options, const std::atomic<bool>& stop);

/// Extracts the features, clusters them by the methods and writes
/// results.json, index.csv and report.html; likewise.
/// @return an exit status
int run_methods(const CommandOptions& options, const std::atomic<bool>& stop);

/// Extracts the features, sends them through the daemon's online path and
/// writes stream.json; likewise.
/// @return an exit status
int run_stream(const CommandOptions& options, const std::atomic<bool>& stop);

}  // namespace shoal::eval
