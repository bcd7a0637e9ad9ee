// shoal-eval: command line and signals; the rest is shoal::eval.

#include <CLI/CLI.hpp>
#include <iostream>

#include "common/version.h"
#include "daemon/eval/command.h"
#include "daemon/eval/stop_signal.h"
#include "engine/views/cnn.h"

int main(int argc, char** argv) {
  CLI::App app("Shoal: batch experiments on labelled images.");
  shoal::eval::CommandOptions options;
  bool features_only = false;
  app.add_option("--data", options.data,
                 "a folder with one folder per class, IDX files, or a CSV of "
                 "path,label")
      ->required();
  app.add_option("--models", options.models, "folder of model folders");
  app.add_option("--views", options.views,
                 "handcrafted views, model folders, or pixels (default: all "
                 "but pixels), with commas between")
      ->delimiter(',');
  app.add_option("--cache", options.cache,
                 "folder where features are kept between runs");
  app.add_option("--out", options.out, "folder of the results")->required();
  app.add_flag("--features-only", features_only,
               "write features/VIEW.npy and index.csv. Required: clustering "
               "methods are not part of this version");
  app.add_option("--limit", options.limit,
                 "so many images, evenly from all; 0: all");
  app.add_option("--threads", options.threads, "0: all hardware threads")
      ->check(CLI::Range(0, 1024));
  app.add_option("--precision", options.precision,
                 "number format of the nets' arithmetic: fp32");
  app.set_version_flag("--version", shoal::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? shoal::eval::kExitDone
                                : shoal::eval::kExitUsage;
  }
  if (!features_only) {
    std::cerr << "shoal-eval: give --features-only: clustering methods are "
                 "not part of this version\n";
    return shoal::eval::kExitUsage;
  }
  const shoal::eval::StopSignal stop;
  shoal::set_compute_threads(options.threads);
  return shoal::eval::run_features(options, stop.flag());
}
