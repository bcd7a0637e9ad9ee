#include "engine/layout/tsne.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "engine/cluster/neighbour_graph.h"
#include "engine/cluster/pca.h"
#include "engine/layout/internal/quad_tree.h"

namespace shoal {
namespace {

using internal::Point;
using internal::QuadTree;

/// Symmetric neighbour probabilities, one list per row, summing to 1 over all.
using Affinities = std::vector<std::vector<std::pair<int, float>>>;

/// Probabilities of one row's neighbours whose entropy is log(perplexity),
/// found by bisection on the precision.
/// @param squared  squared_l2 to the neighbours, rising
std::vector<double> row_probabilities(const float* squared, int neighbours,
                                      double perplexity) {
  constexpr int kMaxSteps = 100;
  constexpr double kTolerance = 1e-5;
  const double wanted = std::log(perplexity);
  double precision = 1;
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  std::vector<double> p(static_cast<std::size_t>(neighbours));
  for (int step = 0; step < kMaxSteps; ++step) {
    double sum = 0;
    double energy = 0;
    for (int j = 0; j < neighbours; ++j) {
      // Less the nearest one's distance: the same probabilities, no underflow.
      const double distance = double{squared[j]} - double{squared[0]};
      const double value = std::exp(-precision * distance);
      p[static_cast<std::size_t>(j)] = value;
      sum += value;
      energy += precision * distance * value;
    }
    for (double& value : p) value /= sum;
    const double entropy = std::log(sum) + energy / sum;
    if (std::abs(entropy - wanted) < kTolerance) break;
    if (entropy > wanted) {
      low = precision;
      precision = std::isinf(high) ? precision * 2 : (low + high) / 2;
    } else {
      high = precision;
      precision = (low + high) / 2;
    }
  }
  return p;
}

Affinities symmetric(const NeighbourGraph& graph, std::size_t n,
                     double perplexity) {
  Affinities result(n);
  const auto k = static_cast<std::size_t>(graph.neighbours);
  // The scale of the data must not matter to the bisection's start.
  double mean = 0;
  for (const float value : graph.squared_l2) mean += value;
  mean /= static_cast<double>(graph.squared_l2.size());
  const double scale = mean > 0 ? 1 / mean : 1;
  std::vector<float> squared(k);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      squared[j] = static_cast<float>(graph.squared_l2[i * k + j] * scale);
    }
    const auto p =
        row_probabilities(squared.data(), graph.neighbours, perplexity);
    for (std::size_t j = 0; j < k; ++j) {
      const int other = graph.index[i * k + j];
      const auto half = static_cast<float>(p[j] / (2 * static_cast<double>(n)));
      result[i].emplace_back(other, half);
      result[static_cast<std::size_t>(other)].emplace_back(static_cast<int>(i),
                                                           half);
    }
  }
  return result;
}

/// The first two principal components, or small random values where the data
/// have fewer; scaled to a deviation of 1e-4.
Result<std::vector<Point>> starting_points(MatrixView data,
                                           std::uint64_t seed) {
  constexpr double kDeviation = 1e-4;
  const auto n = static_cast<std::size_t>(data.rows());
  std::vector<Point> points(n);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, kDeviation / 100);
  for (Point& p : points) p = {noise(random), noise(random)};
  PcaOptions options;
  options.max_components = 2;
  SHOAL_TRY(pca, fit_pca(data, options));
  if (pca.components.rows() == 0) return points;
  const Matrix projected = pca.project(data, false);
  const double scale =
      kDeviation / std::sqrt(double{pca.explained_variance(0)});
  for (std::size_t i = 0; i < n; ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    points[i].x += scale * projected(row, 0);
    if (projected.cols() > 1) points[i].y += scale * projected(row, 1);
  }
  return points;
}

/// Gradient descent with momentum and a gain per coordinate (Jacobs 1988).
class Descent {
 public:
  Descent(std::vector<Point> start, const Affinities& affinities, double theta)
      : points_(std::move(start)),
        velocity_(points_.size()),
        gain_(points_.size(), Point{1, 1}),
        affinities_(affinities),
        theta_(theta) {}

  void step(double exaggeration, double momentum, double learning_rate) {
    const std::vector<Point> gradient = this->gradient(exaggeration);
    for (std::size_t i = 0; i < points_.size(); ++i) {
      move(points_[i].x, velocity_[i].x, gain_[i].x, gradient[i].x, momentum,
           learning_rate);
      move(points_[i].y, velocity_[i].y, gain_[i].y, gradient[i].y, momentum,
           learning_rate);
    }
  }

  [[nodiscard]] Matrix centred() const {
    Matrix map(static_cast<Eigen::Index>(points_.size()), 2);
    for (std::size_t i = 0; i < points_.size(); ++i) {
      map.row(static_cast<Eigen::Index>(i)) << static_cast<float>(points_[i].x),
          static_cast<float>(points_[i].y);
    }
    map.rowwise() -= map.colwise().mean().eval();
    return map;
  }

 private:
  static void move(double& value, double& velocity, double& gain,
                   double gradient, double momentum, double learning_rate) {
    constexpr double kLeastGain = 0.01;
    gain = velocity * gradient < 0 ? gain + 0.2 : gain * 0.8;
    gain = std::max(gain, kLeastGain);
    velocity = momentum * velocity - learning_rate * gain * gradient;
    value += velocity;
  }

  [[nodiscard]] std::vector<Point> gradient(double exaggeration) const {
    const QuadTree tree(points_);
    std::vector<Point> repulsion(points_.size());
    double total = 0;
    for (std::size_t i = 0; i < points_.size(); ++i) {
      const auto sums = tree.repulsion(points_[i], theta_);
      repulsion[i] = sums.force;
      total += sums.total - 1;
    }
    total = std::max(total, std::numeric_limits<double>::min());
    std::vector<Point> gradient(points_.size());
    for (std::size_t i = 0; i < points_.size(); ++i) {
      Point attraction;
      for (const auto& [other, p] : affinities_[i]) {
        const Point& q = points_[static_cast<std::size_t>(other)];
        const double dx = points_[i].x - q.x;
        const double dy = points_[i].y - q.y;
        const double pull = p / (1 + dx * dx + dy * dy);
        attraction.x += pull * dx;
        attraction.y += pull * dy;
      }
      gradient[i] = {
          4 * (exaggeration * attraction.x - repulsion[i].x / total),
          4 * (exaggeration * attraction.y - repulsion[i].y / total)};
    }
    return gradient;
  }

  std::vector<Point> points_;
  std::vector<Point> velocity_;
  std::vector<Point> gain_;
  const Affinities& affinities_;
  double theta_;
};

Result<void> check(MatrixView data, const TsneOptions& options) {
  if (!data.allFinite()) return invalid_argument("t-SNE: values not finite");
  if (!(options.perplexity >= 1) || options.iterations < 1 ||
      !(options.exaggeration >= 1) || !(options.theta >= 0)) {
    return invalid_argument(
        "t-SNE: perplexity, iterations and exaggeration are at least 1, theta "
        "at least 0");
  }
  return ok();
}

}  // namespace

Result<Matrix> tsne(MatrixView data, const TsneOptions& options) {
  SHOAL_TRY(check(data, options));
  constexpr Eigen::Index kFewRows = 5;  // no neighbourhoods worth the name
  if (data.rows() < kFewRows) {
    Matrix line = Matrix::Zero(data.rows(), 2);
    for (Eigen::Index i = 0; i < data.rows(); ++i) {
      line(i, 0) =
          static_cast<float>(i) - static_cast<float>(data.rows() - 1) / 2;
    }
    return line;
  }
  const auto n = static_cast<std::size_t>(data.rows());
  const double perplexity = std::max(
      1.0, std::min(options.perplexity, static_cast<double>(n - 1) / 3));
  const int neighbours = static_cast<int>(
      std::min(static_cast<double>(n - 1), std::floor(3 * perplexity)));
  SHOAL_TRY(graph, nearest_neighbours(data, neighbours));
  const Affinities affinities = symmetric(graph, n, perplexity);
  SHOAL_TRY(start, starting_points(data, options.seed));

  Descent descent(std::move(start), affinities, options.theta);
  const double learning_rate =
      std::max(static_cast<double>(n) / options.exaggeration / 4, 50.0);
  for (int i = 0; i < options.iterations; ++i) {
    if (options.cancelled && options.cancelled())
      return Error{ErrorCode::kCancelled, "t-SNE was stopped"};
    const bool early = i < options.exaggerated_iterations;
    descent.step(early ? options.exaggeration : 1, early ? 0.5 : 0.8,
                 learning_rate);
  }
  return descent.centred();
}

}  // namespace shoal
