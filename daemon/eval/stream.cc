#include "daemon/eval/stream.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <ostream>
#include <random>
#include <set>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "daemon/eval/internal/online_path.h"
#include "daemon/eval/internal/stream_scores.h"
#include "daemon/eval/progress.h"
#include "engine/score/sampling.h"
#include "engine/score/scores.h"

namespace shoal::eval {
namespace {

/// Features in memory, as a run reads them. Owner-thread.
class FeaturesInMemory : public FeatureSource {
 public:
  explicit FeaturesInMemory(const std::vector<MethodView>& views)
      : views_(views) {
    for (const MethodView& view : views) {
      inputs_.push_back({view.name, static_cast<int>(view.rows.cols())});
    }
  }
  [[nodiscard]] const std::vector<EmbeddingInput>& inputs() const override {
    return inputs_;
  }
  [[nodiscard]] std::size_t size() const override {
    return static_cast<std::size_t>(views_.front().rows.rows());
  }
  Result<std::vector<Matrix>> read(
      const std::vector<std::size_t>& rows) override {
    std::vector<Matrix> all;
    for (const MethodView& view : views_) {
      all.push_back(take_rows(view.rows, rows));
    }
    return all;
  }

 private:
  const std::vector<MethodView>& views_;
  std::vector<EmbeddingInput> inputs_;
};

std::string_view status_name(EpochStatus status) {
  switch (status) {
    case EpochStatus::kPublished:
      return "published";
    case EpochStatus::kHeld:
      return "held";
    default:
      return "failed";
  }
}

Result<void> check(const ExperimentData& data, const StreamOptions& options) {
  SHOAL_TRY(check_data(data, options.refinement.clusters, 0));
  if (options.refine_every < 1) {
    return invalid_argument("a run is after 1 image or more");
  }
  return ok();
}

/// `values` in the order of `rows`.
std::vector<int> take(const std::vector<int>& values,
                      const std::vector<std::size_t>& rows) {
  std::vector<int> taken;
  taken.reserve(rows.size());
  for (const std::size_t row : rows) taken.push_back(values[row]);
  return taken;
}

/// Numbers of images at the runs of a stream of n images.
std::vector<std::size_t> run_ends(std::size_t n, std::size_t every) {
  std::vector<std::size_t> ends;
  for (std::size_t end = every; end < n; end += every) ends.push_back(end);
  ends.push_back(n);
  return ends;
}

/// One call of run_stream_experiment. Owner-thread.
class Streams {
 public:
  Streams(const ExperimentData& data, const StreamOptions& options,
          const std::function<Result<void>(const StreamReport&)>& added,
          const RefinementMethod& method)
      : data_(data), options_(options), added_(added), method_(method) {
    report_.dataset = data.dataset;
    for (const MethodView& view : data.views) {
      report_.views.push_back(view.name);
    }
    report_.method = options.method;
    report_.clusters = options.refinement.clusters;
    report_.refine_every = options.refine_every;
    report_.confirmation = options.refinement.confirmation;
    const std::size_t n = data.truth.size();
    const auto ends = run_ends(n, options.refine_every);
    const std::size_t one =
        std::accumulate(ends.begin(), ends.end(), std::size_t{0});
    work_ = static_cast<std::size_t>(options.seeds) *
            (n + options.orders.size() * one);
  }

  Result<StreamReport> run() {
    SHOAL_TRY(added_(report_));
    for (int seed = 0; seed < options_.seeds; ++seed) {
      SHOAL_TRY(run_seed(static_cast<std::uint64_t>(seed)));
    }
    return std::move(report_);
  }

 private:
  using Clock = Progress::Clock;

  Result<void> run_seed(std::uint64_t seed) {
    SHOAL_TRY(batch, learn_at_once(seed));
    std::vector<std::vector<int>> last;
    for (const StreamOrder order : options_.orders) {
      SHOAL_TRY(labels, run_order(order, seed, batch));
      last.push_back(std::move(labels));
    }
    if (last.size() < 2) return ok();
    StreamAgreement agreement;
    agreement.seed = seed;
    SHOAL_TRY(ari, adjusted_rand(last[0], last[1]));
    agreement.ari = ari;
    report_.agreements.push_back(agreement);
    return added_(report_);
  }

  struct Batch {
    StreamScore score;
    std::size_t clusters = 0;
  };

  Result<Batch> learn_at_once(std::uint64_t seed) {
    begin(fmt::format("all at once, seed {}", seed));
    FeaturesInMemory features(data_.views);
    RefinementOptions options = options_.refinement;
    options.seed = seed;
    options.confirmation.share = 0;
    SHOAL_TRY(found,
              run_refinement(method_, features,
                             std::vector<RowConstraint>(data_.truth.size()), {},
                             options, control()));
    Batch batch;
    SHOAL_TRY(information, nmi(data_.truth, found.labels));
    SHOAL_TRY(matched, accuracy(data_.truth, found.labels));
    batch.score = {information, matched};
    batch.clusters = found.clusters.size();
    finish(data_.truth.size(),
           fmt::format("NMI {:.4f}, ACC {:.4f}", information, matched));
    return batch;
  }

  /// @return (n) the last labels as numbers, in the order of the data
  Result<std::vector<int>> run_order(StreamOrder order, std::uint64_t seed,
                                     const Batch& batch) {
    const std::vector<std::size_t> rows =
        stream_order(data_.truth, order, seed);
    const std::vector<int> truth = take(data_.truth, rows);
    std::vector<EmbeddingInput> inputs;
    for (const MethodView& view : data_.views) {
      inputs.push_back({view.name, static_cast<int>(view.rows.cols())});
    }
    SHOAL_TRY(path, OnlinePath::open(inputs));
    ConfirmedWatch watch;
    std::set<int> learned;  // classes that the current epoch has seen
    StreamRun run;
    std::size_t start = 0;
    for (const std::size_t end : run_ends(rows.size(), options_.refine_every)) {
      const int number = run.run + 1;
      run = StreamRun{};
      run.order = order;
      run.seed = seed;
      run.run = number;
      run.images = end;
      begin(fmt::format("{} order, seed {}, {}/{} images", to_string(order),
                        seed, end, rows.size()));
      SHOAL_TRY(arrive(*path, rows, truth, {start, end}, learned, run));
      SHOAL_TRY(learn(*path, {truth.begin(), at(truth, end)}, watch, run));
      if (run.status == status_name(EpochStatus::kPublished)) {
        learned.insert(truth.begin(), at(truth, end));
      }
      finish(end, in_words(run));
      report_.runs.push_back(run);
      SHOAL_TRY(added_(report_));
      start = end;
    }
    report_.ends.push_back(
        {order, seed, run.labels, run.clusters, batch.score, batch.clusters});
    SHOAL_TRY(added_(report_));
    SHOAL_TRY(labels, path->labels());
    const std::vector<int> numbers = cluster_numbers(labels);
    std::vector<int> by_row(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) by_row[rows[i]] = numbers[i];
    return by_row;
  }

  static std::vector<int>::const_iterator at(const std::vector<int>& values,
                                             std::size_t position) {
    return values.begin() + static_cast<std::ptrdiff_t>(position);
  }

  struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// The images of `span` come and get their labels.
  Result<void> arrive(OnlinePath& path, const std::vector<std::size_t>& rows,
                      const std::vector<int>& truth, Span span,
                      const std::set<int>& learned, StreamRun& run) const {
    const std::vector<std::size_t> coming(
        rows.begin() + static_cast<std::ptrdiff_t>(span.begin),
        rows.begin() + static_cast<std::ptrdiff_t>(span.end));
    std::vector<Matrix> features;
    for (const MethodView& view : data_.views) {
      features.push_back(take_rows(view.rows, coming));
    }
    SHOAL_TRY(labels, path.arrive(features));
    const std::vector<int> classes(at(truth, span.begin), at(truth, span.end));
    SHOAL_TRY(online, score_labels(classes, labels));
    run.online = online;
    run.seen = count_arrivals(classes, labels, learned, true);
    run.unseen = count_arrivals(classes, labels, learned, false);
    if (!path.epoch().valid()) {  // nothing could be known
      run.online.all.reset();
      run.unseen.confidence.reset();
    }
    return ok();
  }

  /// Of the images whose label is not -1.
  static Result<StreamScore> score_in_clusters(const std::vector<int>& truth,
                                               const std::vector<int>& found) {
    std::vector<int> classes;
    std::vector<int> clusters;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i] < 0) continue;
      classes.push_back(truth[i]);
      clusters.push_back(found[i]);
    }
    SHOAL_TRY(information, nmi(classes, clusters));
    SHOAL_TRY(matched, accuracy(classes, clusters));
    return StreamScore{information, matched};
  }

  /// A run over all that have come.
  /// @param truth  of those
  Result<void> learn(OnlinePath& path, const std::vector<int>& truth,
                     ConfirmedWatch& watch, StreamRun& run) const {
    SHOAL_TRY(before, path.labels());
    RefinementOptions options = options_.refinement;
    options.seed = run.seed;
    const bool first = !path.epoch().valid();
    const auto started = Clock::now();
    RunControl watched = control();
    std::optional<Error> unscored;
    watched.round_ended = [&](int, const std::vector<int>& found,
                              const std::vector<bool>&) {
      const auto score = score_in_clusters(truth, found);
      if (score) {
        run.rounds.push_back(score.value());
      } else {
        unscored = score.error();
      }
    };
    SHOAL_TRY(done, path.relearn(method_, options, watched));
    if (unscored) return *unscored;
    run.seconds = std::chrono::duration<double>(Clock::now() - started).count();
    run.status = status_name(done.epoch.status);
    if (done.epoch.status != EpochStatus::kPublished) {
      run.reason = done.epoch.reason;
    }
    run.note = done.note;
    if (!first && done.epoch.status != EpochStatus::kFailed) {
      run.churn = static_cast<double>(done.epoch.churn);
    }
    SHOAL_TRY(after, path.labels());
    SHOAL_TRY(scores, score_labels(truth, after));
    run.labels = scores;
    compare_clusters(before, after, run);
    watch.look(truth, after, run);
    return ok();
  }

  static std::string in_words(const StreamRun& run) {
    std::string online = "-";
    if (run.online.all) online = fmt::format("{:.4f}", run.online.all->nmi);
    return fmt::format(
        "{}, NMI {:.4f}, of the arrivals before {}, {} confirmed", run.status,
        run.labels.all->nmi, online, run.confirmed);
  }

  // ---- progress
  [[nodiscard]] RunControl control() const {
    RunControl control;
    control.cancelled = [this] {
      return options_.stop != nullptr && *options_.stop;
    };
    control.progress = [this](std::string_view, double fraction) {
      if (!progress_) return;
      // The end is told by finish(), with the scores.
      const double most = kProgressSteps - 1;
      progress_->update(
          static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * most),
          Clock::now());
    };
    return control;
  }

  void begin(const std::string& title) {
    title_ = title;
    if (options_.messages == nullptr) return;
    progress_ = std::make_unique<Progress>(
        *options_.messages, options_.terminal, title_, kProgressSteps,
        Clock::now(), ProgressUnit::kPercent);
  }

  /// @param images  that were learned from: the measure of work
  void finish(std::size_t images, const std::string& how) {
    done_ += images;
    if (!progress_) return;
    std::string left;
    if (done_ < work_) {
      const double taken =
          std::chrono::duration<double>(Clock::now() - started_).count();
      left =
          fmt::format("; about {} left for all",
                      in_time_units(taken * static_cast<double>(work_ - done_) /
                                    static_cast<double>(done_)));
    }
    progress_->close(title_ + ": " + how + left);
  }

  static constexpr std::size_t kProgressSteps = 1000;

  const ExperimentData& data_;
  const StreamOptions& options_;
  const std::function<Result<void>(const StreamReport&)>& added_;
  const RefinementMethod& method_;
  StreamReport report_;
  std::string title_;
  std::unique_ptr<Progress> progress_;
  const Clock::time_point started_ = Clock::now();
  std::size_t work_ = 0;  ///< images of all runs
  std::size_t done_ = 0;
};

}  // namespace

std::string_view to_string(StreamOrder order) {
  return order == StreamOrder::kRandom ? "random" : "classes";
}

std::size_t StreamReport::confirmed_changed() const {
  std::size_t sum = 0;
  for (const StreamRun& run : runs) sum += run.confirmed_changed;
  return sum;
}

std::vector<std::size_t> stream_order(const std::vector<int>& truth,
                                      StreamOrder order, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::size_t> rows(truth.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  std::shuffle(rows.begin(), rows.end(), random);
  if (order == StreamOrder::kRandom) return rows;
  const std::set<int> distinct(truth.begin(), truth.end());
  std::vector<int> classes(distinct.begin(), distinct.end());
  std::shuffle(classes.begin(), classes.end(), random);
  std::map<int, std::size_t> place;
  for (std::size_t i = 0; i < classes.size(); ++i) place[classes[i]] = i;
  std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
    return place.at(truth[a]) < place.at(truth[b]);
  });
  return rows;
}

Result<StreamReport> run_stream_experiment(
    const ExperimentData& data, const StreamOptions& options,
    const std::function<Result<void>(const StreamReport&)>& added) {
  SHOAL_TRY(method, make_refinement_method(options.method));
  SHOAL_TRY(check(data, options));
  return Streams(data, options, added, *method).run();
}

}  // namespace shoal::eval
