// refine-bench: relearning over a large store that is made up: images of some
// kinds, each view a cloud of points for each kind. Runs shoal-refine on it as
// shoald would and tells time, peak memory and how well the kinds are found.
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
#include "daemon/refine/child_process.h"
#include "daemon/refine/job.h"
#include "engine/refine/candidate_file.h"
#include "engine/score/scores.h"
#include "store/store.h"
#include "tests/bench/report.h"

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kGroup = 1'000;  ///< images written at once
constexpr double kMiB = 1 << 20;
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

Result<void> measure(const Settings& settings, const fs::path& store,
                     const fs::path& scratch, const std::string& method,
                     const std::vector<int>& kinds, Report& report) {
  RefineJob job;
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
  return ok();
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
