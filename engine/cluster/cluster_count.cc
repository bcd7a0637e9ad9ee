#include "engine/cluster/cluster_count.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "engine/cluster/kmeans.h"
#include "engine/score/sampling.h"
#include "engine/score/scores.h"

namespace shoal {
namespace {

/// As many restarts as a final k-means: one k stuck in a poor optimum, with 3
/// restarts seen for 9 clear clusters, sends the search elsewhere.
constexpr int kRestarts = 10;
constexpr int kIterations = 50;

/// Share of the highest silhouette that e times as many clusters must gain.
constexpr double kPriceOfClusters = 0.1;

std::string three_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

/// Every k up to 8, then steps of about a fifth.
std::vector<int> widening_range(int first, int last) {
  std::vector<int> range;
  for (int k = first; k < last;) {
    range.push_back(k);
    k += std::max(1, k / 6);
  }
  range.push_back(last);
  return range;
}

/// Mean silhouette by k, each computed once.
class Trials {
 public:
  Trials(MatrixView data, const ClusterCountOptions& options)
      : data_(data), options_(options) {}

  Result<void> run(int k) {
    if (silhouettes_.count(k) != 0) return ok();
    KMeansOptions kmeans_options;
    kmeans_options.clusters = k;
    kmeans_options.restarts = kRestarts;
    kmeans_options.max_iterations = kIterations;
    kmeans_options.seed = options_.seed;
    kmeans_options.cancelled = options_.cancelled;
    SHOAL_TRY(partition, kmeans(data_, kmeans_options));
    SHOAL_TRY(score, silhouette(data_, partition.labels, 0, 0));
    silhouettes_[k] = score;
    return ok();
  }
  /// The k with the highest silhouette less its price; ties: the smallest.
  [[nodiscard]] int best() const {
    const double highest = highest_silhouette();
    const auto worth = [&](const auto& trial) {
      return trial.second -
             kPriceOfClusters * std::max(0.0, highest) * std::log(trial.first);
    };
    return std::max_element(silhouettes_.begin(), silhouettes_.end(),
                            [&](const auto& a, const auto& b) {
                              return worth(a) < worth(b);
                            })
        ->first;
  }
  [[nodiscard]] double highest_silhouette() const {
    double highest = -1;
    for (const auto& trial : silhouettes_) {
      highest = std::max(highest, trial.second);
    }
    return highest;
  }
  [[nodiscard]] const std::map<int, double>& silhouettes() const {
    return silhouettes_;
  }

 private:
  MatrixView data_;
  const ClusterCountOptions& options_;
  std::map<int, double> silhouettes_;
};

/// Halves the gaps beside the best k until its neighbours have been tried.
Result<void> refine_around_best(Trials& trials) {
  for (;;) {
    const int best = trials.best();
    const auto& tried = trials.silhouettes();
    const auto at = tried.find(best);
    std::vector<int> next;
    if (at != tried.begin() && best - std::prev(at)->first > 1) {
      next.push_back((std::prev(at)->first + best) / 2);
    }
    if (std::next(at) != tried.end() && std::next(at)->first - best > 1) {
      next.push_back((std::next(at)->first + best) / 2);
    }
    if (next.empty()) return ok();
    for (const int k : next) {
      SHOAL_TRY(trials.run(k));
    }
  }
}

}  // namespace

Result<ClusterCountResult> estimate_cluster_count(
    MatrixView data, const ClusterCountOptions& options) {
  if (data.rows() < 4) {
    return invalid_argument("the number of clusters cannot be estimated from " +
                            std::to_string(data.rows()) +
                            " rows; 4 are needed");
  }
  if (options.max_sample < 4 || options.min_clusters < 1 ||
      options.max_clusters < options.min_clusters) {
    return invalid_argument(
        "cluster count: a sample of at least 4 and 1 <= min <= max clusters "
        "are needed");
  }
  const Matrix sample = take_rows(
      data, sample_without_replacement(
                static_cast<std::size_t>(data.rows()),
                static_cast<std::size_t>(options.max_sample), options.seed));
  const int rows = static_cast<int>(sample.rows());
  // At n - 1 clusters nearly every row is alone and scores nothing.
  const int last = std::min(options.max_clusters, rows - 1);
  const int first = std::min(options.min_clusters, last);
  Trials trials(sample, options);
  for (const int k : widening_range(first, last)) {
    SHOAL_TRY(trials.run(k));
  }
  SHOAL_TRY(refine_around_best(trials));

  ClusterCountResult result;
  result.clusters = trials.best();
  result.silhouettes.assign(trials.silhouettes().begin(),
                            trials.silhouettes().end());
  result.reason =
      std::to_string(result.clusters) + " clusters: mean silhouette " +
      three_digits(trials.silhouettes().at(result.clusters)) +
      " against at most " + three_digits(trials.highest_silhouette()) + " at " +
      std::to_string(result.silhouettes.size()) + " counts tried from " +
      std::to_string(first) + " to " + std::to_string(last) + " on " +
      std::to_string(rows) + " images, fewer clusters preferred";
  return result;
}

}  // namespace shoal
