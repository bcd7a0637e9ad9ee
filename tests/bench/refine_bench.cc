// refine-bench: relearning over a large store that is made up: images of some
// kinds, each view a cloud of points for each kind. Runs shoal-refine on it as
// shoald would and tells time, peak memory and how well the kinds are found,
// then publishes the result and tells how long that keeps the label thread.
// docs/benchmarks.md has the commands and their results.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include "common/file.h"
#include "common/sha256.h"
#include "common/time.h"
#include "daemon/book/cluster_book.h"
#include "daemon/refine/child_process.h"
#include "daemon/refine/job.h"
#include "engine/refine/candidate_file.h"
#include "engine/score/scores.h"
#include "store/store.h"
#include "store/verify.h"
#include "tests/bench/report.h"

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kGroup = 1'000;  ///< images written at once
constexpr double kMiB = 1 << 20;
/// As the daemon publishes: rows and images of one task of its label thread.
constexpr std::size_t kRowsPerTask = 256;
constexpr std::size_t kImagesPerTask = 512;
/// How often the worker's memory is looked at.
constexpr std::chrono::milliseconds kSamplePause{50};

struct Settings {
  fs::path bin;
  fs::path folder;  ///< of the store; empty: a temporary one
  std::size_t rows = 200'000;
  std::vector<int> dims = {256, 512, 1280};
  int kinds = 50;
  float spread = 1;
  std::vector<std::string> methods = {"km", "mvec-jule"};
  int max_train = 20'000;
  int threads = 1;
  double most_seconds = 3'600;
  double most_mib = 4'096;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ViewKey view_key(std::size_t number, int dim) {
  return {"made" + std::to_string(number), "none", "0",
          static_cast<std::uint32_t>(dim)};
}

/// Which kind each image is, by its place in the order of arrival; the second
/// kind is twice as frequent as the first, and so on up to four times.
std::vector<int> make_kinds(const Settings& settings) {
  std::vector<double> shares;
  for (int kind = 0; kind < settings.kinds; ++kind) {
    shares.push_back(1 + kind % 4);
  }
  std::mt19937_64 random(1);
  std::discrete_distribution<int> draw(shares.begin(), shares.end());
  std::vector<int> kinds(settings.rows);
  for (int& kind : kinds) kind = draw(random);
  return kinds;
}

/// One view's points: a normal cloud around a centre for each kind.
class Clouds {
 public:
  Clouds(int dim, int kinds, float spread, unsigned seed)
      : random_(seed), spread_(spread), centres_(kinds, dim) {
    for (float& value : centres_.reshaped()) value = normal_(random_);
  }
  Vector draw(int kind) {
    Vector point = centres_.row(kind).transpose();
    for (float& value : point) value += spread_ * normal_(random_);
    return point;
  }

 private:
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  float spread_;
  Matrix centres_;
};

/// Writes images that have been through the views and are in no cluster yet,
/// as before the first run.
Result<void> fill(const Settings& settings, const fs::path& folder,
                  const std::vector<int>& kinds) {
  StoreOptions options;
  options.folder = folder;
  SHOAL_TRY(store, open_rocksdb_store(options));
  std::vector<ViewSlot> slots;
  std::vector<Clouds> clouds;
  for (std::size_t v = 0; v < settings.dims.size(); ++v) {
    SHOAL_TRY(slot, store->open_view(view_key(v, settings.dims[v])));
    slots.push_back(slot);
    clouds.emplace_back(settings.dims[v], settings.kinds, settings.spread,
                        static_cast<unsigned>(v + 1));
  }
  LabelTotals totals;
  ClusterRecord pool;
  for (std::size_t begin = 0; begin < kinds.size(); begin += kGroup) {
    const std::size_t end = std::min(kinds.size(), begin + kGroup);
    std::vector<NewImage> images;
    for (std::size_t i = begin; i < end; ++i) {
      NewImage image;
      SHOAL_TRY(id, ImageId::parse("made-" + std::to_string(i)));
      image.id = std::move(id);
      image.bytes = "image " + std::to_string(i);
      image.digest = sha256(image.bytes);
      image.format = "png";
      image.received_at = now();
      images.push_back(std::move(image));
    }
    SHOAL_TRY(stored, store->put_images(images));
    auto batch = store->new_batch();
    for (std::size_t i = begin; i < end; ++i) {
      const ImageSeq seq = stored[i - begin].seq;
      for (std::size_t v = 0; v < slots.size(); ++v) {
        batch->put_features(slots[v], seq, clouds[v].draw(kinds[i]));
      }
      batch->put_label(EpochId{}, seq, std::nullopt, Label{});
      batch->remove_pending(seq);
    }
    totals.completed += end - begin;
    pool.size += end - begin;
    batch->put_label_totals(totals);
    batch->put_cluster(EpochId{}, pool);
    SHOAL_TRY(store->commit(std::move(batch), Durability::kBuffered));
  }
  return ok();
}

/// The most memory that the process has had so far, in bytes; none when it has
/// ended.
std::optional<double> peak_memory(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return std::nullopt;
}

/// Seconds of processor time of the children that have ended.
double children_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct WorkerEnd {
  double seconds = 0;
  double cpu_seconds = 0;
  double peak_bytes = 0;
};

Result<WorkerEnd> run_worker(const Settings& settings, const fs::path& job) {
  const auto start = Clock::now();
  const double cpu_before = children_cpu_seconds();
  SHOAL_TRY(child, ChildProcess::start(settings.bin / "shoal-refine",
                                       {"--job", job.string()}));
  WorkerEnd end;
  std::string last;
  while (!child.at_end()) {
    const auto line = child.read_line(kSamplePause);
    if (line) last = *line;
    end.peak_bytes =
        std::max(end.peak_bytes, peak_memory(child.pid()).value_or(0));
    if (seconds_since(start) > settings.most_seconds) {
      child.signal(SIGKILL);
      child.wait();
      return Error{ErrorCode::kDeadlineExceeded,
                   "shoal-refine took longer than the limit; last: " + last};
    }
  }
  const ChildExit exit = child.wait();
  end.seconds = seconds_since(start);
  end.cpu_seconds = children_cpu_seconds() - cpu_before;
  if (exit.signalled || exit.status != kWorkerDone) {
    return internal_error("shoal-refine ended with " +
                          std::to_string(exit.status) + "; last: " + last);
  }
  return end;
}

/// The times of one kind of task of the label thread.
class Tasks {
 public:
  Tasks(std::string what, Report& report)
      : what_(std::move(what)), report_(report) {}
  ~Tasks() {
    if (seconds_.empty()) return;
    double sum = 0;
    for (const double taken : seconds_) sum += taken;
    const auto tell_ms = [&](const std::string& number, double share) {
      report_.add(
          {"publish", what_ + number, 1e3 * quantile(seconds_, share), "ms"});
    };
    if (seconds_.size() > 1) {
      tell_ms(" p50", 0.5);
      tell_ms(" p99", 0.99);
    }
    tell_ms(" longest", 1);
    report_.add({"publish", what_ + " all", sum, "s"});
  }
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;

  template <typename Task>
  auto run(const Task& task) {
    const auto start = Clock::now();
    auto result = task();
    seconds_.push_back(seconds_since(start));
    return result;
  }

 private:
  std::string what_;
  Report& report_;
  std::vector<double> seconds_;
};

std::vector<StagedRow> staged_rows(const LoadedCandidate& loaded,
                                   const std::vector<ClusterId>& ids,
                                   std::size_t begin) {
  const Candidate& candidate = loaded.candidate;
  std::vector<StagedRow> rows;
  const std::size_t end = std::min(loaded.seqs.size(), begin + kRowsPerTask);
  for (std::size_t i = begin; i < end; ++i) {
    StagedRow row;
    row.seq = loaded.seqs[i];
    if (candidate.labels[i] >= 0) {
      row.label.cluster = ids[static_cast<std::size_t>(candidate.labels[i])];
      row.label.state = candidate.confirmed[i] != 0 ? LabelState::kConfirmed
                                                    : LabelState::kAssigned;
    }
    row.label.confidence = candidate.confidences[i];
    row.label.distance = candidate.distances[i];
    row.embedding =
        candidate.embeddings.row(static_cast<Eigen::Index>(i)).transpose();
    rows.push_back(std::move(row));
  }
  return rows;
}

/// Publishes the run twice in a copy of the store, as the daemon's label thread
/// would: how long its tasks keep arrivals waiting. The second time images
/// have labels before.
Result<void> publish(const Settings& settings, const fs::path& folder,
                     const fs::path& copy, const std::string& method,
                     const LoadedCandidate& loaded, Report& report) {
  {
    StoreOptions options;
    options.folder = folder;
    SHOAL_TRY(original, open_rocksdb_store(options));
    SHOAL_TRY(original->checkpoint(copy));
  }
  {
    StoreOptions options;
    options.folder = copy;
    SHOAL_TRY(store, open_rocksdb_store(options));
    std::vector<ActiveView> views;
    for (std::size_t v = 0; v < settings.dims.size(); ++v) {
      ActiveView view;
      view.key = view_key(v, settings.dims[v]);
      SHOAL_TRY(slot, store->open_view(view.key));
      view.slot = slot;
      views.push_back(view);
    }
    SHOAL_TRY(book, ClusterBook::open(
                        *store, views, {}, [](Event) {}, nullptr));
    for (const std::string time : {"first", "second"}) {
      const std::string name = method + ", " + time + ": ";
      SHOAL_TRY(run, book->begin_run(method, "bench"));
      SHOAL_TRY(ids, book->begin_staging(run, loaded.candidate));
      Tasks staging(name + "stage 256 rows", report);
      for (std::size_t i = 0; i < loaded.seqs.size(); i += kRowsPerTask) {
        const auto rows = staged_rows(loaded, ids, i);
        SHOAL_TRY(staging.run([&] { return book->stage(rows); }));
      }
      Tasks catching(name + "catch up with 512", report);
      for (bool done = false; !done;) {
        SHOAL_TRY(end,
                  catching.run([&] { return book->catch_up(kImagesPerTask); }));
        done = end;
      }
      Tasks flip(name + "flip", report);
      SHOAL_TRY(flip.run([&] { return book->finish_staging(true, ""); }));
      Tasks moves(name + "note moves of 512", report);
      for (bool done = false; !done;) {
        SHOAL_TRY(end,
                  moves.run([&] { return book->note_moves(kImagesPerTask); }));
        done = end;
      }
    }
  }
  SHOAL_TRY(found, verify_store(copy));
  report.add({"publish", method + ", broken invariants",
              static_cast<double>(found.violation_count), "",
              Row::Target{0, false}});
  std::error_code ignored;  // The folder for temporary files goes as a whole.
  fs::remove_all(copy, ignored);
  return ok();
}

Result<void> measure(const Settings& settings, const fs::path& store,
                     const fs::path& scratch, const std::string& method,
                     const std::vector<int>& kinds, Report& report) {
  RefineJob job;
  job.steps = scratch / ("steps-" + method);
  fs::remove_all(job.steps);  // nothing is gone on with
  job.checkpoint = store;
  job.output = scratch / ("candidate-" + method);
  job.method = method;
  for (std::size_t v = 0; v < settings.dims.size(); ++v) {
    job.views.push_back(view_key(v, settings.dims[v]).text());
  }
  job.options.clusters = settings.kinds;
  job.options.max_train_images = settings.max_train;
  job.threads = settings.threads;
  SHOAL_TRY(write_job(scratch / "job.json", job));
  SHOAL_TRY(end, run_worker(settings, scratch / "job.json"));
  report.add({"refine", method + ", time", end.seconds, "s",
              Row::Target{settings.most_seconds, false}});
  report.add({"refine", method + ", processor time", end.cpu_seconds, "s"});
  report.add({"refine", method + ", peak memory", end.peak_bytes / kMiB, "MiB",
              Row::Target{settings.most_mib, false}});

  SHOAL_TRY(loaded, read_candidate(job.output));
  const Candidate& candidate = loaded.candidate;
  if (candidate.labels.size() != kinds.size()) {
    return internal_error("the result has " +
                          std::to_string(candidate.labels.size()) + " rows");
  }
  SHOAL_TRY(agreement, nmi(kinds, candidate.labels));
  const auto confirmed =
      std::count(candidate.confirmed.begin(), candidate.confirmed.end(), 1);
  report.add({"refine", method + ", NMI with the kinds", agreement, ""});
  report.add({"refine", method + ", clusters",
              static_cast<double>(candidate.clusters.size()), ""});
  report.add({"refine", method + ", images confirmed",
              static_cast<double>(confirmed), ""});
  fs::remove(job.output);
  return publish(settings, store, scratch / "published", method, loaded,
                 report);
}

Result<void> run(const Settings& settings, Report& report) {
  SHOAL_TRY(scratch, TemporaryFolder::create("shoal-refine-bench"));
  const fs::path folder =
      settings.folder.empty() ? scratch.path() / "store" : settings.folder;
  const std::vector<int> kinds = make_kinds(settings);
  if (!fs::exists(folder)) {
    const auto start = Clock::now();
    SHOAL_TRY(fill(settings, folder, kinds));
    report.add({"refine", "writing the store", seconds_since(start), "s"});
  }
  for (const std::string& method : settings.methods) {
    SHOAL_TRY(measure(settings, folder, scratch.path(), method, kinds, report));
  }
  return ok();
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  CLI::App app("Measures shoal-refine on a large made-up store.");
  shoal::bench::Settings settings;
  bool json = false;
  app.add_option("--bin", settings.bin, "folder of shoal-refine")->required();
  app.add_option("--store", settings.folder,
                 "folder of the store: made when absent, else used as it is, "
                 "which must be of the same options; none: a temporary one");
  app.add_option("--rows", settings.rows, "images")
      ->check(CLI::Range(100, 100'000'000));
  app.add_option("--dims", settings.dims, "dimension of each view")
      ->delimiter(',')
      ->check(CLI::Range(2, 100'000));
  app.add_option("--kinds", settings.kinds, "kinds, and clusters asked for")
      ->check(CLI::Range(2, 10'000));
  app.add_option("--spread", settings.spread,
                 "standard deviation of a kind; that of the centres is 1");
  app.add_option("--methods", settings.methods, "as of refine.method")
      ->delimiter(',');
  app.add_option("--max-train", settings.max_train,
                 "as of refine.max_train_images");
  app.add_option("--threads", settings.threads, "as of refine.threads");
  app.add_option("--most-seconds", settings.most_seconds, "kill it after that");
  app.add_option("--most-mib", settings.most_mib, "target for its memory");
  app.add_flag("--json", json, "print one JSON object per line");
  CLI11_PARSE(app, argc, argv);
  shoal::bench::Report report(json);
  const auto done = shoal::bench::run(settings, report);
  if (!done) {
    std::fprintf(stderr, "refine-bench: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
