#include "daemon/eval/command.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <set>
#include <thread>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "daemon/eval/dataset.h"
#include "daemon/eval/experiment.h"
#include "daemon/eval/features.h"
#include "daemon/eval/methods.h"
#include "daemon/eval/report.h"
#include "daemon/eval/results.h"
#include "daemon/eval/stream.h"
#include "daemon/eval/stream_report.h"
#include "daemon/eval/views.h"
#include "daemon/refine/job.h"
#include "engine/cluster/cluster_count.h"

namespace shoal::eval {
namespace {

constexpr std::size_t kSkippedListed = 10;
constexpr int kThumbnailSide = 64;  ///< pixels

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

Result<FeatureSet> extract(const CommandOptions& command,
                           const std::atomic<bool>& stop,
                           const Dataset& dataset,
                           const std::vector<ViewRequest>& requests) {
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
  return features;
}

Result<Dataset> open_dataset(const CommandOptions& command) {
  SHOAL_TRY(dataset, Dataset::open(command.data, {}, command.limit));
  std::cerr << fmt::format("{}: {} images in {} classes\n", dataset.name(),
                           dataset.size(), dataset.classes().size());
  return std::move(dataset);
}

DeviceOptions device_of(const CommandOptions& command) {
  DeviceOptions device;
  device.precision = command.precision;
  return device;
}

Result<void> extract_and_write(const CommandOptions& command,
                               const std::atomic<bool>& stop) {
  SHOAL_TRY(dataset, open_dataset(command));
  SHOAL_TRY(requests, find_views(command.views, command.models,
                                 device_of(command), dataset));
  SHOAL_TRY(features, extract(command, stop, dataset, requests));
  SHOAL_TRY(write_features(command.out, features));
  SHOAL_TRY(write_index(command.out, dataset, features.items));
  std::cout << fmt::format("{} images, {} views: {} and {}\n",
                           features.items.size(), features.views.size(),
                           (command.out / "features").string(),
                           (command.out / "index.csv").string());
  return ok();
}

/// Errors: kNotFound for one that is not known, kInvalidArgument for one that
/// comes twice.
Result<void> check_methods(const std::vector<std::string>& methods) {
  std::set<std::string> seen;
  for (const std::string& method : methods) {
    SHOAL_TRY(find_method(method));
    if (!seen.insert(method).second) {
      return invalid_argument("method " + method + " is asked for twice");
    }
  }
  return ok();
}

/// The view that the transfer methods learn with: the one asked for, else the
/// only net of `requests`; none when no method needs one.
Result<std::optional<std::string>> transfer_net(
    const CommandOptions& command, const std::vector<ViewRequest>& requests) {
  if (std::none_of(command.methods.begin(), command.methods.end(),
                   needs_transfer_net)) {
    return std::nullopt;
  }
  if (!command.transfer_net.empty()) return command.transfer_net;
  std::vector<std::string> nets;
  for (const ViewRequest& request : requests) {
    if (request.net) nets.push_back(request.name);
  }
  if (nets.size() == 1) return nets.front();
  return failed_precondition(fmt::format(
      "the transfer methods learn with one net, and --views has {}: give "
      "--transfer-net with a folder of --models",
      nets.empty() ? "none" : fmt::format("{}", fmt::join(nets, ", "))));
}

/// Adds the transfer net's view where `requests` has none of that name.
/// @return its position
Result<std::size_t> place_of_net(const CommandOptions& command,
                                 const std::string& net, const Dataset& dataset,
                                 std::vector<ViewRequest>& requests) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].name == net) return i;
  }
  SHOAL_TRY(extra,
            find_views({net}, command.models, device_of(command), dataset));
  requests.push_back(std::move(extra.front()));
  return requests.size() - 1;
}

void normalise_rows(Matrix& rows) {
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const float norm = rows.row(i).norm();
    if (norm > 0) rows.row(i) /= norm;
  }
}

/// The features in the form that methods take.
std::vector<MethodView> method_views(const std::vector<ViewRequest>& requests,
                                     FeatureSet& features) {
  std::vector<MethodView> views;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    views.push_back({requests[i].name, std::move(features.values[i])});
    if (requests[i].net) normalise_rows(views.back().rows);
  }
  return views;
}

struct ClusterCount {
  int clusters = 0;
  std::string reason;  ///< a sentence
};

Result<ClusterCount> count_clusters(const CommandOptions& command,
                                    const Dataset& dataset,
                                    const ExperimentData& data,
                                    const std::atomic<bool>& stop) {
  if (!command.find_clusters && command.clusters > 0) {
    return ClusterCount{command.clusters,
                        fmt::format("K = {} was asked for.", command.clusters)};
  }
  if (!command.find_clusters) {
    const auto classes = static_cast<int>(dataset.classes().size());
    return ClusterCount{
        classes, fmt::format("K = {} is the number of classes.", classes)};
  }
  std::cerr << "estimating the number of clusters\n";
  std::vector<Matrix> rows;
  for (const MethodView& view : data.views) rows.push_back(view.rows);
  ClusterCountOptions options;
  options.cancelled = [&stop] { return stop.load(); };
  SHOAL_TRY(found, estimate_cluster_count(rows, options));
  ClusterCount count{found.clusters, fmt::format("K = {} is estimated: {}.",
                                                 found.clusters, found.reason)};
  std::cout << count.reason << "\n";
  return count;
}

MethodOptions method_options(const CommandOptions& command, int clusters,
                             const MethodView* net) {
  MethodOptions options;
  options.clusters = clusters;
  options.transfer.net = net;
  options.transfer.initial_share = command.initial_share;
  options.transfer.share_step = command.share_step;
  options.transfer.max_iterations = command.max_iterations;
  options.transfer.distance = command.distance;
  options.embedded.max_updates = command.max_updates;
  return options;
}

/// Prints the table and writes the report of what `results` has of `data`.
Result<void> write_results(const CommandOptions& command,
                           const Dataset& dataset,
                           const std::vector<std::size_t>& items,
                           const ExperimentData& data,
                           const std::string& cluster_count,
                           const ResultFolder& results) {
  std::vector<ResultRow> rows;
  for (const ResultRow& row : results.rows()) {
    if (row.key.dataset == data.dataset && row.key.n == data.truth.size()) {
      rows.push_back(row);
    }
  }
  std::cout << text_table(rows);
  ReportData report;
  report.dataset = data.dataset;
  report.classes = dataset.classes();
  report.truth = data.truth;
  report.cluster_count = cluster_count;
  report.thumbnail = [&](std::size_t row) -> ImageResult<Image> {
    SHOAL_TRY(sized,
              dataset.at_sizes(items[row], {{kThumbnailSide, kThumbnailSide}}));
    return *sized.front();
  };
  const std::filesystem::path file = command.out / "report.html";
  SHOAL_TRY(write_report(file, results, report));
  std::cout << (command.out / "results.json").string() << ", " << file.string()
            << "\n";
  return ok();
}

/// @return how many runs failed
Result<std::size_t> cluster_and_write(const CommandOptions& command,
                                      const std::atomic<bool>& stop) {
  SHOAL_TRY(check_methods(command.methods));
  SHOAL_TRY(dataset, open_dataset(command));
  SHOAL_TRY(requests, find_views(command.views, command.models,
                                 device_of(command), dataset));
  const std::size_t boot_views = requests.size();
  SHOAL_TRY(net_name, transfer_net(command, requests));
  std::optional<std::size_t> net;
  if (net_name) {
    SHOAL_TRY(place, place_of_net(command, *net_name, dataset, requests));
    net = place;
  }
  SHOAL_TRY(results, ResultFolder::open(command.out));
  SHOAL_TRY(features, extract(command, stop, dataset, requests));
  SHOAL_TRY(write_index(command.out, dataset, features.items));

  ExperimentData data;
  data.dataset = dataset.name();
  for (const std::size_t item : features.items) {
    data.truth.push_back(dataset.item(item).label);
  }
  data.views = method_views(requests, features);
  const std::optional<MethodView> net_view =
      net ? std::make_optional(data.views[*net]) : std::nullopt;
  data.views.resize(boot_views);
  SHOAL_TRY(count, count_clusters(command, dataset, data, stop));

  ExperimentOptions options;
  options.methods = command.methods;
  options.seeds = command.seeds;
  options.map_rows = command.map_images;
  options.stop = &stop;
  options.messages = &std::cerr;
  options.terminal = ::isatty(STDERR_FILENO) != 0;
  SHOAL_TRY(failed,
            run_experiment(data,
                           method_options(command, count.clusters,
                                          net_view ? &*net_view : nullptr),
                           options, results));
  SHOAL_TRY(write_results(command, dataset, features.items, data, count.reason,
                          results));
  return failed;
}

/// @return how many confirmed labels changed
Result<std::size_t> stream_and_write(const CommandOptions& command,
                                     const std::atomic<bool>& stop) {
  SHOAL_TRY(make_refinement_method(command.refine.method));
  SHOAL_TRY(dataset, open_dataset(command));
  SHOAL_TRY(requests, find_views(command.views, command.models,
                                 device_of(command), dataset));
  const std::size_t clustered = requests.size();
  std::optional<std::size_t> net;
  if (!command.transfer_net.empty()) {
    SHOAL_TRY(place,
              place_of_net(command, command.transfer_net, dataset, requests));
    net = place;
  }
  std::error_code error;
  std::filesystem::create_directories(command.out, error);
  if (error) {
    return io_error("make " + command.out.string() + ": " + error.message());
  }
  SHOAL_TRY(features, extract(command, stop, dataset, requests));

  ExperimentData data;
  data.dataset = dataset.name();
  for (const std::size_t item : features.items) {
    data.truth.push_back(dataset.item(item).label);
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    data.views.push_back({requests[i].name, std::move(features.values[i])});
  }
  StreamOptions options;
  options.orders = command.orders;
  options.seeds = command.seeds;
  options.refine_every = command.refine_every;
  options.method = command.refine.method;
  options.refinement = refinement_options(command.refine);
  options.refinement.clusters =
      command.find_clusters  ? 0
      : command.clusters > 0 ? command.clusters
                             : static_cast<int>(dataset.classes().size());
  options.refinement.transfer.net = net;
  options.refinement.transfer.cluster_net = !net || *net < clustered;
  options.stop = &stop;
  options.messages = &std::cerr;
  options.terminal = ::isatty(STDERR_FILENO) != 0;
  const std::filesystem::path file = command.out / "stream.json";
  SHOAL_TRY(report, run_stream_experiment(
                        data, options, [&file](const StreamReport& so_far) {
                          return write_stream_rows(file, so_far);
                        }));
  std::cout << stream_table(report) << file.string() << "\n";
  return report.confirmed_changed();
}

/// Tells standard error how a run ended. @return the exit status
int status_of(const Error& error, std::string_view kept) {
  if (error.code == ErrorCode::kCancelled) {
    std::cerr << "shoal-eval: interrupted; " << kept << "\n";
    return kExitInterrupted;
  }
  std::cerr << "shoal-eval: " << error.message << "\n";
  return kExitFailed;
}

std::string_view kept_views(const CommandOptions& options) {
  return options.cache.empty()
             ? "with --cache, finished views are kept for the next run"
             : "finished views are in the cache";
}

}  // namespace

int run_features(const CommandOptions& options, const std::atomic<bool>& stop) {
  const auto done = extract_and_write(options, stop);
  return done ? kExitDone : status_of(done.error(), kept_views(options));
}

int run_methods(const CommandOptions& options, const std::atomic<bool>& stop) {
  const auto failed = cluster_and_write(options, stop);
  if (!failed) {
    return status_of(failed.error(),
                     fmt::format("finished runs are in {}, the same command "
                                 "goes on with the others; {}",
                                 options.out.string(), kept_views(options)));
  }
  if (failed.value() == 0) return kExitDone;
  std::cerr << fmt::format("shoal-eval: {} runs failed, see above\n",
                           failed.value());
  return kExitFailed;
}

int run_stream(const CommandOptions& options, const std::atomic<bool>& stop) {
  const auto changed = stream_and_write(options, stop);
  if (!changed) {
    return status_of(changed.error(),
                     fmt::format("finished runs are in {}; {}",
                                 (options.out / "stream.json").string(),
                                 kept_views(options)));
  }
  if (changed.value() == 0) return kExitDone;
  std::cerr << fmt::format("shoal-eval: {} confirmed labels changed\n",
                           changed.value());
  return kExitFailed;
}

}  // namespace shoal::eval
