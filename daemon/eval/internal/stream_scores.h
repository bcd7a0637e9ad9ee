#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "daemon/eval/stream.h"
#include "store/records.h"

namespace shoal::eval {

/// Labels as numbers; the pool is 0.
[[nodiscard]] std::vector<int> cluster_numbers(
    const std::vector<Label>& labels);

/// @param truth, labels  (n)
[[nodiscard]] Result<StreamScores> score_labels(
    const std::vector<int>& truth, const std::vector<Label>& labels);

/// Counts of those of the arrivals (truth, labels) whose class is in `classes`
/// exactly when `inside`.
[[nodiscard]] StreamArrivals count_arrivals(const std::vector<int>& truth,
                                            const std::vector<Label>& labels,
                                            const std::set<int>& classes,
                                            bool inside);

/// Fills in `clusters`, `born`, `ended` and `kept`.
/// @param before, after  (n) of the same images
void compare_clusters(const std::vector<Label>& before,
                      const std::vector<Label>& after, StreamRun& run);

/// Remembers every confirmed label that there ever was. Owner-thread.
class ConfirmedWatch {
 public:
  /// Fills in `confirmed`, `purity` and `confirmed_changed`.
  /// @param truth, labels  of the images so far, always in the same order
  void look(const std::vector<int>& truth, const std::vector<Label>& labels,
            StreamRun& run);

 private:
  std::map<std::size_t, ClusterId> ever_;  ///< by the image's position
};

}  // namespace shoal::eval
