// shoal-eval: command line and signals; the rest is shoal::eval.

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>

#include "common/version.h"
#include "daemon/eval/command.h"
#include "daemon/eval/methods.h"
#include "daemon/eval/stop_signal.h"
#include "engine/views/cnn.h"

namespace {

constexpr const char* kAutoClusters = "auto";

std::string method_names() {
  std::string names;
  for (const auto& method : shoal::eval::known_methods()) {
    names += (names.empty() ? "" : ", ") + std::string(method.name);
  }
  return names;
}

/// A complaint, or nothing.
std::string check_clusters(const std::string& text) {
  if (text == kAutoClusters) return "";
  const std::string problem = CLI::Range(1, 1'000'000)(text);
  return problem.empty() ? "" : "it takes auto or a number from 1 on";
}

std::map<std::string, shoal::RowDistance> distances() {
  std::map<std::string, shoal::RowDistance> named;
  for (const auto distance :
       {shoal::RowDistance::kEuclidean, shoal::RowDistance::kCityBlock,
        shoal::RowDistance::kChessboard}) {
    named.emplace(shoal::eval::to_string(distance), distance);
  }
  return named;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shoal: batch experiments on labelled images.");
  shoal::eval::CommandOptions options;
  bool features_only = false;
  std::string clusters;
  app.add_option("--data", options.data,
                 "a folder with one folder per class, IDX files, or a CSV of "
                 "path,label")
      ->required();
  app.add_option("--models", options.models, "folder of model folders");
  app.add_option("--views", options.views,
                 "handcrafted views, model folders, rp_pca or pixels "
                 "(default: all but these two), with commas between")
      ->delimiter(',');
  app.add_option("--cache", options.cache,
                 "folder where features are kept between runs");
  app.add_option("--out", options.out, "folder of the results")->required();
  app.add_flag("--features-only", features_only,
               "write features/VIEW.npy and index.csv, and cluster nothing");
  app.add_option("--methods", options.methods,
                 "clustering methods with commas between: " + method_names())
      ->delimiter(',');
  app.add_option("--clusters", clusters,
                 "K, or auto: estimated from the views (default: the number "
                 "of classes)")
      ->check(check_clusters);
  app.add_option("--seeds", options.seeds,
                 "runs of every method, with the seeds 0..N-1")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--transfer-net", options.transfer_net,
                 "model folder that the tl methods learn with (default: the "
                 "only net of --views)");
  app.add_option("--initial-share", options.initial_share,
                 "Delta: share of each cluster that tl confirms first")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--share-step", options.share_step,
                 "delta: added to Delta in every iteration")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--k-max", options.max_iterations, "iterations of tl, at most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--distance", options.distance,
                 "to a cluster's centre, in tl: euclidean, city-block or "
                 "chessboard (default: euclidean)")
      ->transform(CLI::CheckedTransformer(distances()));
  app.add_option("--max-updates", options.max_updates,
                 "updates of the autoencoder methods' second phase, at most")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--map-images", options.map_images,
                 "most images on a map of the report; 0: no maps")
      ->capture_default_str();
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
  if (features_only == !options.methods.empty()) {
    std::cerr << "shoal-eval: give either --methods or --features-only\n";
    return shoal::eval::kExitUsage;
  }
  options.find_clusters = clusters == kAutoClusters;
  if (!clusters.empty() && !options.find_clusters) {
    options.clusters = std::stoi(clusters);
  }
  const shoal::eval::StopSignal stop;
  shoal::set_compute_threads(options.threads);
  return features_only ? shoal::eval::run_features(options, stop.flag())
                       : shoal::eval::run_methods(options, stop.flag());
}
