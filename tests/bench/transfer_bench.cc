// shoal-transfer: transfer-learning clustering of a folder of images, one
// subfolder per class, from several boot features, with a net of which a part
// is trained; scores per boot and how much they differ (eta).
// docs/transfer.md has the commands and their results.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "common/file.h"
#include "engine/image/image.h"
#include "engine/score/scores.h"
#include "engine/transfer/net_learner.h"
#include "engine/transfer/transfer_clustering.h"
#include "engine/views/cnn.h"
#include "engine/views/handcrafted.h"
#include "engine/views/model_folder.h"

namespace shoal::bench {
namespace {

struct Settings {
  std::filesystem::path images;
  std::filesystem::path model;
  std::vector<std::string> boots = {"rp", "gabor", "hog"};
  bool random_weights = false;
  std::size_t per_class = 0;  ///< images; 0: all
  int seeds = 5;
  bool curves = false;
  NetOptions net;
  TransferOptions transfer;
};

/// Files in the order of their paths, and the class of each.
struct Folder {
  std::vector<std::filesystem::path> files;
  std::vector<int> truth;
  int classes = 0;
};

Result<Folder> list(const std::filesystem::path& path, std::size_t per_class) {
  std::map<std::string, std::vector<std::filesystem::path>> found;
  std::error_code failed;
  for (std::filesystem::recursive_directory_iterator at(path, failed), end;
       !failed && at != end; at.increment(failed)) {
    if (!at->is_regular_file()) continue;
    found[at->path().parent_path().string()].push_back(at->path());
  }
  if (failed) return io_error(path.string() + ": " + failed.message());
  Folder folder;
  for (auto& [name, files] : found) {
    std::sort(files.begin(), files.end());
    if (per_class > 0 && files.size() > per_class) files.resize(per_class);
    for (auto& file : files) {
      folder.files.push_back(std::move(file));
      folder.truth.push_back(folder.classes);
    }
    ++folder.classes;
  }
  if (folder.files.empty()) return not_found("no files in " + path.string());
  return folder;
}

/// All images at one size.
Result<std::vector<Image>> read_images(const Folder& folder, int width,
                                       int height) {
  constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 28;
  std::vector<Image> images;
  for (const auto& path : folder.files) {
    SHOAL_TRY(bytes, read_file(path, kMaxBytes));
    const auto sized = decode_at_sizes(bytes, {}, {{width, height}});
    if (!sized) {
      return invalid_argument(path.string() + ": " + sized.error().message);
    }
    images.push_back(*sized.value().front());
  }
  return images;
}

Result<Matrix> boot_features(const Folder& folder, const std::string& name) {
  SHOAL_TRY(view, make_handcrafted_view(name));
  SHOAL_TRY(images, read_images(folder, view->spec().input_width,
                                view->spec().input_height));
  return view->extract(images);
}

Result<std::unique_ptr<NetLearner>> make_learner(const Folder& folder,
                                                 const Settings& settings) {
  SHOAL_TRY(model, read_model_folder(settings.model));
  if (settings.random_weights) model.weights.clear();
  SHOAL_TRY(images, read_images(folder, model.input_width, model.input_height));
  ImageSource source;
  source.rows = images.size();
  source.read = [images = std::move(images)](std::size_t row) -> Result<Image> {
    return images[row];
  };
  return make_net_learner(model, std::move(source), settings.net);
}

/// A number before and after, over the runs.
struct Scores {
  std::vector<double> boot;
  std::vector<double> end;
};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

/// With the n divisor, as eta's standard deviation (TL eq. 19).
double deviation(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::pow(value - mean(values), 2);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

Result<void> print_curve(const std::vector<int>& truth,
                         const TransferResult& result) {
  for (const TransferIteration& iteration : result.iterations) {
    SHOAL_TRY(score, nmi(truth, iteration.labels));
    std::printf("    Delta %.2f  confirmed %5zu  loss %.3f  NMI %.3f\n",
                iteration.share, iteration.confirmed, iteration.loss, score);
  }
  return ok();
}

Result<void> add_scores(const std::vector<int>& truth,
                        const TransferResult& result,
                        std::map<std::string, Scores>& scores) {
  const auto add = [&](const std::string& name, auto score) -> Result<void> {
    SHOAL_TRY(boot, score(truth, result.boot_labels));
    SHOAL_TRY(end, score(truth, result.labels));
    scores[name].boot.push_back(boot);
    scores[name].end.push_back(end);
    return ok();
  };
  SHOAL_TRY(add("NMI", [](const auto& a, const auto& b) { return nmi(a, b); }));
  SHOAL_TRY(add("ARI", adjusted_rand));
  return add("ACC", accuracy);
}

/// Runs one boot with all seeds and prints its row.
Result<std::map<std::string, Scores>> run_boot(const Folder& folder,
                                               const std::string& boot,
                                               TransferLearner& learner,
                                               const Settings& settings) {
  SHOAL_TRY(features, boot_features(folder, boot));
  std::map<std::string, Scores> scores;
  const auto started = std::chrono::steady_clock::now();
  for (int seed = 0; seed < settings.seeds; ++seed) {
    TransferOptions options = settings.transfer;
    options.seed = static_cast<std::uint64_t>(seed);
    if (options.clusters == 0) options.clusters = folder.classes;
    SHOAL_TRY(result, transfer_clustering(features, learner, {}, options));
    SHOAL_TRY(add_scores(folder.truth, result, scores));
    if (settings.curves) {
      SHOAL_TRY(print_curve(folder.truth, result));
    }
  }
  std::printf("%-8s", boot.c_str());
  for (const auto& [name, score] : scores) {
    std::printf("  %s %.3f +- %.3f -> %.3f +- %.3f", name.c_str(),
                mean(score.boot), deviation(score.boot), mean(score.end),
                deviation(score.end));
  }
  std::printf("  %.1f s a run\n", seconds_since(started) / settings.seeds);
  return scores;
}

Result<void> run(const Settings& settings) {
  SHOAL_TRY(folder, list(settings.images, settings.per_class));
  std::printf("%zu images, %d classes\n", folder.files.size(), folder.classes);
  const auto started = std::chrono::steady_clock::now();
  SHOAL_TRY(learner, make_learner(folder, settings));
  std::printf("%s; ready in %.1f s\n", learner->note().c_str(),
              seconds_since(started));
  std::map<std::string, Scores> means;
  for (const std::string& boot : settings.boots) {
    SHOAL_TRY(scores, run_boot(folder, boot, *learner, settings));
    for (const auto& [name, score] : scores) {
      means[name].boot.push_back(mean(score.boot));
      means[name].end.push_back(mean(score.end));
    }
  }
  for (const auto& [name, score] : means) {
    std::printf("eta %s: boot %.3f -> %.3f\n", name.c_str(),
                deviation(score.boot) / mean(score.boot),
                deviation(score.end) / mean(score.end));
  }
  return ok();
}

void add_net_options(CLI::App& app, NetOptions& net) {
  app.add_option("--layers", net.layers, "trained of the net")
      ->transform(CLI::CheckedTransformer(std::map<std::string, TrainedLayers>{
          {"head", TrainedLayers::kHead},
          {"last_block", TrainedLayers::kLastBlock},
          {"all", TrainedLayers::kAll}}));
  app.add_option("--variants", net.variants, "forms of each image");
  app.add_option("--batch", net.batch, "images");
  app.add_option("--learning-rate", net.learning_rate,
                 "of the pretrained layers");
  app.add_option("--epochs", net.max_epochs, "at most, a fit");
  app.add_option("--weight-decay", net.head.weight_decay, "of the last layer");
  app.add_option("--held-out", net.head.held_out, "share of each class");
}

void add_transfer_options(CLI::App& app, TransferOptions& transfer) {
  app.add_option("--boot-method", transfer.boot, "of the boot stage")
      ->transform(CLI::CheckedTransformer(std::map<std::string, BootMethod>{
          {"kmeans", BootMethod::kKMeans},
          {"gmm", BootMethod::kGaussianMixture}}));
  app.add_option("--clusters", transfer.clusters, "0: as many as classes");
  app.add_option("--share", transfer.initial_share, "Delta");
  app.add_option("--step", transfer.share_step, "delta");
  app.add_option("--iterations", transfer.max_iterations, "k_max");
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Settings settings;
  settings.transfer.clusters = 0;
  CLI::App app("Transfer-learning clustering from several boot features.");
  app.add_option("--images", settings.images, "folder, one subfolder per class")
      ->required();
  app.add_option("--model", settings.model, "model folder")->required();
  app.add_flag("--random-weights", settings.random_weights,
               "start from random values, not from the model's weights");
  app.add_option("--boot", settings.boots, "handcrafted views")->delimiter(',');
  app.add_option("--per-class", settings.per_class, "images; 0: all");
  app.add_option("--seeds", settings.seeds)->check(CLI::Range(1, 1000));
  app.add_flag("--curves", settings.curves, "NMI of every iteration");
  shoal::bench::add_net_options(app, settings.net);
  shoal::bench::add_transfer_options(app, settings.transfer);
  CLI11_PARSE(app, argc, argv);
  shoal::set_compute_threads(0);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const auto done = shoal::bench::run(settings);
  if (!done) {
    std::fprintf(stderr, "shoal-transfer: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
