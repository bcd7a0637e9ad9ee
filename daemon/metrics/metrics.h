#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/mutex.h"

namespace shoal {

/// Metrics of one name that differ in the value of one label. The values are
/// a closed set fixed at construction, so that no input can make the number of
/// time series grow; any other value counts as "other".
/// Immutable (the metrics themselves are thread-safe).
template <typename Metric>
class LabelledMetric {
 public:
  using Named = std::pair<std::string, std::reference_wrapper<Metric>>;
  /// @param metrics  at least one; the last one takes unknown values
  explicit LabelledMetric(std::vector<Named> metrics)
      : metrics_(std::move(metrics)) {}

  [[nodiscard]] Metric& operator[](std::string_view value) const {
    for (const Named& named : metrics_) {
      if (named.first == value) return named.second;
    }
    return metrics_.back().second;
  }

 private:
  std::vector<Named> metrics_;
};

using LabelledCounter = LabelledMetric<prometheus::Counter>;
using LabelledGauge = LabelledMetric<prometheus::Gauge>;
using LabelledHistogram = LabelledMetric<prometheus::Histogram>;

/// Adds a duration, in seconds, to a histogram.
inline void observe(prometheus::Histogram& histogram,
                    std::chrono::duration<double> seconds) {
  histogram.Observe(seconds.count());
}

/// Everything the daemon measures about itself, each metric declared once:
/// name, help and label values are in metrics.cc. Names follow Prometheus:
/// base units, _total for counters. No image or cluster id is ever a label.
///
/// Callers use the members: `metrics.rejected["bad_id"].Increment()`. One
/// object per process, passed by reference.
/// Thread-safe.
class Metrics {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  ~Metrics();

  /// All metrics in Prometheus's text format, version 0.0.4, in any locale.
  [[nodiscard]] std::string render();

  /// Replaces the store's own figures (name -> value), shown as the gauges
  /// shoal_store_<name>. Characters that a metric name cannot have become '_';
  /// names beyond the first kMaxStoreFigures are left out.
  void set_store_figures(const std::map<std::string, double>& figures);
  static constexpr std::size_t kMaxStoreFigures = 100;

 private:
  // First, since the members below register themselves in it.
  prometheus::Registry registry_;

 public:
  // ---- ingest
  LabelledCounter ingest_images;  ///< label status: the reply's
  prometheus::Counter& ingest_bytes;
  LabelledCounter rejected;  ///< label code: the error's
  prometheus::Counter& replies_dropped;
  LabelledGauge connections;  ///< label socket
  prometheus::Counter& connections_refused;

  // ---- pipeline
  LabelledGauge stage_queue_images;  ///< label stage: images waiting before it
  LabelledHistogram stage_seconds;   ///< label stage: one batch or image
  prometheus::Counter& batch_retries;
  prometheus::Counter& settle_retries;
  prometheus::Histogram& assign_seconds;

  // ---- answers
  LabelledHistogram query_seconds;  ///< label op
  LabelledCounter query_errors;     ///< label op
  LabelledCounter http_responses;   ///< label status: "200", ...
  prometheus::Counter& events_dropped;

  // ---- state
  LabelledGauge images;  ///< label state: pending, assigned, ...
  prometheus::Gauge& clusters;
  prometheus::Gauge& epoch;
  LabelledCounter refine_runs;  ///< label status: published, held, ...
  prometheus::Gauge& refining;  ///< 1 while a run goes on

 private:
  void update_process();

  prometheus::Gauge& process_resident_memory_;
  prometheus::Gauge& process_open_fds_;
  prometheus::Gauge& process_threads_;
  prometheus::Gauge& process_start_time_;
  prometheus::Counter& process_cpu_;
  // Renders may overlap, and the CPU counter is raised by a difference.
  Mutex process_mutex_;
  Mutex store_mutex_;
  std::map<std::string, prometheus::Gauge*> store_figures_
      SHOAL_GUARDED_BY(store_mutex_);
};

}  // namespace shoal
