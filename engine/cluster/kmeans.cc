#include "engine/cluster/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "engine/score/distances.h"

namespace shoal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Error cancelled_error() {
  return {ErrorCode::kCancelled, "k-means was cancelled"};
}

/// The options' constraints, checked and ordered for look-up by row.
class Constraints {
 public:
  static Result<Constraints> make(const KMeansOptions& options,
                                  std::size_t rows) {
    Constraints made;
    const int k = options.clusters;
    made.fixed_ = options.fixed;
    made.has_fixed_.resize(static_cast<std::size_t>(k), false);
    if (!made.fixed_.empty() && made.fixed_.size() != rows) {
      return invalid_argument("k-means: " + std::to_string(made.fixed_.size()) +
                              " fixed labels for " + std::to_string(rows) +
                              " rows");
    }
    std::size_t free_rows = rows;
    for (const int cluster : made.fixed_) {
      if (cluster < -1 || cluster >= k) {
        return invalid_argument("k-means: fixed cluster " +
                                std::to_string(cluster) + " of " +
                                std::to_string(k));
      }
      if (cluster < 0) continue;
      --free_rows;
      made.has_fixed_[static_cast<std::size_t>(cluster)] = true;
    }
    const auto seedless = static_cast<std::size_t>(
        std::count(made.has_fixed_.begin(), made.has_fixed_.end(), false));
    if (seedless > free_rows) {
      return invalid_argument("k-means: " + std::to_string(free_rows) +
                              " free rows for " + std::to_string(seedless) +
                              " clusters without fixed rows");
    }

    made.forbidden_ = options.forbidden;
    std::sort(made.forbidden_.begin(), made.forbidden_.end());
    made.forbidden_.erase(
        std::unique(made.forbidden_.begin(), made.forbidden_.end()),
        made.forbidden_.end());
    int in_row = 0;
    for (std::size_t i = 0; i < made.forbidden_.size(); ++i) {
      const auto [row, cluster] = made.forbidden_[i];
      if (row < 0 || static_cast<std::size_t>(row) >= rows || cluster < 0 ||
          cluster >= k) {
        return invalid_argument("k-means: forbidden pair (" +
                                std::to_string(row) + ", " +
                                std::to_string(cluster) + ") is out of range");
      }
      const bool same_row = i > 0 && made.forbidden_[i - 1].first == row;
      in_row = same_row ? in_row + 1 : 1;
      if (in_row == k || made.fixed(row) == cluster) {
        return invalid_argument("k-means: row " + std::to_string(row) +
                                " is left without a cluster");
      }
    }
    return made;
  }

  /// The cluster that the row must stay in, or -1.
  [[nodiscard]] int fixed(Eigen::Index row) const {
    return fixed_.empty() ? -1 : fixed_[static_cast<std::size_t>(row)];
  }
  [[nodiscard]] bool has_fixed(int cluster) const {
    return has_fixed_[static_cast<std::size_t>(cluster)];
  }
  [[nodiscard]] bool forbids(Eigen::Index row, int cluster) const {
    return std::binary_search(
        forbidden_.begin(), forbidden_.end(),
        std::pair<int, int>(static_cast<int>(row), cluster));
  }
  /// Calls `use(row, cluster)` for the forbidden pairs of rows first..last-1.
  template <typename Use>
  void for_rows(Eigen::Index first, Eigen::Index last, Use use) const {
    auto pair =
        std::lower_bound(forbidden_.begin(), forbidden_.end(),
                         std::pair<int, int>(static_cast<int>(first), 0));
    for (; pair != forbidden_.end() && pair->first < last; ++pair) {
      use(pair->first, pair->second);
    }
  }

 private:
  std::vector<int> fixed_;
  std::vector<bool> has_fixed_;
  std::vector<std::pair<int, int>> forbidden_;
};

/// What stays the same in every restart.
struct Problem {
  MatrixView data;
  const KMeansOptions& options;
  const Constraints& constraints;
  Vector mean;   // (d)
  Vector norms;  // (n) |x - mean|^2
  double stop_shift = 0;
};

bool is_cancelled(const Problem& problem) {
  return problem.options.cancelled && problem.options.cancelled();
}

/// squared_l2 of every row to each of a few points, column by column.
Eigen::MatrixXf distances_to(const Problem& problem, MatrixView points) {
  const PointDistances distances(points, problem.mean);
  Eigen::MatrixXf out(problem.data.rows(), points.rows());
  Matrix block(PointDistances::kBlockRows, points.rows());
  for (Eigen::Index start = 0; start < problem.data.rows();
       start += block.rows()) {
    const Eigen::Index count =
        std::min(block.rows(), problem.data.rows() - start);
    auto head = block.topRows(count);
    distances.measure(problem.data.middleRows(start, count),
                      problem.norms.segment(start, count), head);
    out.middleRows(start, count) = head;
  }
  return out;
}

double total(const Eigen::Ref<const Vector>& values) {
  return values.cast<double>().sum();
}

/// Draws rows with probability in proportion to `weight`.
class WeightedDraw {
 public:
  explicit WeightedDraw(const Vector& weight)
      : cumulative_(static_cast<std::size_t>(weight.size())) {
    double sum = 0;
    for (std::size_t i = 0; i < cumulative_.size(); ++i) {
      sum += weight[static_cast<Eigen::Index>(i)];
      cumulative_[i] = sum;
    }
  }
  [[nodiscard]] bool possible() const {
    return cumulative_.back() > 0 && std::isfinite(cumulative_.back());
  }
  Eigen::Index operator()(std::mt19937_64& random) const {
    std::uniform_real_distribution<double> uniform(0, cumulative_.back());
    const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end(),
                                     uniform(random));
    return at == cumulative_.end()
               ? static_cast<Eigen::Index>(cumulative_.size()) - 1
               : at - cumulative_.begin();
  }

 private:
  std::vector<double> cumulative_;
};

/// Greedy k-means++: of 2 + ln k rows drawn by squared distance the one that
/// lowers the sum of squared distances most becomes the next centroid.
Result<Matrix> seed_centroids(const Problem& problem, std::mt19937_64& random) {
  const MatrixView data = problem.data;
  const int k = problem.options.clusters;
  Matrix centroids(k, data.cols());

  Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(data.cols(), k);
  std::vector<double> counts(static_cast<std::size_t>(k), 0.0);
  Vector free = Vector::Ones(data.rows());
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    const int cluster = problem.constraints.fixed(i);
    if (cluster < 0) continue;
    sums.col(cluster) += data.row(i).transpose().cast<double>();
    counts[static_cast<std::size_t>(cluster)] += 1;
    free[i] = 0;
  }
  // Rows in fixed clusters cannot follow a new centroid: they weigh nothing.
  Vector closest = Vector::Constant(data.rows(), kInfinity);
  std::vector<int> open;
  for (int j = 0; j < k; ++j) {
    if (!problem.constraints.has_fixed(j)) {
      open.push_back(j);
      continue;
    }
    centroids.row(j) = (sums.col(j) / counts[static_cast<std::size_t>(j)])
                           .cast<float>()
                           .transpose();
    closest = closest.cwiseMin(
        distances_to(problem, centroids.middleRows(j, 1)).col(0));
  }
  closest = (free.array() > 0).select(closest, 0.0F);

  const int candidates = 2 + static_cast<int>(std::log(k));
  bool first = open.size() == static_cast<std::size_t>(k);
  for (const int j : open) {
    if (is_cancelled(problem)) return cancelled_error();
    const WeightedDraw by_distance(first ? free : closest);
    // Every free row lies on a centroid already: any will do.
    const bool degenerate = !by_distance.possible();
    const WeightedDraw draw = degenerate ? WeightedDraw(free) : by_distance;
    if (first || degenerate) {
      const Eigen::Index row = draw(random);
      centroids.row(j) = data.row(row);
      const Vector distance =
          distances_to(problem, centroids.middleRows(j, 1)).col(0);
      closest = (free.array() > 0).select(closest.cwiseMin(distance), 0.0F);
      first = false;
      continue;
    }
    Matrix points(candidates, data.cols());
    for (int c = 0; c < candidates; ++c) {
      points.row(c) = data.row(draw(random));
    }
    Eigen::MatrixXf distance = distances_to(problem, points);
    int best = 0;
    double best_sum = std::numeric_limits<double>::infinity();
    for (int c = 0; c < candidates; ++c) {
      distance.col(c) = distance.col(c).cwiseMin(closest);
      const double sum = total(distance.col(c));
      if (sum < best_sum) {
        best_sum = sum;
        best = c;
      }
    }
    centroids.row(j) = points.row(best);
    closest = distance.col(best);
  }
  return centroids;
}

/// Gives every row its nearest allowed centroid.
/// @param distance  (n) receives the squared_l2 to it
void assign_rows(const Problem& problem, const Matrix& centroids,
                 std::vector<int>& labels, Vector& distance) {
  const PointDistances distances(centroids, problem.mean);
  Matrix block(PointDistances::kBlockRows, centroids.rows());
  for (Eigen::Index start = 0; start < problem.data.rows();
       start += block.rows()) {
    const Eigen::Index count =
        std::min(block.rows(), problem.data.rows() - start);
    auto head = block.topRows(count);
    distances.compare(problem.data.middleRows(start, count), head);
    problem.constraints.for_rows(
        start, start + count,
        [&](int row, int cluster) { head(row - start, cluster) = kInfinity; });
    for (Eigen::Index i = 0; i < count; ++i) {
      const Eigen::Index row = start + i;
      Eigen::Index nearest = problem.constraints.fixed(row);
      if (nearest < 0) head.row(i).minCoeff(&nearest);
      labels[static_cast<std::size_t>(row)] = static_cast<int>(nearest);
      distance[row] = std::max(0.0F, head(i, nearest) + problem.norms[row]);
    }
  }
}

/// Moves the farthest rows that may move into clusters without rows, as long
/// as no other cluster runs empty by that.
void fill_empty_clusters(const Problem& problem, std::vector<int>& labels,
                         Vector& distance) {
  std::vector<int> sizes(static_cast<std::size_t>(problem.options.clusters), 0);
  for (const int label : labels) ++sizes[static_cast<std::size_t>(label)];
  for (int j = 0; j < problem.options.clusters; ++j) {
    if (sizes[static_cast<std::size_t>(j)] > 0) continue;
    Eigen::Index farthest = -1;
    for (Eigen::Index i = 0; i < problem.data.rows(); ++i) {
      const int label = labels[static_cast<std::size_t>(i)];
      if (sizes[static_cast<std::size_t>(label)] < 2 ||
          problem.constraints.fixed(i) >= 0 ||
          problem.constraints.forbids(i, j)) {
        continue;
      }
      if (farthest < 0 || distance[i] > distance[farthest]) farthest = i;
    }
    if (farthest < 0) continue;
    int& label = labels[static_cast<std::size_t>(farthest)];
    --sizes[static_cast<std::size_t>(label)];
    label = j;
    sizes[static_cast<std::size_t>(j)] = 1;
    distance[farthest] = 0;
  }
}

/// Sums of the members of each cluster, kept up to date row by row: after the
/// first iterations few rows move.
class RunningMeans {
 public:
  explicit RunningMeans(const Problem& problem)
      : data_(problem.data),
        labels_(static_cast<std::size_t>(problem.data.rows()), -1),
        sums_(Eigen::MatrixXd::Zero(problem.data.cols(),
                                    problem.options.clusters)),
        counts_(Eigen::VectorXd::Zero(problem.options.clusters)) {}

  /// @return whether any label changed
  bool update(const std::vector<int>& labels) {
    bool changed = false;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == labels_[i]) continue;
      changed = true;
      const auto x =
          data_.row(static_cast<Eigen::Index>(i)).transpose().cast<double>();
      if (labels_[i] >= 0) {
        sums_.col(labels_[i]) -= x;
        counts_[labels_[i]] -= 1;
      }
      sums_.col(labels[i]) += x;
      counts_[labels[i]] += 1;
      labels_[i] = labels[i];
    }
    return changed;
  }
  /// Moves the centroids of clusters with members to their mean.
  /// @return the sum of the squared movements
  double move(Matrix& centroids) const {
    double shift = 0;
    for (Eigen::Index j = 0; j < centroids.rows(); ++j) {
      if (counts_[j] < 1) continue;
      const Vector mean = (sums_.col(j) / counts_[j]).cast<float>();
      shift += (mean.transpose() - centroids.row(j)).squaredNorm();
      centroids.row(j) = mean.transpose();
    }
    return shift;
  }

 private:
  MatrixView data_;
  std::vector<int> labels_;
  Eigen::MatrixXd sums_;  // (d, k): a cluster's sum is contiguous
  Eigen::VectorXd counts_;
};

double exact_inertia(const Problem& problem, const KMeansResult& result) {
  double inertia = 0;
  for (Eigen::Index i = 0; i < problem.data.rows(); ++i) {
    inertia +=
        (problem.data.row(i) -
         result.centroids.row(result.labels[static_cast<std::size_t>(i)]))
            .squaredNorm();
  }
  return inertia;
}

Result<KMeansResult> run_once(const Problem& problem, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  KMeansResult result;
  SHOAL_TRY(seeds, seed_centroids(problem, random));
  result.centroids = std::move(seeds);
  result.labels.resize(static_cast<std::size_t>(problem.data.rows()));
  Vector distance(problem.data.rows());
  RunningMeans means(problem);
  bool settled = false;
  while (!settled && result.iterations < problem.options.max_iterations) {
    if (is_cancelled(problem)) return cancelled_error();
    ++result.iterations;
    assign_rows(problem, result.centroids, result.labels, distance);
    fill_empty_clusters(problem, result.labels, distance);
    if (!means.update(result.labels)) break;
    settled = means.move(result.centroids) <= problem.stop_shift;
  }
  // The centroids moved after the last assignment.
  assign_rows(problem, result.centroids, result.labels, distance);
  result.inertia = exact_inertia(problem, result);
  return result;
}

double mean_column_variance(MatrixView data, const Vector& norms) {
  return total(norms) /
         (static_cast<double>(data.rows()) * static_cast<double>(data.cols()));
}

}  // namespace

Result<KMeansResult> kmeans(MatrixView data, const KMeansOptions& options) {
  if (options.clusters < 1 || options.restarts < 1 ||
      options.max_iterations < 1) {
    return invalid_argument(
        "k-means: clusters, restarts and iterations must be at least 1");
  }
  if (data.cols() < 1 || data.rows() < options.clusters) {
    return invalid_argument("k-means: " + std::to_string(data.rows()) +
                            " rows of " + std::to_string(data.cols()) +
                            " values for " + std::to_string(options.clusters) +
                            " clusters");
  }
  if (!data.allFinite()) {
    return invalid_argument(
        "k-means: the data hold a value that is not finite");
  }
  SHOAL_TRY(constraints,
            Constraints::make(options, static_cast<std::size_t>(data.rows())));
  Problem problem{data, options, constraints, mean_row(data), {}, 0};
  problem.norms = squared_norms(data, problem.mean);
  problem.stop_shift =
      options.tolerance * mean_column_variance(data, problem.norms);

  std::mt19937_64 seeds(options.seed);
  KMeansResult best;
  best.inertia = std::numeric_limits<double>::infinity();
  for (int restart = 0; restart < options.restarts; ++restart) {
    SHOAL_TRY(result, run_once(problem, seeds()));
    if (restart == 0 || result.inertia < best.inertia) {
      best = std::move(result);
    }
  }
  return best;
}

NearestResult nearest_centroids(MatrixView data, MatrixView centroids) {
  NearestResult result;
  result.index.resize(static_cast<std::size_t>(data.rows()));
  result.squared_l2.resize(static_cast<std::size_t>(data.rows()));
  if (data.rows() == 0) return result;
  const PointDistances distances(centroids, mean_row(centroids));
  Matrix block(std::min(PointDistances::kBlockRows, data.rows()),
               centroids.rows());
  for (Eigen::Index start = 0; start < data.rows(); start += block.rows()) {
    const Eigen::Index count = std::min(block.rows(), data.rows() - start);
    auto head = block.topRows(count);
    distances.compare(data.middleRows(start, count), head);
    for (Eigen::Index i = 0; i < count; ++i) {
      const Eigen::Index row = start + i;
      Eigen::Index nearest = 0;
      head.row(i).minCoeff(&nearest);
      const auto at = static_cast<std::size_t>(row);
      result.index[at] = static_cast<int>(nearest);
      result.squared_l2[at] =
          (data.row(row) - centroids.row(nearest)).squaredNorm();
    }
  }
  return result;
}

}  // namespace shoal
