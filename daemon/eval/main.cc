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
constexpr const char* kBothOrders = "both";

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

/// What --order asks for.
std::vector<shoal::eval::StreamOrder> orders_of(const std::string& text) {
  std::vector<shoal::eval::StreamOrder> orders;
  for (const auto order : shoal::eval::StreamOptions().orders) {
    if (text == kBothOrders || text == shoal::eval::to_string(order)) {
      orders.push_back(order);
    }
  }
  return orders;
}

/// Declares --stream and the options that it alone has. Call it last: it keeps
/// --stream apart from the options of the other modes.
void add_stream_options(CLI::App& app, shoal::eval::CommandOptions& options,
                        bool& stream, std::string& order) {
  CLI::Option* flag = app.add_flag(
      "--stream", stream,
      "send the images through the daemon's online path, one after the other, "
      "with relearning runs in between");
  for (const char* other :
       {"--features-only", "--methods", "--initial-share", "--share-step",
        "--k-max", "--distance", "--max-updates", "--map-images"}) {
    flag->excludes(app.get_option(other));
  }
  for (CLI::Option* option :
       {app.add_option("--order", order,
                       "of the images: random, classes (one class after the "
                       "other) or both")
            ->check(CLI::IsMember({"random", "classes", kBothOrders})),
        app.add_option("--refine-every", options.refine_every,
                       "images between two runs")
            ->check(CLI::Range(1, 1'000'000'000)),
        app.add_option("--refine-method", options.refine.method,
                       "method of the runs, as refine.method of the daemon"),
        app.add_option("--transfer-rounds", options.refine.transfer_rounds,
                       "with --transfer-net: rounds of a run after its first")
            ->check(CLI::Range(1, 100)),
        app.add_option("--max-churn", options.refine.max_churn,
                       "a run that moves more is held")
            ->check(CLI::Range(0.0, 1.0)),
        app.add_option("--score-tolerance", options.refine.score_tolerance,
                       "a run whose scores are lower by more is held")
            ->check(CLI::Range(0.0, 1.0)),
        app.add_option("--confirm-share", options.refine.confirm_share,
                       "share of each cluster that a run makes final")
            ->check(CLI::Range(0.0, 1.0)),
        app.add_option("--confirm-agreement", options.refine.confirm_agreement,
                       "least agreement of the views on an image that is made "
                       "final")
            ->check(CLI::Range(0.0, 1.0))}) {
    option->needs(flag)->capture_default_str();
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shoal: batch experiments on labelled images.");
  shoal::eval::CommandOptions options;
  bool features_only = false;
  bool stream = false;
  std::string clusters;
  std::string order = kBothOrders;
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
                 "runs of every method or stream, with the seeds 0..N-1")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--transfer-net", options.transfer_net,
                 "model folder that the tl methods learn with (default: the "
                 "only net of --views), or runs of --stream (default: none)");
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
  add_stream_options(app, options, stream, order);
  app.set_version_flag("--version", shoal::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? shoal::eval::kExitDone
                                : shoal::eval::kExitUsage;
  }
  const int modes = static_cast<int>(features_only) + static_cast<int>(stream) +
                    static_cast<int>(!options.methods.empty());
  if (modes != 1) {
    std::cerr << "shoal-eval: give one of --methods, --stream and "
                 "--features-only\n";
    return shoal::eval::kExitUsage;
  }
  options.find_clusters = clusters == kAutoClusters;
  if (!clusters.empty() && !options.find_clusters) {
    options.clusters = std::stoi(clusters);
  }
  options.orders = orders_of(order);
  const shoal::eval::StopSignal stop;
  shoal::set_compute_threads(options.threads);
  if (stream) return shoal::eval::run_stream(options, stop.flag());
  return features_only ? shoal::eval::run_features(options, stop.flag())
                       : shoal::eval::run_methods(options, stop.flag());
}
