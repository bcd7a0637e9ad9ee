#include "daemon/metrics/metrics.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <locale>
#include <optional>
#include <prometheus/text_serializer.h>
#include <sstream>
#include <system_error>
#include <unistd.h>

#include "common/file.h"

namespace shoal {
namespace {

using Values = std::vector<std::string>;
using Buckets = prometheus::Histogram::BucketBoundaries;

// Upper bounds in seconds.
const Buckets& short_times() {
  static const Buckets bounds = {0.00001, 0.0000316, 0.0001, 0.000316, 0.001,
                                 0.002,   0.005,     0.01,   0.02,     0.05,
                                 0.1,     0.5,       1.0};
  return bounds;
}
const Buckets& long_times() {
  static const Buckets bounds = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05,
                                 0.1,    0.5,    1.0,   5.0,   10.0, 60.0};
  return bounds;
}

template <typename Builder, typename Metric, typename... Extra>
LabelledMetric<Metric> labelled(Builder builder, prometheus::Registry& registry,
                                const char* name, const char* help,
                                const char* label, Values values,
                                const Extra&... extra) {
  auto& family = builder.Name(name).Help(help).Register(registry);
  values.emplace_back("other");
  std::vector<typename LabelledMetric<Metric>::Named> metrics;
  metrics.reserve(values.size());
  for (const std::string& value : values) {
    metrics.emplace_back(value, family.Add({{label, value}}, extra...));
  }
  return LabelledMetric<Metric>(std::move(metrics));
}

LabelledCounter counters(prometheus::Registry& registry, const char* name,
                         const char* help, const char* label, Values values) {
  return labelled<decltype(prometheus::BuildCounter()), prometheus::Counter>(
      prometheus::BuildCounter(), registry, name, help, label,
      std::move(values));
}
LabelledGauge gauges(prometheus::Registry& registry, const char* name,
                     const char* help, const char* label, Values values) {
  return labelled<decltype(prometheus::BuildGauge()), prometheus::Gauge>(
      prometheus::BuildGauge(), registry, name, help, label, std::move(values));
}
LabelledHistogram histograms(prometheus::Registry& registry, const char* name,
                             const char* help, const char* label, Values values,
                             const Buckets& buckets) {
  return labelled<decltype(prometheus::BuildHistogram()),
                  prometheus::Histogram>(prometheus::BuildHistogram(), registry,
                                         name, help, label, std::move(values),
                                         buckets);
}
prometheus::Counter& counter(prometheus::Registry& registry, const char* name,
                             const char* help) {
  return prometheus::BuildCounter()
      .Name(name)
      .Help(help)
      .Register(registry)
      .Add({});
}
prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name,
                         const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(
      {});
}
prometheus::Histogram& histogram(prometheus::Registry& registry,
                                 const char* name, const char* help,
                                 const Buckets& buckets) {
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Register(registry)
      .Add({}, buckets);
}

const Values& stages() {
  static const Values names = {"check", "store", "decode",
                               "views", "embed", "assign"};
  return names;
}
const Values& query_ops() {
  static const Values names = {
      "image",    "cluster", "clusters", "members",  "similar",
      "history",  "lineage", "status",   "epochs",   "unassigned",
      "rejected", "refine",  "cancel",   "rollback", "publish",
      "confirm",  "reject",  "move",     "merge",    "split",
      "undo",     "name",    "delete",   "backup",   "bytes"};
  return names;
}
const Values& rejection_codes() {
  static const Values codes = {"bad_message",     "bad_version",
                               "missing_field",   "bad_field",
                               "bad_id",          "empty_image",
                               "not_an_image",    "unsupported_format",
                               "truncated_image", "too_many_pixels",
                               "broken_image",    "too_large",
                               "id_conflict",     "disk_full",
                               "store_failed",    "extraction_failed"};
  return codes;
}

// What the kernel tells about this process; zeros where it tells nothing.
struct ProcessFigures {
  double resident_bytes = 0;
  double cpu_seconds = 0;
  double threads = 0;
  double start_time = 0;  // Unix time
};

double field_of(const std::vector<std::string_view>& fields, std::size_t at) {
  std::int64_t value = 0;
  if (at < fields.size()) {
    const auto text = fields[at];
    std::from_chars(text.data(), text.data() + text.size(), value);
  }
  return static_cast<double>(value);
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

double boot_time() {
  const auto text = read_file("/proc/stat", 1 << 20);
  if (!text) return 0;
  constexpr std::string_view kKey = "\nbtime ";
  const std::size_t at = text.value().find(kKey);
  if (at == std::string::npos) return 0;
  return field_of(
      split(std::string_view(text.value()).substr(at + kKey.size())), 0);
}

ProcessFigures process_figures() {
  ProcessFigures figures;
  const auto stat = read_file("/proc/self/stat", 1 << 16);
  if (!stat) return figures;
  // The program's name, in parentheses, may hold anything; proc(5) numbers
  // what follows from field 3.
  const std::size_t name_end = stat.value().rfind(')');
  if (name_end == std::string::npos) return figures;
  const auto fields =
      split(std::string_view(stat.value()).substr(name_end + 1));
  const auto number = [&](std::size_t proc_field) {
    return field_of(fields, proc_field - 3);
  };
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  figures.cpu_seconds = (number(14) + number(15)) / ticks;
  figures.threads = number(20);
  figures.start_time = boot_time() + number(22) / ticks;
  figures.resident_bytes = number(24) * page;
  return figures;
}

double open_descriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator folder("/proc/self/fd", error);
  if (error) return 0;
  // One of them is the iterator's own.
  return static_cast<double>(std::distance(begin(folder), end(folder)) - 1);
}

std::string metric_name(std::string_view prefix, std::string_view name) {
  std::string out(prefix);
  for (const char c : name) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9');
    out += allowed ? c : '_';
  }
  return out;
}

}  // namespace

Metrics::Metrics()
    : ingest_images(counters(
          registry_, "shoal_ingest_images_total", "Ingest messages answered.",
          "status", {"stored", "assigned", "duplicate", "busy", "rejected"})),
      ingest_bytes(counter(registry_, "shoal_ingest_bytes_total",
                           "Bytes of image files stored.")),
      rejected(counters(registry_, "shoal_rejected_total",
                        "Images refused, or failed after they were stored.",
                        "code", rejection_codes())),
      replies_dropped(
          counter(registry_, "shoal_replies_dropped_total",
                  "Replies whose client had gone or did not read them.")),
      connections(gauges(registry_, "shoal_connections",
                         "Clients connected to a ZeroMQ socket.", "socket",
                         {"ingest", "query", "events"})),
      connections_refused(
          counter(registry_, "shoal_connections_refused_total",
                  "Connections refused beyond network.max_connections.")),
      stage_queue_images(gauges(registry_, "shoal_stage_queue_images",
                                "Images that wait for a stage.", "stage",
                                stages())),
      stage_seconds(histograms(registry_, "shoal_stage_seconds",
                               "Time that a stage takes for one batch.",
                               "stage", stages(), long_times())),
      batch_retries(
          counter(registry_, "shoal_batch_retries_total",
                  "View batches repeated with fewer images after a failure.")),
      settle_retries(
          counter(registry_, "shoal_settle_retries_total",
                  "Settled batches repeated because the store refused them.")),
      assign_seconds(
          histogram(registry_, "shoal_assign_seconds",
                    "Features ready to label durable, per batch of images.",
                    short_times())),
      query_seconds(histograms(registry_, "shoal_query_seconds",
                               "Query received to answer made.", "op",
                               query_ops(), short_times())),
      query_errors(counters(registry_, "shoal_query_errors_total",
                            "Queries answered with an error.", "op",
                            query_ops())),
      http_responses(counters(
          registry_, "shoal_http_responses_total", "HTTP answers.", "status",
          {"200", "204", "304", "400", "401", "403", "404", "405", "408", "409",
           "413", "429", "431", "500", "503"})),
      events_dropped(counter(registry_, "shoal_events_dropped_total",
                             "Events not published since the queue was full.")),
      images(gauges(registry_, "shoal_images", "Images in the store.", "state",
                    {"pending", "assigned", "unassigned", "confirmed"})),
      clusters(
          gauge(registry_, "shoal_clusters", "Clusters of the current epoch.")),
      epoch(gauge(registry_, "shoal_epoch",
                  "Number of the current epoch, 0 before the first.")),
      refine_runs(counters(
          registry_, "shoal_refine_runs_total", "Relearning runs that ended.",
          "status", {"published", "held", "failed", "skipped", "cancelled"})),
      refining(gauge(registry_, "shoal_refine_running",
                     "1 while a relearning run goes on.")),
      process_resident_memory_(gauge(registry_, "process_resident_memory_bytes",
                                     "Resident memory of the daemon.")),
      process_open_fds_(
          gauge(registry_, "process_open_fds", "Open file descriptors.")),
      process_threads_(gauge(registry_, "process_threads", "Threads.")),
      process_start_time_(gauge(registry_, "process_start_time_seconds",
                                "When the process started, Unix time.")),
      process_cpu_(counter(registry_, "process_cpu_seconds_total",
                           "User and system CPU time.")) {}

Metrics::~Metrics() = default;

std::string Metrics::render() {
  update_process();
  std::ostringstream out;
  out.imbue(std::locale::classic());
  prometheus::TextSerializer().Serialize(out, registry_.Collect());
  return out.str();
}

void Metrics::update_process() {
  const MutexLock lock(process_mutex_);
  const ProcessFigures figures = process_figures();
  process_resident_memory_.Set(figures.resident_bytes);
  process_open_fds_.Set(open_descriptors());
  process_threads_.Set(figures.threads);
  process_start_time_.Set(figures.start_time);
  process_cpu_.Increment(
      std::max(0.0, figures.cpu_seconds - process_cpu_.Value()));
}

void Metrics::set_store_figures(const std::map<std::string, double>& figures) {
  const MutexLock lock(store_mutex_);
  for (const auto& [name, value] : figures) {
    auto known = store_figures_.find(name);
    if (known == store_figures_.end()) {
      if (store_figures_.size() >= kMaxStoreFigures) continue;
      prometheus::Gauge& added =
          gauge(registry_, metric_name("shoal_store_", name).c_str(),
                "A figure of the store's own.");
      known = store_figures_.emplace(name, &added).first;
    }
    known->second->Set(value);
  }
}

}  // namespace shoal
