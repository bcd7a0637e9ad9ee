#include "engine/cluster/mini_batch_kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/score/sampling.h"

namespace shoal {
namespace {

/// Rows for each cluster in the sample that the centroids start from.
constexpr std::size_t kSampleRowsPerCluster = 100;
constexpr int kSampleRestarts = 10;
constexpr int kSampleIterations = 30;
/// A centroid that so many rows for each cluster (or all) passed by is set
/// elsewhere. A cluster of a hundredth of the mean size is passed by so many
/// once in e^10 times: small ones are kept.
constexpr std::size_t kPatienceRowsPerCluster = 1000;
/// Batches in a row that bring no lower smoothed inertia before the end.
constexpr int kBatchesWithoutGain = 10;

Error cancelled_error() {
  return {ErrorCode::kCancelled, "mini-batch k-means was cancelled"};
}

std::size_t as_size(Eigen::Index value) {
  return static_cast<std::size_t>(value);
}

/// All rows in random order, again and again, a batch at a time.
class Batches {
 public:
  Batches(std::size_t rows, std::size_t batch, std::uint64_t seed)
      : batch_(std::min(rows, batch)), order_(rows), random_(seed) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    next_ = rows;
  }
  std::vector<std::size_t> draw() {
    if (next_ + batch_ > order_.size()) {
      std::shuffle(order_.begin(), order_.end(), random_);
      next_ = 0;
    }
    const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(next_);
    next_ += batch_;
    return {begin, begin + static_cast<std::ptrdiff_t>(batch_)};
  }
  [[nodiscard]] std::size_t batch() const { return batch_; }
  std::mt19937_64& random() { return random_; }

 private:
  std::size_t batch_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
  std::mt19937_64 random_;
};

/// Centroids as the mean of all rows that chose them.
class MovingCentroids {
 public:
  MovingCentroids(const KMeansResult& start, std::size_t patience)
      : centroids_(start.centroids),
        counts_(as_size(centroids_.rows()), 0.0),
        recent_(counts_.size(), 0),
        patience_(patience) {
    for (const int label : start.labels) {
      counts_[static_cast<std::size_t>(label)] += 1;
    }
  }

  /// @return the batch's inertia for each row
  double follow(MatrixView batch, std::mt19937_64& random) {
    const NearestResult nearest = nearest_centroids(batch, centroids_);
    const Eigen::Index k = centroids_.rows();
    Matrix sums = Matrix::Zero(k, centroids_.cols());
    std::vector<int> chosen(as_size(k), 0);
    for (Eigen::Index i = 0; i < batch.rows(); ++i) {
      const int j = nearest.index[as_size(i)];
      sums.row(j) += batch.row(i) - centroids_.row(j);
      ++chosen[static_cast<std::size_t>(j)];
    }
    for (Eigen::Index j = 0; j < k; ++j) {
      if (chosen[as_size(j)] == 0) continue;
      counts_[as_size(j)] += chosen[as_size(j)];
      recent_[as_size(j)] += chosen[as_size(j)];
      centroids_.row(j) +=
          sums.row(j) / static_cast<float>(counts_[as_size(j)]);
    }
    seen_ += as_size(batch.rows());
    if (seen_ >= patience_) move_starving(batch, nearest, random);
    return std::accumulate(nearest.squared_l2.begin(), nearest.squared_l2.end(),
                           0.0) /
           static_cast<double>(batch.rows());
  }
  [[nodiscard]] const Matrix& centroids() const { return centroids_; }

 private:
  /// To rows drawn by their squared distance, as k-means++ does.
  void move_starving(MatrixView batch, const NearestResult& nearest,
                     std::mt19937_64& random) {
    std::vector<double> weight(nearest.squared_l2.begin(),
                               nearest.squared_l2.end());
    const auto lightest = [&] {
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t j = 0; j < counts_.size(); ++j) {
        if (recent_[j] > 0) least = std::min(least, counts_[j]);
      }
      return least;
    }();
    for (std::size_t j = 0; j < recent_.size(); ++j) {
      if (recent_[j] > 0) continue;
      if (std::all_of(weight.begin(), weight.end(),
                      [](double w) { return w <= 0; })) {
        break;  // Every row lies on a centroid.
      }
      const auto row = std::discrete_distribution<std::size_t>(
          weight.begin(), weight.end())(random);
      weight[row] = 0;
      centroids_.row(static_cast<Eigen::Index>(j)) =
          batch.row(static_cast<Eigen::Index>(row));
      counts_[j] = lightest;
    }
    std::fill(recent_.begin(), recent_.end(), 0);
    seen_ = 0;
  }

  Matrix centroids_;
  std::vector<double> counts_;  // rows that chose it
  std::vector<int> recent_;     // of the last `seen_` rows
  std::size_t patience_;
  std::size_t seen_ = 0;
};

/// Tells when the batches' smoothed inertia has stopped falling.
class Settling {
 public:
  explicit Settling(double weight) : weight_(std::min(1.0, weight)) {}
  bool settled(double inertia) {
    smooth_ = first_ ? inertia : smooth_ + weight_ * (inertia - smooth_);
    first_ = false;
    if (smooth_ < lowest_) {
      lowest_ = smooth_;
      without_gain_ = 0;
      return false;
    }
    return ++without_gain_ >= kBatchesWithoutGain;
  }

 private:
  double weight_;
  bool first_ = true;
  double smooth_ = 0;
  double lowest_ = std::numeric_limits<double>::infinity();
  int without_gain_ = 0;
};

Result<KMeansResult> start_on_sample(MatrixView data,
                                     const MiniBatchKMeansOptions& options) {
  const auto clusters = static_cast<std::size_t>(options.clusters);
  const std::size_t wanted =
      std::max(static_cast<std::size_t>(options.batch_rows),
               kSampleRowsPerCluster * clusters);
  const Matrix sample = take_rows(
      data,
      sample_without_replacement(as_size(data.rows()), wanted, options.seed));
  KMeansOptions kmeans_options;
  kmeans_options.clusters = options.clusters;
  kmeans_options.restarts = kSampleRestarts;
  kmeans_options.max_iterations = kSampleIterations;
  kmeans_options.seed = options.seed;
  kmeans_options.cancelled = options.cancelled;
  return kmeans(sample, kmeans_options);
}

/// Moves centroids to the mean of their rows, those without to the farthest.
void move_to_means(MatrixView data, NearestResult nearest, Matrix& centroids) {
  Eigen::MatrixXd sums =
      Eigen::MatrixXd::Zero(centroids.cols(), centroids.rows());
  std::vector<double> counts(as_size(centroids.rows()), 0.0);
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    const int j = nearest.index[as_size(i)];
    sums.col(j) += data.row(i).transpose().cast<double>();
    counts[static_cast<std::size_t>(j)] += 1;
  }
  for (Eigen::Index j = 0; j < centroids.rows(); ++j) {
    if (counts[as_size(j)] > 0) {
      centroids.row(j) =
          (sums.col(j) / counts[as_size(j)]).transpose().cast<float>();
      continue;
    }
    const auto farthest =
        std::max_element(nearest.squared_l2.begin(), nearest.squared_l2.end());
    centroids.row(j) = data.row(farthest - nearest.squared_l2.begin());
    *farthest = 0;
  }
}

Result<void> check(MatrixView data, const MiniBatchKMeansOptions& options) {
  if (options.clusters < 1 || options.batch_rows < 1 ||
      options.max_passes < 1) {
    return invalid_argument(
        "mini-batch k-means: clusters, rows of a batch and passes must be at "
        "least 1");
  }
  if (data.cols() < 1 || data.rows() < options.clusters) {
    return invalid_argument(
        "mini-batch k-means: " + std::to_string(data.rows()) + " rows of " +
        std::to_string(data.cols()) + " values for " +
        std::to_string(options.clusters) + " clusters");
  }
  if (!data.allFinite()) {
    return invalid_argument(
        "mini-batch k-means: the data hold a value that is not finite");
  }
  return ok();
}

}  // namespace

Result<KMeansResult> mini_batch_kmeans(MatrixView data,
                                       const MiniBatchKMeansOptions& options) {
  SHOAL_TRY(check(data, options));
  SHOAL_TRY(start, start_on_sample(data, options));
  const std::size_t rows = as_size(data.rows());
  Batches batches(rows, static_cast<std::size_t>(options.batch_rows),
                  options.seed);
  MovingCentroids moving(
      start, std::min(rows, kPatienceRowsPerCluster *
                                static_cast<std::size_t>(options.clusters)));
  Settling settling(2.0 * static_cast<double>(batches.batch()) /
                    static_cast<double>(rows + 1));
  const std::size_t most = static_cast<std::size_t>(options.max_passes) *
                           ((rows + batches.batch() - 1) / batches.batch());
  KMeansResult result;
  bool settled = false;
  while (!settled && static_cast<std::size_t>(result.iterations) < most) {
    if (options.cancelled && options.cancelled()) return cancelled_error();
    ++result.iterations;
    const Matrix batch = take_rows(data, batches.draw());
    settled = settling.settled(moving.follow(batch, batches.random()));
  }
  result.centroids = moving.centroids();
  move_to_means(data, nearest_centroids(data, result.centroids),
                result.centroids);
  if (options.cancelled && options.cancelled()) return cancelled_error();
  NearestResult nearest = nearest_centroids(data, result.centroids);
  result.labels = std::move(nearest.index);
  result.inertia = std::accumulate(nearest.squared_l2.begin(),
                                   nearest.squared_l2.end(), 0.0);
  return result;
}

}  // namespace shoal
