#include "daemon/eval/command.h"

#include <algorithm>
#include <iostream>
#include <thread>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "daemon/eval/dataset.h"
#include "daemon/eval/features.h"
#include "daemon/eval/views.h"

namespace shoal::eval {
namespace {

constexpr std::size_t kSkippedListed = 10;

void list_skipped(const FeatureSet& features, const Dataset& dataset) {
  if (features.skipped.empty()) return;
  std::cerr << fmt::format("skipped {} of {} images:\n",
                           features.skipped.size(), dataset.size());
  for (std::size_t i = 0; i < std::min(features.skipped.size(), kSkippedListed);
       ++i) {
    std::cerr << "  " << features.skipped[i].name << ": "
              << features.skipped[i].reason << "\n";
  }
  if (features.skipped.size() > kSkippedListed) std::cerr << "  ...\n";
}

Result<void> extract_and_write(const CommandOptions& command,
                               const std::atomic<bool>& stop) {
  SHOAL_TRY(dataset, Dataset::open(command.data, {}, command.limit));
  std::cerr << fmt::format("{}: {} images in {} classes\n", dataset.name(),
                           dataset.size(), dataset.classes().size());
  DeviceOptions device;
  device.precision = command.precision;
  SHOAL_TRY(requests,
            find_views(command.views, command.models, device, dataset));
  FeatureOptions options;
  options.cache = command.cache;
  options.threads = command.threads > 0
                        ? command.threads
                        : static_cast<int>(std::thread::hardware_concurrency());
  options.stop = &stop;
  options.messages = &std::cerr;
  options.terminal = ::isatty(STDERR_FILENO) != 0;
  SHOAL_TRY(features, extract_features(dataset, requests, options));
  list_skipped(features, dataset);
  SHOAL_TRY(write_features(command.out, dataset, features));
  std::cout << fmt::format("{} images, {} views: {} and {}\n",
                           features.items.size(), features.views.size(),
                           (command.out / "features").string(),
                           (command.out / "index.csv").string());
  return ok();
}

}  // namespace

int run_features(const CommandOptions& options, const std::atomic<bool>& stop) {
  const auto done = extract_and_write(options, stop);
  if (done) return kExitDone;
  if (done.error().code == ErrorCode::kCancelled) {
    std::cerr << "shoal-eval: interrupted"
              << (options.cache.empty() ? "; with --cache, finished views are "
                                          "kept for the next run"
                                        : "; finished views are in the cache")
              << "\n";
    return kExitInterrupted;
  }
  std::cerr << "shoal-eval: " << done.error().message << "\n";
  return kExitFailed;
}

}  // namespace shoal::eval
