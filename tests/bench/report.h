#pragma once

#include <optional>
#include <string>
#include <vector>

namespace shoal::bench {

/// One measured number.
struct Row {
  /// What a number has to be.
  struct Target {
    double value = 0;
    bool at_least = true;  ///< else: at most
  };

  std::string phase;
  std::string what;
  double value = 0;
  std::string unit;
  std::optional<Target> target = std::nullopt;
};

/// Prints rows as they come, as a table or as one JSON object per line.
class Report {
 public:
  explicit Report(bool json) : json_(json) {}
  void add(const Row& row);

 private:
  bool json_;
  bool has_head_ = false;
};

/// @param share  0..1; @param values  not empty
[[nodiscard]] double quantile(std::vector<double> values, double share);

/// Adds p50, p95 and p99 of `seconds` in milliseconds.
/// @param p99_target_ms  0: none
void add_latencies(Report& report, const std::string& phase,
                   const std::string& what, const std::vector<double>& seconds,
                   double p99_target_ms);

}  // namespace shoal::bench
