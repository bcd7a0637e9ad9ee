#include "daemon/eval/methods.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <spdlog/fmt/fmt.h>

#include "engine/cluster/agglomerative.h"
#include "engine/cluster/ensemble.h"
#include "engine/cluster/gaussian_mixture.h"
#include "engine/cluster/kmeans.h"
#include "engine/cluster/pca.h"
#include "engine/deep/embedded_clustering.h"
#include "engine/deep/jule.h"
#include "engine/transfer/head_learner.h"

namespace shoal::eval {
namespace {

using Clock = std::chrono::steady_clock;

/// Full covariances need few dimensions (ALGORITHMS section 2).
constexpr int kMixtureComponents = 32;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What follows `start` in `text`; none when it does not start so.
std::optional<std::string_view> after(std::string_view text,
                                      std::string_view start) {
  if (text.substr(0, start.size()) != start) return std::nullopt;
  return text.substr(start.size());
}

std::optional<EmbeddedMethod> embedded_method(std::string_view name) {
  if (name == "dec") return EmbeddedMethod::kDec;
  if (name == "idec") return EmbeddedMethod::kIdec;
  if (name == "dcn") return EmbeddedMethod::kDcn;
  return std::nullopt;
}

/// Whether `method` is an autoencoder method or starts from one.
bool learns_codes(std::string_view method) {
  // "mvec-idec" ends in the method that it starts from.
  return embedded_method(method.substr(method.rfind('-') + 1)).has_value();
}

/// A callback of the engine that keeps the labels of every step.
auto step_keeper(std::vector<MethodRun::Step>& steps) {
  return [&steps](const Matrix&, const std::vector<int>& labels) {
    steps.push_back({labels, 0});
  };
}

}  // namespace

std::string_view to_string(RowDistance distance) {
  switch (distance) {
    case RowDistance::kEuclidean:
      return "euclidean";
    case RowDistance::kCityBlock:
      return "city-block";
    case RowDistance::kChessboard:
      return "chessboard";
  }
  return "";
}

const std::vector<MethodInfo>& known_methods() {
  using Scope = MethodScope;
  static const std::vector<MethodInfo> kMethods = {
      {"km", Scope::kOneView, "k-means"},
      {"gmm", Scope::kOneView, "Gaussian mixture on 32 principal components"},
      {"ac", Scope::kOneView, "agglomerative, Ward linkage"},
      {"jule", Scope::kOneView, "joint unsupervised learning"},
      {"dec", Scope::kOneView, "deep embedded clustering"},
      {"idec", Scope::kOneView, "DEC with reconstruction"},
      {"dcn", Scope::kOneView, "deep clustering network"},
      {"tl-km", Scope::kOneView, "transfer learning from k-means"},
      {"tl-gmm", Scope::kOneView, "transfer learning from a mixture"},
      {"cc-km", Scope::kAllViews, "views concatenated, k-means"},
      {"cc-ac", Scope::kAllViews, "views concatenated, agglomerative"},
      {"cc-jule", Scope::kAllViews, "views concatenated, JULE"},
      {"cc-idec", Scope::kAllViews, "views concatenated, IDEC"},
      {"mvec-km", Scope::kAllViews, "ensemble of each view's k-means"},
      {"mvec-ac", Scope::kAllViews, "ensemble of each view's agglomeration"},
      {"mvec-jule", Scope::kAllViews, "ensemble of each view's JULE"},
      {"mvec-idec", Scope::kAllViews, "ensemble of each view's IDEC"},
      {"dmvc-fix-jule", Scope::kAllViews, "MVnet pretrained by JULE"},
      {"dmvc-fix-idec", Scope::kAllViews, "MVnet pretrained by IDEC"},
      {"dmvc", Scope::kAllViews, "MVnet refined end to end in JULE"},
  };
  return kMethods;
}

Result<const MethodInfo*> find_method(std::string_view name) {
  std::vector<std::string_view> names;
  for (const MethodInfo& info : known_methods()) {
    if (info.name == name) return &info;
    names.push_back(info.name);
  }
  return not_found(
      fmt::format("no method {}: there are {}", name, fmt::join(names, ", ")));
}

bool needs_transfer_net(std::string_view method) {
  return after(method, "tl-").has_value();
}

MethodRunner::MethodRunner(const std::vector<MethodView>& views,
                           MethodOptions options)
    : views_(views), options_(std::move(options)) {}

Result<MethodRun> MethodRunner::run(std::string_view method, std::size_t view,
                                    std::uint64_t seed) {
  if (seed != kept_seed_) {
    kept_seed_ = seed;
    kept_.clear();
  }
  reused_seconds_ = 0;
  const auto started = Clock::now();
  SHOAL_TRY(run, dispatch(method, view, seed));
  run.seconds = seconds_since(started) + reused_seconds_;
  return std::move(run);
}

Result<MethodRun> MethodRunner::dispatch(std::string_view method,
                                         std::size_t view, std::uint64_t seed) {
  SHOAL_TRY(known, find_method(method));
  static_cast<void>(known);
  if (const auto base = after(method, "cc-")) {
    SHOAL_TRY(rows, concatenate_views(rows_of_views()));
    SHOAL_TRY(own, run_on(*base, rows, seed));
    return std::move(own.run);
  }
  if (const auto base = after(method, "mvec-")) {
    return run_ensemble(std::string(*base), seed);
  }
  if (after(method, "dmvc")) return run_multi_view(method, seed);
  if (const auto boot = after(method, "tl-")) {
    return run_transfer(
        *boot == "gmm" ? BootMethod::kGaussianMixture : BootMethod::kKMeans,
        views_[view], seed);
  }
  return run_on_view(method, view, seed);
}

std::string MethodRunner::settings(std::string_view method) const {
  if (needs_transfer_net(method)) {
    const TransferSettings& transfer = options_.transfer;
    return fmt::format("net={} layers=head Delta={} delta={} k_max={} {}",
                       transfer.net != nullptr ? transfer.net->name : "none",
                       transfer.initial_share, transfer.share_step,
                       transfer.max_iterations, to_string(transfer.distance));
  }
  std::vector<std::string> parts;
  const auto info = find_method(method);
  if (info && info.value()->scope == MethodScope::kAllViews) {
    std::vector<std::string_view> names;
    for (const MethodView& view : views_) names.push_back(view.name);
    parts.push_back(fmt::format("views={}", fmt::join(names, ",")));
  }
  if (learns_codes(method)) {
    parts.push_back(
        fmt::format("max_updates={}", options_.embedded.max_updates));
  }
  return fmt::format("{}", fmt::join(parts, " "));
}

Result<MethodRunner::OwnRun> MethodRunner::run_on(std::string_view method,
                                                  const Matrix& rows,
                                                  std::uint64_t seed) const {
  if (method == "jule") return run_jule(rows, seed);
  if (const auto embedded = embedded_method(method)) {
    return run_embedded(*embedded, rows, seed);
  }
  OwnRun own;
  if (method == "km") {
    KMeansOptions options;
    options.clusters = options_.clusters;
    options.seed = seed;
    options.cancelled = options_.cancelled;
    SHOAL_TRY(found, kmeans(rows, options));
    own.run.labels = std::move(found.labels);
    own.run.representation = rows;
  } else if (method == "gmm") {
    PcaOptions components;
    components.max_components = kMixtureComponents;
    SHOAL_TRY(pca, fit_pca(rows, components));
    own.run.representation = pca.project(rows, false);
    GaussianMixtureOptions options;
    options.clusters = options_.clusters;
    options.seed = seed;
    options.cancelled = options_.cancelled;
    SHOAL_TRY(found, gaussian_mixture(own.run.representation, options));
    own.run.labels = std::move(found.labels);
  } else {
    AgglomerativeOptions options;
    options.clusters = options_.clusters;
    options.cancelled = options_.cancelled;
    SHOAL_TRY(found, agglomerative(rows, options));
    own.run.labels = std::move(found.labels);
    own.run.representation = rows;
  }
  return own;
}

Result<MethodRunner::OwnRun> MethodRunner::run_jule(const Matrix& rows,
                                                    std::uint64_t seed) const {
  OwnRun own;
  JuleOptions options = options_.jule;
  options.clusters = options_.clusters;
  options.seed = seed;
  options.cancelled = options_.cancelled;
  options.progress = options_.progress;
  options.period_done = step_keeper(own.run.steps);
  SHOAL_TRY(found, jule(rows, {}, options));
  own.run.labels = std::move(found.labels);
  own.run.representation = std::move(found.embeddings);
  own.run.learned = true;
  own.net = std::move(found.net);
  return own;
}

Result<MethodRunner::OwnRun> MethodRunner::run_embedded(
    EmbeddedMethod method, const Matrix& rows, std::uint64_t seed) const {
  OwnRun own;
  EmbeddedOptions options = options_.embedded;
  options.method = method;
  options.clusters = options_.clusters;
  options.seed = seed;
  options.cancelled = options_.cancelled;
  options.progress = options_.progress;
  options.target_renewed = step_keeper(own.run.steps);
  SHOAL_TRY(found, embedded_clustering(rows, {}, options));
  own.run.labels = std::move(found.labels);
  own.run.representation = std::move(found.embeddings);
  own.run.learned = true;
  own.net = std::move(found.encoder);
  return own;
}

Result<MethodRun> MethodRunner::run_on_view(std::string_view method,
                                            std::size_t view,
                                            std::uint64_t seed) {
  const auto started = Clock::now();
  auto own = run_on(method, views_[view].rows, seed);
  if (!own) return own.error().within("view " + views_[view].name);
  MethodRun& run = own.value().run;
  Kept kept;
  kept.view.labels = run.labels;
  if (run.learned) {
    kept.view.net = std::move(own.value().net);
    kept.view.embeddings = run.representation;
  }
  kept.seconds = seconds_since(started);
  kept_[{std::string(method), view}] = std::move(kept);
  return std::move(run);
}

Result<MethodRun> MethodRunner::run_transfer(BootMethod boot,
                                             const MethodView& view,
                                             std::uint64_t seed) const {
  const TransferSettings& settings = options_.transfer;
  if (settings.net == nullptr) {
    return failed_precondition(
        "a transfer method needs a net whose features it learns on: "
        "--transfer-net with a folder of --models");
  }
  HeadFeatures features;
  features.variants = {settings.net->rows};
  HeadOptions head;
  head.seed = seed;
  head.cancelled = options_.cancelled;
  SHOAL_TRY(learner, make_head_learner(std::move(features), head));
  TransferOptions options;
  options.clusters = options_.clusters;
  options.boot = boot;
  options.mixture_components = kMixtureComponents;
  options.initial_share = settings.initial_share;
  options.share_step = settings.share_step;
  options.max_iterations = settings.max_iterations;
  options.distance = settings.distance;
  options.seed = seed;
  options.cancelled = options_.cancelled;
  options.progress = options_.progress;
  auto found = transfer_clustering(view.rows, *learner, {}, options);
  if (!found) return found.error().within("boot view " + view.name);
  MethodRun run;
  run.labels = std::move(found.value().labels);
  run.representation = std::move(found.value().features);
  run.boot_labels = std::move(found.value().boot_labels);
  run.steps.push_back({run.boot_labels, 0});
  for (TransferIteration& iteration : found.value().iterations) {
    run.steps.push_back({std::move(iteration.labels),
                         static_cast<double>(iteration.confirmed) /
                             static_cast<double>(run.labels.size())});
  }
  return run;
}

Result<std::vector<PretrainedView>> MethodRunner::own_clusterings(
    const std::string& base, std::uint64_t seed) {
  std::vector<PretrainedView> found;
  for (std::size_t view = 0; view < views_.size(); ++view) {
    const auto key = std::make_pair(base, view);
    if (const auto kept = kept_.find(key); kept != kept_.end()) {
      reused_seconds_ += kept->second.seconds;
    } else {
      SHOAL_TRY(run_on_view(base, view, seed));
    }
    found.push_back(kept_.at(key).view);
  }
  return found;
}

Result<MethodRun> MethodRunner::run_ensemble(const std::string& base,
                                             std::uint64_t seed) {
  SHOAL_TRY(own, own_clusterings(base, seed));
  std::vector<std::vector<int>> partitions;
  for (PretrainedView& view : own) {
    partitions.push_back(std::move(view.labels));
  }
  MethodRun run;
  SHOAL_TRY(labels, ensemble_clusters(partitions, options_.clusters,
                                      options_.cancelled));
  run.labels = std::move(labels);
  SHOAL_TRY(rows, concatenate_views(rows_of_views()));
  run.representation = std::move(rows);
  return run;
}

Result<MethodRun> MethodRunner::run_multi_view(std::string_view method,
                                               std::uint64_t seed) {
  const bool idec = method == "dmvc-fix-idec";
  MultiViewOptions options;
  options.clusters = options_.clusters;
  options.clusterer = idec ? DeepClusterer::kIdec : DeepClusterer::kJule;
  options.joint = method == "dmvc";
  options.jule = options_.jule;
  options.embedded = options_.embedded;
  options.seed = seed;
  SHOAL_TRY(pretrained, own_clusterings(idec ? "idec" : "jule", seed));
  options.pretrained = std::move(pretrained);
  options.cancelled = options_.cancelled;
  options.progress = options_.progress;
  MethodRun run;
  options.step_done = step_keeper(run.steps);
  SHOAL_TRY(found, multi_view_clustering(rows_of_views(), {}, options));
  run.labels = std::move(found.labels);
  run.representation = std::move(found.embeddings);
  run.learned = true;
  return run;
}

std::vector<Matrix> MethodRunner::rows_of_views() const {
  std::vector<Matrix> rows;
  for (const MethodView& view : views_) rows.push_back(view.rows);
  return rows;
}

}  // namespace shoal::eval
