#include "daemon/eval/experiment.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <ostream>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/sha256.h"
#include "daemon/eval/peak_memory.h"
#include "daemon/eval/progress.h"
#include "engine/cluster/kmeans.h"
#include "engine/layout/tsne.h"
#include "engine/score/sampling.h"
#include "engine/score/scores.h"

namespace shoal::eval {
namespace {

/// One run that is to be done.
struct Job {
  const MethodInfo* method = nullptr;
  std::size_t view = 0;  ///< of MethodScope::kOneView
  std::uint64_t seed = 0;
};

/// The runs in their order: by seed, since what methods share of a seed is
/// kept until the next; each view's own ones before those over all.
Result<std::vector<Job>> plan(const std::vector<std::string>& methods,
                              std::size_t views, int seeds) {
  std::vector<const MethodInfo*> chosen;
  for (const std::string& name : methods) {
    SHOAL_TRY(method, find_method(name));
    chosen.push_back(method);
  }
  std::vector<Job> jobs;
  for (int seed = 0; seed < seeds; ++seed) {
    for (const auto scope : {MethodScope::kOneView, MethodScope::kAllViews}) {
      for (const MethodInfo* method : chosen) {
        if (method->scope != scope) continue;
        const std::size_t runs = scope == MethodScope::kOneView ? views : 1;
        for (std::size_t view = 0; view < runs; ++view) {
          jobs.push_back({method, view, static_cast<std::uint64_t>(seed)});
        }
      }
    }
  }
  return jobs;
}

Result<void> check(const ExperimentData& data, const MethodOptions& methods,
                   const ExperimentOptions& options) {
  SHOAL_TRY(check_data(data, methods.clusters, 1));
  for (const std::string& method : options.methods) {
    if (needs_transfer_net(method) && methods.transfer.net == nullptr) {
      return failed_precondition(
          fmt::format("method {} learns with a net: give --transfer-net and a "
                      "folder of --models",
                      method));
    }
  }
  return ok();
}

void add_bytes(Sha256& hash, const void* data, std::size_t count) {
  hash.update(std::string_view(static_cast<const char*>(data), count));
}

std::string digest_of(const MethodView& view) {
  Sha256 hash;
  hash.update(view.name);
  add_bytes(hash, view.rows.data(),
            static_cast<std::size_t>(view.rows.size()) * sizeof(float));
  return to_hex(hash.finish());
}

Result<void> add_scores(const std::vector<int>& truth, const MethodRun& run,
                        const Matrix& own_rows, ResultRow& row) {
  SHOAL_TRY(geometric, nmi(truth, run.labels));
  SHOAL_TRY(arithmetic, nmi(truth, run.labels, Mean::kArithmetic));
  SHOAL_TRY(acc, accuracy(truth, run.labels));
  SHOAL_TRY(ari, adjusted_rand(truth, run.labels));
  SHOAL_TRY(jc, jaccard(truth, run.labels));
  SHOAL_TRY(fmi, fowlkes_mallows(truth, run.labels));
  row.nmi = geometric;
  row.nmi_arithmetic = arithmetic;
  row.acc = acc;
  row.ari = ari;
  row.jc = jc;
  row.fmi = fmi;
  // One cluster alone has none.
  const auto dbi = davies_bouldin(run.representation, run.labels);
  row.dbi = dbi ? dbi.value() : std::numeric_limits<double>::quiet_NaN();
  if (!dbi || run.boot_labels.empty()) return ok();
  SHOAL_TRY(boot, davies_bouldin(own_rows, run.boot_labels));
  if (boot > 0) row.dbi_ratio = dbi.value() / boot;
  return ok();
}

Result<std::vector<CurvePoint>> curve_of(const std::vector<int>& truth,
                                         const MethodRun& run) {
  std::vector<CurvePoint> curve;
  for (const MethodRun::Step& step : run.steps) {
    SHOAL_TRY(step_nmi, nmi(truth, step.labels));
    SHOAL_TRY(step_acc, accuracy(truth, step.labels));
    curve.push_back(
        {static_cast<int>(curve.size()), step_nmi, step_acc, step.confirmed});
  }
  return curve;
}

/// Whether the experiment itself cannot go on.
bool ends_all(ErrorCode code) {
  return code == ErrorCode::kCancelled || code == ErrorCode::kIo ||
         code == ErrorCode::kStorageFull;
}

/// Tells how long the runs that are left will take by those that are done.
/// Owner-thread.
class TimeLeft {
 public:
  void add(const RunKey& key, double seconds) {
    done_.push_back({key.method, key.view, seconds});
  }

  /// The mean of the same method on the same view, of the method on any, of
  /// all runs: the first that there is.
  [[nodiscard]] double expected(const RunKey& key) const {
    for (const auto match : {kMethodAndView, kMethod, kAny}) {
      std::vector<double> seconds;
      for (const Done& run : done_) {
        if ((match == kAny || run.method == key.method) &&
            (match != kMethodAndView || run.view == key.view)) {
          seconds.push_back(run.seconds);
        }
      }
      if (!seconds.empty()) return spread_of(seconds).mean;
    }
    return 0;
  }

 private:
  enum Match { kMethodAndView, kMethod, kAny };
  struct Done {
    std::string method;
    std::string view;
    double seconds = 0;
  };
  std::vector<Done> done_;
};

/// One call of run_experiment. Owner-thread.
class Experiment {
 public:
  Experiment(const ExperimentData& data, const MethodOptions& method_options,
             const ExperimentOptions& options, ResultFolder& results)
      : data_(data),
        options_(options),
        results_(results),
        clusters_(method_options.clusters),
        runner_(data.views, with_controls(method_options)) {
    for (const MethodView& view : data.views) {
      digests_.push_back(digest_of(view));
    }
    const MethodView* const net = method_options.transfer.net;
    if (net != nullptr) net_digest_ = digest_of(*net);
  }

  Result<std::size_t> run() {
    SHOAL_TRY(jobs, open_jobs());
    std::size_t failed = 0;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const RunKey& key = jobs[i].second;
      title_ = fmt::format("{}/{} {} on {}, seed {}", i + 1, jobs.size(),
                           key.method, key.view, key.seed);
      if (stopped()) return Error{ErrorCode::kCancelled, "stopped"};
      const auto row = run_job(jobs[i].first, key);
      if (!row) {
        if (ends_all(row.error().code)) return row.error();
        finish("FAILED: " + row.error().message);
        ++failed;
        continue;
      }
      finish(fmt::format("NMI {:.4f}, ACC {:.4f}, {:.1f} s{}", row.value().nmi,
                         row.value().acc, row.value().seconds,
                         left_after(jobs, i)));
    }
    return failed;
  }

 private:
  using Jobs = std::vector<std::pair<Job, RunKey>>;

  /// The runs that `results` does not have.
  Result<Jobs> open_jobs() {
    SHOAL_TRY(planned,
              plan(options_.methods, data_.views.size(), options_.seeds));
    Jobs open;
    for (const Job& job : planned) {
      RunKey key = key_of(job);
      if (!results_.has(key)) open.emplace_back(job, std::move(key));
    }
    for (const ResultRow& row : results_.rows()) {
      if (row.key.dataset == data_.dataset && row.key.n == data_.truth.size()) {
        time_left_.add(row.key, row.seconds);
      }
    }
    const std::size_t done = planned.size() - open.size();
    if (done > 0 && options_.messages != nullptr) {
      *options_.messages << fmt::format("{} of {} runs are there already\n",
                                        done, planned.size());
    }
    return open;
  }

  [[nodiscard]] bool stopped() const {
    return options_.stop != nullptr && *options_.stop;
  }

  /// Tells how a run ended.
  void finish(const std::string& how) {
    if (progress_) progress_->close(title_ + ": " + how);
  }

  [[nodiscard]] std::string left_after(const Jobs& jobs, std::size_t i) const {
    if (i + 1 == jobs.size()) return "";
    double seconds = 0;
    for (++i; i < jobs.size(); ++i) {
      seconds += time_left_.expected(jobs[i].second);
    }
    return "; about " + in_time_units(seconds) + " left for all";
  }

  MethodOptions with_controls(MethodOptions options) {
    options.cancelled = [this] { return stopped(); };
    options.progress = [this](std::string_view, double fraction) {
      if (!progress_) return;
      // The end is told by finish(), with the scores.
      const double most = kProgressSteps - 1;
      progress_->update(
          static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * most),
          Progress::Clock::now());
    };
    return options;
  }

  [[nodiscard]] RunKey key_of(const Job& job) const {
    const bool all = job.method->scope == MethodScope::kAllViews;
    RunKey key;
    key.dataset = data_.dataset;
    key.method = std::string(job.method->name);
    key.view = all ? "all" : data_.views[job.view].name;
    key.seed = job.seed;
    key.n = data_.truth.size();
    key.k = clusters_;
    key.settings = runner_.settings(job.method->name);
    Sha256 hash;
    add_bytes(hash, data_.truth.data(), data_.truth.size() * sizeof(int));
    for (std::size_t view = 0; view < data_.views.size(); ++view) {
      if (all || view == job.view) hash.update(digests_[view]);
    }
    if (needs_transfer_net(key.method)) hash.update(net_digest_);
    key.input = to_hex(hash.finish()).substr(0, 16);
    return key;
  }

  Result<ResultRow> run_job(const Job& job, const RunKey& key) {
    if (options_.messages != nullptr) {
      progress_.emplace(*options_.messages, options_.terminal, title_,
                        kProgressSteps, Progress::Clock::now(),
                        ProgressUnit::kPercent);
    }
    const auto started = Progress::Clock::now();
    restart_peak_memory();
    SHOAL_TRY(run, runner_.run(key.method, job.view, job.seed));
    ResultRow row;
    row.key = key;
    row.seconds = run.seconds;
    row.peak_mib = peak_memory_mib();
    SHOAL_TRY(add_scores(data_.truth, run, data_.views[job.view].rows, row));
    SHOAL_TRY(add_km_nmi(run, row));
    RunDetail detail;
    SHOAL_TRY(curve, curve_of(data_.truth, run));
    detail.curve = std::move(curve);
    if (job.seed == 0 && options_.map_rows > 0) {
      SHOAL_TRY(add_map(run.representation, detail));
    }
    detail.labels = std::move(run.labels);
    SHOAL_TRY(results_.add(row, detail));
    time_left_.add(
        row.key, std::chrono::duration<double>(Progress::Clock::now() - started)
                     .count());
    return row;
  }

  Result<void> add_km_nmi(const MethodRun& run, ResultRow& row) const {
    if (!run.learned) return ok();
    KMeansOptions options;
    options.clusters = clusters_;
    options.seed = row.key.seed;
    options.cancelled = [this] { return stopped(); };
    SHOAL_TRY(partition, kmeans(run.representation, options));
    SHOAL_TRY(score, nmi(data_.truth, partition.labels));
    row.km_nmi = score;
    return ok();
  }

  Result<void> add_map(const Matrix& representation, RunDetail& detail) const {
    detail.map_rows =
        sample_without_replacement(data_.truth.size(), options_.map_rows, 0);
    TsneOptions options;
    options.cancelled = [this] { return stopped(); };
    SHOAL_TRY(map, tsne(take_rows(representation, detail.map_rows), options));
    detail.map = std::move(map);
    return ok();
  }

  static constexpr std::size_t kProgressSteps = 1000;

  const ExperimentData& data_;
  const ExperimentOptions& options_;
  ResultFolder& results_;
  const int clusters_;
  std::vector<std::string> digests_;  ///< of the views
  std::string net_digest_;            ///< of the transfer net's features
  TimeLeft time_left_;
  std::string title_;
  std::optional<Progress> progress_;
  MethodRunner runner_;
};

}  // namespace

Result<void> check_data(const ExperimentData& data, int clusters, int least) {
  const std::size_t n = data.truth.size();
  if (data.views.empty()) return invalid_argument("no view to cluster");
  for (const MethodView& view : data.views) {
    if (view.rows.rows() != static_cast<Eigen::Index>(n)) {
      return invalid_argument(fmt::format("view {} has {} rows of {} images",
                                          view.name, view.rows.rows(), n));
    }
  }
  if (clusters < least || static_cast<std::size_t>(clusters) > n) {
    return invalid_argument(
        fmt::format("{} clusters of {} images: --clusters takes 1 to as many "
                    "as there are images",
                    clusters, n));
  }
  return ok();
}

Result<std::size_t> run_experiment(const ExperimentData& data,
                                   const MethodOptions& method_options,
                                   const ExperimentOptions& options,
                                   ResultFolder& results) {
  SHOAL_TRY(check(data, method_options, options));
  return Experiment(data, method_options, options, results).run();
}

}  // namespace shoal::eval
