#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <random>
#include <thread>
#include <unistd.h>
#include <utility>

#include "common/check.h"
#include "common/file.h"
#include "engine/image/image.h"
#include "engine/views/cnn.h"
#include "engine/views/extractor.h"
#include "engine/views/handcrafted.h"
#include "engine/views/model_folder.h"
#include "tests/bench/daemon_process.h"
#include "tests/bench/load.h"
#include "tests/bench/open_daemon.h"
#include "tests/bench/phases.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr double kIngestTarget = 0.60;
constexpr double kPipelineTarget = 0.90;
constexpr double kQueryTargetMs = 5;
constexpr std::size_t kBatch = 32;  ///< views.batch_images
/// The most that rp_pca can be told to wait for.
constexpr std::uint64_t kMostPaused = 100'000;
constexpr std::uint64_t kMembersPage = 100;
/// Until the clients are connected and their windows full.
constexpr seconds kLoadRamp{1};
constexpr std::uint64_t kUnlimited = 1'000'000;

double per_second(std::uint64_t count, double taken) {
  return static_cast<double>(count) / taken;
}

double median(std::vector<double> values) { return quantile(values, 0.5); }

/// Appends `count` files in groups, each made durable before the next.
/// @return images per second
Result<double> append_raw(const Bench& bench, std::size_t group,
                          std::uint64_t count) {
  SHOAL_TRY(folder, TemporaryFolder::create("shoal-load"));
  const auto path = folder.path() / "raw";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return errno_error("make " + path.string(), errno);
  double taken = 0;
  std::uint64_t written = 0;
  bool failed = false;
  while (written < count && !failed) {
    std::string bytes;  // made outside of the time that counts
    for (std::size_t i = 0; i < group; ++i) bytes += bench.jpegs->file(i);
    const auto start = Clock::now();
    failed = ::write(fd, bytes.data(), bytes.size()) !=
                 static_cast<ssize_t>(bytes.size()) ||
             ::fdatasync(fd) != 0;
    taken += std::chrono::duration<double>(Clock::now() - start).count();
    written += group;
  }
  const int error = errno;
  ::close(fd);
  if (failed) return errno_error("write " + path.string(), error);
  return per_second(written, taken);
}

/// Store groups that the daemon has written so far.
Result<double> groups_written(DaemonProcess& daemon) {
  SHOAL_TRY(samples, daemon.metrics());
  return samples["shoal_stage_seconds_count{stage=\"store\"}"];
}

Result<std::vector<std::unique_ptr<View>>> make_views(const Bench& bench) {
  std::vector<std::unique_ptr<View>> views;
  // The bare nets run as those of the daemon do.
  constexpr std::string_view kPrecision = "views.precision=";
  DeviceOptions device;
  for (const std::string& setting : bench.settings) {
    if (setting.compare(0, kPrecision.size(), kPrecision) == 0) {
      device.precision = setting.substr(kPrecision.size());
    }
  }
  const auto handcrafted = handcrafted_view_names();
  std::string_view rest = bench.views;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    if (std::find(handcrafted.begin(), handcrafted.end(), name) !=
        handcrafted.end()) {
      SHOAL_TRY(view, make_handcrafted_view(name));
      views.push_back(std::move(view));
      continue;
    }
    SHOAL_TRY(model, read_model_folder(bench.models / name));
    SHOAL_TRY(view, make_cnn_view(model, device));
    views.push_back(std::move(view));
  }
  return views;
}

/// @return images per second of the extractor alone
Result<double> bare_rate(const Bench& bench, std::uint64_t images) {
  SHOAL_TRY(views, make_views(bench));
  Extractor extractor(std::move(views));
  std::vector<std::vector<Extractor::SizedImage>> batches;
  for (std::uint64_t i = 0; i < images; ++i) {
    if (i % kBatch == 0) batches.emplace_back();
    auto sized = decode_at_sizes(bench.jpegs->file(i), ImageLimits{},
                                 extractor.input_sizes());
    if (!sized) return corruption(sized.error().message);
    batches.back().push_back(std::move(sized).value());
  }
  const auto failed = [](const std::vector<Extraction>& extractions) {
    return std::any_of(extractions.begin(), extractions.end(),
                       [](const Extraction& e) { return e.error.has_value(); });
  };
  if (failed(extractor.extract(batches.front()))) {  // also warms up
    return internal_error("the views fail on these images");
  }
  const auto start = Clock::now();
  for (const auto& batch : batches) {
    if (failed(extractor.extract(batch))) {
      return internal_error("the views fail on these images");
    }
  }
  return per_second(
      images, std::chrono::duration<double>(Clock::now() - start).count());
}

/// Asks about random images, and clusters, one query at a time.
Result<void> measure_queries(const Bench& bench, DaemonProcess& daemon,
                             const std::string& when, double target_ms) {
  SHOAL_TRY(listed, daemon.ask("clusters"));
  const nlohmann::json& clusters = listed["clusters"];
  if (clusters.empty()) return internal_error("the epoch has no clusters");
  std::minstd_rand random(1);
  std::map<std::string, std::vector<double>> latencies;
  const auto deadline = Clock::now() + bench.longest;
  for (std::uint64_t i = 0; i < bench.queries && Clock::now() < deadline; ++i) {
    // In turns, so that all see the same load.
    for (const std::string op : {"image", "clusters", "members"}) {
      nlohmann::json fields = nlohmann::json::object();
      if (op == "image") {
        fields["id"] = bench.jpegs->id(random() % kBootstrapImages);
      } else if (op == "members") {
        fields["cluster"] = clusters[random() % clusters.size()]["cluster"];
        fields["limit"] = kMembersPage;
      }
      const auto start = Clock::now();
      SHOAL_TRY(daemon.ask(op, fields));
      latencies[op].push_back(
          std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  for (const auto& [op, seconds_taken] : latencies) {
    add_latencies(*bench.report, "query", op + ", " + when, seconds_taken,
                  op == "image" ? target_ms : 0);
  }
  return ok();
}

}  // namespace

Result<void> run_ingest(const Bench& bench, bool paused) {
  // rp_pca waits for more images than come, and all processing with it.
  if (paused &&
      bench.images * static_cast<std::uint64_t>(bench.rounds) >= kMostPaused) {
    return invalid_argument(
        "the paused phase takes fewer than 100,000 images in all rounds");
  }
  const std::string views = paused ? "rp_pca" : bench.views;
  SHOAL_TRY(
      daemon,
      open_daemon(bench, {"views.use=" + views,
                          "views.pca_fit_images=" + std::to_string(kMostPaused),
                          "bootstrap.min_images=1000000",
                          "ingest.max_pending_images=100000000"}));
  std::vector<double> rates;
  std::vector<double> mib_rates;
  std::vector<double> groups;
  std::vector<double> raw_rates;
  std::vector<double> latencies;
  std::uint64_t sent = 0;
  for (int round = 0; round < bench.rounds; ++round) {
    ::sync();  // what an earlier round left does not count
    SHOAL_TRY(groups_before, groups_written(*daemon));
    SHOAL_TRY(
        result,
        Load(*bench.jpegs, sent, ingest_options(bench, *daemon)).finish());
    sent += bench.images;
    SHOAL_TRY(groups_after, groups_written(*daemon));
    rates.push_back(per_second(result.images, result.seconds));
    mib_rates.push_back(static_cast<double>(result.bytes) / result.seconds /
                        (1 << 20));
    groups.push_back(static_cast<double>(result.images) /
                     std::max(groups_after - groups_before, 1.0));
    latencies.insert(latencies.end(), result.latencies.begin(),
                     result.latencies.end());
    if (!paused) {
      SHOAL_TRY(daemon->wait_until_idle(kLongestSettling));
    }
    const auto group = static_cast<std::size_t>(groups.back() + 0.5);
    ::sync();
    SHOAL_TRY(raw, append_raw(bench, group, result.images));
    raw_rates.push_back(raw);
  }
  const std::string phase = paused ? "paused" : "ingest";
  Report& report = *bench.report;
  report.add({phase, "to stored", median(rates), "images/s"});
  report.add({phase, "to stored", median(mib_rates), "MiB/s"});
  report.add({phase, "images per fsync", median(groups), "images"});
  add_latencies(report, phase, "sent to stored", latencies, 0);
  report.add(
      {phase, "disk alone, the same groups", median(raw_rates), "images/s"});
  report.add({phase, "share of the disk", median(rates) / median(raw_rates), "",
              Row::Target{kIngestTarget}});
  return ok();
}

Result<void> run_queries(const Bench& bench) {
  SHOAL_TRY(daemon,
            open_daemon(
                bench,
                {"views.use=" + bench.views,
                 "bootstrap.min_images=" + std::to_string(kBootstrapImages),
                 "refine.clusters=20", "ingest.max_pending_images=100000000"}));
  SHOAL_TRY(make_epoch(bench, *daemon));
  SHOAL_TRY(measure_queries(bench, *daemon, "idle", 0));

  LoadOptions options = ingest_options(bench, *daemon);
  options.images = kUnlimited;
  options.longest = 2 * bench.longest;
  Load load(*bench.jpegs, kBootstrapImages, options);
  std::this_thread::sleep_for(kLoadRamp);
  const auto measured =
      measure_queries(bench, *daemon, "full ingest", kQueryTargetMs);
  load.stop();
  SHOAL_TRY(result, load.finish());
  SHOAL_TRY(measured);
  bench.report->add({"query", "ingest meanwhile",
                     per_second(result.images, result.seconds), "images/s"});
  return ok();
}

Result<void> run_end_to_end(const Bench& bench) {
  SHOAL_TRY(bare_before, bare_rate(bench, bench.images));
  double rate = 0;
  {
    SHOAL_TRY(daemon, open_daemon(bench, {"views.use=" + bench.views,
                                          "bootstrap.min_images=" +
                                              std::to_string(kBootstrapImages),
                                          "refine.clusters=20"}));
    SHOAL_TRY(make_epoch(bench, *daemon));
    LoadOptions options = ingest_options(bench, *daemon);
    options.ack = Ack::kAssigned;
    options.clients = 1;
    options.window = 4 * kBatch;
    SHOAL_TRY(result, Load(*bench.jpegs, kBootstrapImages, options).finish());
    rate = per_second(result.images, result.seconds);
  }
  SHOAL_TRY(bare_after, bare_rate(bench, bench.images));
  const double bare = (bare_before + bare_after) / 2;
  Report& report = *bench.report;
  report.add({"e2e", bench.views + ", stored to assigned", rate, "images/s"});
  report.add({"e2e", bench.views + ", extractor alone", bare, "images/s"});
  report.add({"e2e", bench.views + ", share of it", rate / bare, "",
              Row::Target{kPipelineTarget}});
  return ok();
}

}  // namespace shoal::bench
