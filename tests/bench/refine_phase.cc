#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clients/cpp/client.h"
#include "tests/bench/daemon_process.h"
#include "tests/bench/load.h"
#include "tests/bench/open_daemon.h"
#include "tests/bench/phases.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// The p99 during a run is at most this many times that without.
constexpr double kRatioTarget = 2;
constexpr seconds kLongestFilling{3'600};
constexpr seconds kLongestRun{7'200};
constexpr milliseconds kStatusPause{200};
/// What is not counted at first: clients connect, caches fill.
constexpr seconds kRamp{2};
constexpr std::uint64_t kUnlimited = 100'000'000;

enum Part : std::size_t {
  kBefore,
  kCheckpoint,
  kLearning,
  kPublishing,
  kAfter,
  kParts
};

constexpr auto kNever = Clock::time_point::max();

/// When the parts of the measurement began.
struct Times {
  Clock::time_point counted;
  Clock::time_point asked;
  Clock::time_point learning;
  Clock::time_point staging;
  Clock::time_point ended;

  /// Nothing during the ramp.
  [[nodiscard]] std::optional<Part> part_of(Clock::time_point at) const {
    if (at < counted) return std::nullopt;
    if (at < asked) return kBefore;
    if (at < learning) return kCheckpoint;
    if (at < staging) return kLearning;
    return at < ended ? kPublishing : kAfter;
  }
};

using Latencies = std::array<std::vector<double>, kParts>;

/// One query by id after the other, each at its time, through all parts.
class Asker {
 public:
  Asker(const Bench& bench, DaemonProcess& daemon)
      : bench_(bench), daemon_(daemon) {}

  Result<void> run() {
    EventOptions options;
    options.endpoint = daemon_.endpoints().events;
    options.topics = {"refine.progress"};
    SHOAL_TRY(events, EventClient::connect(options));
    SHOAL_TRY(events.wait_connected(milliseconds(10'000)));
    const auto apart = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(1 / bench_.query_rate));
    const auto start = Clock::now();
    times_.counted = start + kRamp;
    times_.asked = times_.learning = kNever;
    times_.staging = times_.ended = kNever;
    std::minstd_rand random(1);
    auto status_due = start;
    for (auto due = start;; due += apart) {
      std::this_thread::sleep_until(due);
      SHOAL_TRY(daemon_.ask(
          "image", {{"id", bench_.jpegs->id(random() % bench_.images)}}));
      const auto now = Clock::now();
      answers_.emplace_back(due,
                            std::chrono::duration<double>(now - due).count());
      if (run_ == 0) {
        if (now < times_.counted + bench_.longest) continue;
        times_.asked = Clock::now();
        SHOAL_TRY(reply, daemon_.ask("refine"));
        run_ = reply["run"].get<std::uint64_t>();
        due = Clock::now();
      } else if (times_.ended == kNever) {
        SHOAL_TRY(note_stages(events));
        if (now < status_due) continue;
        status_due = now + kStatusPause;
        SHOAL_TRY(status, daemon_.ask("status"));
        if (!status["refining"].get<bool>()) {
          times_.ended = Clock::now();
          SHOAL_TRY(note_stages(events));
          SHOAL_TRY(check_end());
        } else if (now - times_.asked > kLongestRun) {
          return Error{ErrorCode::kDeadlineExceeded, "the run takes too long"};
        }
      } else if (now > times_.ended + bench_.longest) {
        return ok();
      }
    }
  }

  [[nodiscard]] const Times& times() const { return times_; }
  [[nodiscard]] Latencies latencies() const {
    Latencies sorted;
    for (const auto& [at, taken] : answers_) {
      const auto part = times_.part_of(at);
      if (part) sorted[*part].push_back(taken);
    }
    return sorted;
  }

 private:
  Result<void> note_stages(EventClient& events) {
    for (;;) {
      SHOAL_TRY(event, events.next(milliseconds(0)));
      if (!event) return ok();
      if (event->fields.value("run", std::uint64_t{0}) != run_) continue;
      const std::string stage = event->fields.value("stage", "");
      if (stage != "checkpoint" && times_.learning == kNever) {
        times_.learning = Clock::now();
      }
      if (stage == "staging" && times_.staging == kNever) {
        times_.staging = Clock::now();
      }
    }
  }

  Result<void> check_end() {
    times_.learning = std::min(times_.learning, times_.ended);
    times_.staging = std::min(times_.staging, times_.ended);
    SHOAL_TRY(reply, daemon_.ask("epochs"));
    for (const auto& epoch : reply["epochs"]) {
      if (epoch["epoch"] != run_) continue;
      if (epoch["status"] == "published") return ok();
      return internal_error("the run was not published: " + epoch.dump());
    }
    return internal_error("the run left no epoch");
  }

  const Bench& bench_;
  DaemonProcess& daemon_;
  std::uint64_t run_ = 0;
  Times times_;
  std::vector<std::pair<Clock::time_point, double>> answers_;
};

std::vector<double> joined(const std::vector<double>& a,
                           const std::vector<double>& b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

void report_parts(const Bench& bench, const std::string& what,
                  const Latencies& latencies) {
  Report& report = *bench.report;
  const auto without = joined(latencies[kBefore], latencies[kAfter]);
  const auto during =
      joined(latencies[kCheckpoint],
             joined(latencies[kLearning], latencies[kPublishing]));
  add_latencies(report, "refine", what + ", no run", without, 0);
  add_latencies(report, "refine", what + ", before it", latencies[kBefore], 0);
  add_latencies(report, "refine", what + ", after it", latencies[kAfter], 0);
  add_latencies(report, "refine", what + ", during a run", during, 0);
  add_latencies(report, "refine", what + ", checkpoint", latencies[kCheckpoint],
                0);
  add_latencies(report, "refine", what + ", while it learns",
                latencies[kLearning], 0);
  add_latencies(report, "refine", what + ", staging to its end",
                latencies[kPublishing], 0);
  if (without.empty() || during.empty()) return;
  for (const auto& [name, share] :
       {std::pair{"p50", 0.50}, std::pair{"p95", 0.95}}) {
    report.add({"refine", what + " " + name + ", during / without",
                quantile(during, share) / quantile(without, share), ""});
  }
  report.add({"refine", what + " p99, during / without",
              quantile(during, 0.99) / quantile(without, 0.99), "",
              Row::Target{kRatioTarget, false}});
}

}  // namespace

Result<void> run_refinement(const Bench& bench) {
  if (bench.images <= kBootstrapImages) {
    return invalid_argument("the refine phase takes more than " +
                            std::to_string(kBootstrapImages) + " images");
  }
  SHOAL_TRY(daemon,
            open_daemon(bench, {"views.use=" + bench.views,
                                "bootstrap.min_images=" +
                                    std::to_string(kBootstrapImages),
                                "refine.method=mvec-jule", "refine.clusters=20",
                                "ingest.max_pending_images=100000000"}));
  SHOAL_TRY(make_epoch(bench, *daemon));
  LoadOptions filling = ingest_options(bench, *daemon);
  filling.images = bench.images - kBootstrapImages;
  filling.longest = kLongestFilling;
  SHOAL_TRY(Load(*bench.jpegs, kBootstrapImages, filling).finish());
  SHOAL_TRY(daemon->wait_until_idle(kLongestFilling));

  LoadOptions options = ingest_options(bench, *daemon);
  options.images = kUnlimited;
  options.longest = kLongestRun;
  options.rate = bench.rate;
  Load load(*bench.jpegs, bench.images, options);
  Asker asker(bench, *daemon);
  const auto asked = asker.run();
  load.stop();
  SHOAL_TRY(result, load.finish());
  SHOAL_TRY(asked);

  Latencies ingest;
  for (std::size_t i = 0; i < result.latencies.size(); ++i) {
    const auto part = asker.times().part_of(result.sent_at[i]);
    if (part) ingest[*part].push_back(result.latencies[i]);
  }
  Report& report = *bench.report;
  const auto length = [](Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  };
  const Times& times = asker.times();
  report.add({"refine", "the run: checkpoint",
              length(times.asked, times.learning), "s"});
  report.add({"refine", "the run: learning",
              length(times.learning, times.staging), "s"});
  report.add({"refine", "the run: staging to its end",
              length(times.staging, times.ended), "s"});
  report.add({"refine", "ingest meanwhile",
              static_cast<double>(result.images) / result.seconds, "images/s"});
  report_parts(bench, "ingest to stored", ingest);
  report_parts(bench, "query by id", asker.latencies());
  return ok();
}

}  // namespace shoal::bench
