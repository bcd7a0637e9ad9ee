#pragma once

#include <atomic>
#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "common/result.h"
#include "daemon/eval/methods.h"
#include "daemon/eval/results.h"

namespace shoal::eval {

struct ExperimentOptions {
  std::vector<std::string> methods;
  int seeds = 1;                ///< runs with the seeds 0..seeds-1
  std::size_t map_rows = 2000;  ///< most images of a map; 0: no maps
  const std::atomic<bool>* stop = nullptr;
  std::ostream* messages = nullptr;  ///< progress; may be null
  bool terminal = false;             ///< `messages` is one
};

/// What is clustered.
struct ExperimentData {
  std::string dataset;
  std::vector<int> truth;  ///< (n)
  std::vector<MethodView> views;
};

/// Errors: kInvalidArgument for no view, a view of another number of rows than
/// images, or a number of clusters that is not in `least`..n.
[[nodiscard]] Result<void> check_data(const ExperimentData& data, int clusters,
                                      int least);

/// Runs every method on every view (or on all) with every seed, scores the
/// labels against the truth and adds a row to `results` after each run. Runs
/// that `results` has are passed over, so that an interrupted experiment goes
/// on where it was. A method that fails is reported and the others go on.
/// @return how many runs failed
/// Errors: kCancelled when stopped; before anything runs, kNotFound for a
/// method, kInvalidArgument for fewer images than clusters and
/// kFailedPrecondition for a transfer method without a net; kIo, kStorageFull.
[[nodiscard]] Result<std::size_t> run_experiment(
    const ExperimentData& data, const MethodOptions& method_options,
    const ExperimentOptions& options, ResultFolder& results);

}  // namespace shoal::eval
