#include "tests/bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace shoal::bench {

void Report::add(const Row& row) {
  const bool met =
      row.target && (row.target->at_least ? row.value >= row.target->value
                                          : row.value <= row.target->value);
  if (json_) {
    nlohmann::json line = {{"phase", row.phase},
                           {"what", row.what},
                           {"value", row.value},
                           {"unit", row.unit}};
    if (row.target) {
      line["target"] = row.target->value;
      line["met"] = met;
    }
    std::printf("%s\n", line.dump().c_str());
  } else {
    if (!has_head_) {
      std::printf("%-9s %-46s %12s %-9s %s\n", "phase", "what", "value", "unit",
                  "target");
      has_head_ = true;
    }
    std::printf("%-9s %-46s %12.2f %-9s", row.phase.c_str(), row.what.c_str(),
                row.value, row.unit.c_str());
    if (row.target) {
      std::printf(" %s %g: %s",
                  row.target->at_least ? ">=" : "<=", row.target->value,
                  met ? "met" : "missed");
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double rank = share * static_cast<double>(values.size());
  const auto at = static_cast<std::size_t>(std::max(std::ceil(rank) - 1, 0.0));
  return values[std::min(at, values.size() - 1)];
}

void add_latencies(Report& report, const std::string& phase,
                   const std::string& what, const std::vector<double>& seconds,
                   double p99_target_ms) {
  if (seconds.empty()) return;
  for (const auto& [name, share] :
       {std::pair{"p50", 0.50}, std::pair{"p95", 0.95}}) {
    report.add(
        {phase, what + " " + name, 1e3 * quantile(seconds, share), "ms"});
  }
  Row last{phase, what + " p99", 1e3 * quantile(seconds, 0.99), "ms"};
  if (p99_target_ms > 0) last.target = Row::Target{p99_target_ms, false};
  report.add(last);
}

}  // namespace shoal::bench
