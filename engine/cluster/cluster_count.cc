#include "engine/cluster/cluster_count.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <utility>

#include "engine/cluster/ensemble.h"
#include "engine/cluster/internal/laplacian.h"
#include "engine/cluster/kmeans.h"
#include "engine/cluster/pca.h"
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

constexpr int kGraphNeighbours = 10;
/// Eigenvalues below this are as good as 0: where a cluster is a ring, as a
/// turning object's views are, its own eigenvalues begin hardly above it.
constexpr double kSmallEigenvalue = 0.02;
/// Rows whose Laplacian is decomposed: some seconds.
constexpr int kLaplacianRows = 2000;
/// Of each view, before the many runs of k-means.
constexpr int kComponents = 64;

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

Result<std::vector<int>> partition(MatrixView data, int k,
                                   const ClusterCountOptions& options) {
  KMeansOptions kmeans_options;
  kmeans_options.clusters = k;
  kmeans_options.restarts = kRestarts;
  kmeans_options.max_iterations = kIterations;
  kmeans_options.seed = options.seed;
  kmeans_options.cancelled = options.cancelled;
  SHOAL_TRY(result, kmeans(data, kmeans_options));
  return std::move(result.labels);
}

/// Scores by k, each computed once.
class Trials {
 public:
  /// @param price  share of the highest score that e times as many clusters
  ///   must gain
  Trials(std::function<Result<double>(int)> score, double price)
      : score_(std::move(score)), price_(price) {}

  Result<void> run(int k) {
    if (scores_.count(k) != 0) return ok();
    SHOAL_TRY(score, score_(k));
    scores_[k] = score;
    return ok();
  }
  /// The k with the highest score less its price; ties: the smallest.
  [[nodiscard]] int best() const {
    const double highest = highest_score();
    const auto worth = [&](const auto& trial) {
      return trial.second -
             price_ * std::max(0.0, highest) * std::log(trial.first);
    };
    return std::max_element(scores_.begin(), scores_.end(),
                            [&](const auto& a, const auto& b) {
                              return worth(a) < worth(b);
                            })
        ->first;
  }
  [[nodiscard]] double highest_score() const {
    double highest = -1;
    for (const auto& trial : scores_) highest = std::max(highest, trial.second);
    return highest;
  }
  [[nodiscard]] const std::map<int, double>& scores() const { return scores_; }

 private:
  std::function<Result<double>(int)> score_;
  double price_;
  std::map<int, double> scores_;
};

Trials silhouette_trials(const Matrix& sample,
                         const ClusterCountOptions& options) {
  return Trials(
      [&](int k) -> Result<double> {
        SHOAL_TRY(labels, partition(sample, k, options));
        return silhouette(sample, labels, 0, 0);
      },
      kPriceOfClusters);
}

/// Halves the gaps beside the best k until its neighbours have been tried.
Result<void> refine_around_best(Trials& trials) {
  for (;;) {
    const int best = trials.best();
    const auto& tried = trials.scores();
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

struct Range {
  int first = 0;
  int last = 0;
};

/// At n - 1 clusters nearly every row is alone and scores nothing.
Range range_for(int rows, const ClusterCountOptions& options) {
  const int last = std::min(options.max_clusters, rows - 1);
  return {std::min(options.min_clusters, last), last};
}

Result<void> search(Range range, Trials& trials) {
  for (const int k : widening_range(range.first, range.last)) {
    SHOAL_TRY(trials.run(k));
  }
  return refine_around_best(trials);
}

Result<void> check(Eigen::Index rows, const ClusterCountOptions& options) {
  if (rows < 4) {
    return invalid_argument("the number of clusters cannot be estimated from " +
                            std::to_string(rows) + " rows; 4 are needed");
  }
  if (options.max_sample < 4 || options.min_clusters < 1 ||
      options.max_clusters < options.min_clusters) {
    return invalid_argument(
        "cluster count: a sample of at least 4 and 1 <= min <= max clusters "
        "are needed");
  }
  return ok();
}

Matrix draw_rows(MatrixView data, int count, std::uint64_t seed) {
  return take_rows(
      data, sample_without_replacement(static_cast<std::size_t>(data.rows()),
                                       static_cast<std::size_t>(count), seed));
}

ClusterCountEstimate estimate_of(std::string method, const Trials& trials) {
  return {std::move(method),
          trials.best(),
          {trials.scores().begin(), trials.scores().end()}};
}

Result<ClusterCountEstimate> by_eigengap(MatrixView sample, Range range,
                                         const ClusterCountOptions& options) {
  const Matrix rows = draw_rows(sample, kLaplacianRows, options.seed);
  const int last = std::min(range.last, static_cast<int>(rows.rows()) - 1);
  SHOAL_TRY(values, internal::laplacian_eigenvalues(
                        rows, kGraphNeighbours, last + 1, options.cancelled));
  ClusterCountEstimate estimate{"eigengap", 0, {}};
  double largest = -1;
  for (int k = std::min(range.first, last); k <= last; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const double gap =
        std::log((std::max(0.0, values[at]) + kSmallEigenvalue) /
                 (std::max(0.0, values[at - 1]) + kSmallEigenvalue));
    estimate.scores.emplace_back(k, gap);
    if (gap <= largest) continue;
    largest = gap;
    estimate.clusters = k;
  }
  return estimate;
}

/// Mean ARI of the views' partitions into k, over all pairs of views.
Result<double> agreement(const std::vector<Matrix>& views, int k,
                         const ClusterCountOptions& options) {
  std::vector<std::vector<int>> partitions;
  for (const Matrix& view : views) {
    SHOAL_TRY(labels, partition(view, k, options));
    partitions.push_back(std::move(labels));
  }
  double sum = 0;
  int pairs = 0;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      SHOAL_TRY(ari, adjusted_rand(partitions[i], partitions[j]));
      sum += ari;
      ++pairs;
    }
  }
  return sum / pairs;
}

/// Its first principal components; as it is where it has none.
Result<Matrix> principal_part(const Matrix& view) {
  PcaOptions options;
  options.max_components = kComponents;
  SHOAL_TRY(pca, fit_pca(view, options));
  if (pca.components.rows() == 0) return view;
  return pca.project(view, false);
}

/// The same sample of each view, side by side and by itself.
struct Samples {
  Matrix joined;              // normalised view by view
  std::vector<Matrix> parts;  // projected too
};

Result<Samples> draw_samples(const std::vector<Matrix>& views,
                             const ClusterCountOptions& options) {
  std::vector<Matrix> drawn;
  for (const Matrix& view : views) {
    drawn.push_back(draw_rows(view, options.max_sample, options.seed));
  }
  Samples samples;
  SHOAL_TRY(joined, concatenate_views(drawn));
  samples.joined = std::move(joined);
  Eigen::Index first = 0;
  for (const Matrix& view : drawn) {
    SHOAL_TRY(part,
              principal_part(samples.joined.middleCols(first, view.cols())));
    samples.parts.push_back(std::move(part));
    first += view.cols();
  }
  return samples;
}

/// The views' principal parts side by side: their distances are those of the
/// normalised views, up to what the projection leaves out.
Matrix side_by_side(const std::vector<Matrix>& parts) {
  Eigen::Index columns = 0;
  for (const Matrix& part : parts) columns += part.cols();
  Matrix joined(parts.front().rows(), columns);
  Eigen::Index first = 0;
  for (const Matrix& part : parts) {
    joined.middleCols(first, part.cols()) = part;
    first += part.cols();
  }
  return joined;
}

ClusterCountConsensus decide(std::vector<ClusterCountEstimate> estimates,
                             std::size_t views, Eigen::Index rows) {
  ClusterCountConsensus consensus;
  std::string said;
  std::vector<int> counts;
  for (const ClusterCountEstimate& estimate : estimates) {
    counts.push_back(estimate.clusters);
    said += (said.empty() ? "" : ", ") + estimate.method + " " +
            std::to_string(estimate.clusters);
  }
  if (counts.size() == 3) {
    std::sort(counts.begin(), counts.end());
    consensus.clusters = counts[1];
    said += "; the median was taken";
  } else {
    consensus.clusters = *std::min_element(counts.begin(), counts.end());
    said += "; the smaller was taken";
  }
  consensus.reason = std::to_string(consensus.clusters) + " clusters: " + said +
                     " (" + std::to_string(views) + " views of " +
                     std::to_string(rows) + " images)";
  consensus.estimates = std::move(estimates);
  return consensus;
}

}  // namespace

Result<ClusterCountResult> estimate_cluster_count(
    MatrixView data, const ClusterCountOptions& options) {
  SHOAL_TRY(check(data.rows(), options));
  const Matrix sample = draw_rows(data, options.max_sample, options.seed);
  const int rows = static_cast<int>(sample.rows());
  const Range range = range_for(rows, options);
  Trials trials = silhouette_trials(sample, options);
  SHOAL_TRY(search(range, trials));

  ClusterCountResult result;
  result.clusters = trials.best();
  result.silhouettes.assign(trials.scores().begin(), trials.scores().end());
  result.reason =
      std::to_string(result.clusters) + " clusters: mean silhouette " +
      three_digits(trials.scores().at(result.clusters)) + " against at most " +
      three_digits(trials.highest_score()) + " at " +
      std::to_string(result.silhouettes.size()) + " counts tried from " +
      std::to_string(range.first) + " to " + std::to_string(range.last) +
      " on " + std::to_string(rows) + " images, fewer clusters preferred";
  return result;
}

Result<ClusterCountConsensus> estimate_cluster_count(
    const std::vector<Matrix>& views, const ClusterCountOptions& options) {
  if (views.empty()) {
    return invalid_argument("cluster count: at least one view is needed");
  }
  for (const Matrix& view : views) {
    SHOAL_TRY(check(view.rows(), options));
    if (view.rows() == views.front().rows()) continue;
    return invalid_argument("cluster count: views of " +
                            std::to_string(views.front().rows()) + " and " +
                            std::to_string(view.rows()) + " rows");
  }
  SHOAL_TRY(samples, draw_samples(views, options));
  const std::vector<Matrix>& parts = samples.parts;
  const Matrix projected = side_by_side(parts);
  const Range range = range_for(static_cast<int>(projected.rows()), options);
  std::vector<ClusterCountEstimate> estimates;
  Trials silhouettes = silhouette_trials(projected, options);
  SHOAL_TRY(search(range, silhouettes));
  estimates.push_back(estimate_of("silhouette", silhouettes));
  SHOAL_TRY(gap, by_eigengap(samples.joined, range, options));
  estimates.push_back(std::move(gap));
  if (parts.size() > 1) {
    Trials agreements([&](int k) { return agreement(parts, k, options); }, 0);
    SHOAL_TRY(search(range, agreements));
    estimates.push_back(estimate_of("agreement", agreements));
  }
  return decide(std::move(estimates), views.size(), projected.rows());
}

}  // namespace shoal
