#include "engine/score/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "engine/score/distances.h"
#include "engine/score/sampling.h"

namespace shoal {
namespace {

Result<void> check_lengths(std::size_t a, std::size_t b) {
  if (a == 0) return invalid_argument("a score needs at least one item");
  if (a != b) {
    return invalid_argument("labelings of " + std::to_string(a) + " and " +
                            std::to_string(b) + " items cannot be compared");
  }
  return ok();
}

/// Labels renamed to 0.. in ascending order of their value.
std::vector<int> compact(const std::vector<int>& labels, int* count) {
  std::map<int, int> names;
  for (const int label : labels) names.emplace(label, 0);
  int next = 0;
  for (auto& [label, name] : names) name = next++;
  std::vector<int> compacted;
  compacted.reserve(labels.size());
  for (const int label : labels) compacted.push_back(names.at(label));
  *count = next;
  return compacted;
}

/// How often each pair of labels occurs together; sparse, since two fine
/// partitions of a million items have few pairs that occur.
struct Contingency {
  std::map<std::pair<int, int>, std::int64_t> cells;
  std::vector<std::int64_t> rows;     // items per truth label
  std::vector<std::int64_t> columns;  // items per label
  std::int64_t n = 0;
};

Contingency count_pairs(const std::vector<int>& truth,
                        const std::vector<int>& labels) {
  int rows = 0;
  int columns = 0;
  const std::vector<int> a = compact(truth, &rows);
  const std::vector<int> b = compact(labels, &columns);
  Contingency table;
  table.rows.resize(static_cast<std::size_t>(rows));
  table.columns.resize(static_cast<std::size_t>(columns));
  table.n = static_cast<std::int64_t>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ++table.cells[{a[i], b[i]}];
    ++table.rows[static_cast<std::size_t>(a[i])];
    ++table.columns[static_cast<std::size_t>(b[i])];
  }
  return table;
}

double entropy(const std::vector<std::int64_t>& counts, std::int64_t n) {
  double sum = 0;
  for (const std::int64_t count : counts) {
    const double p = static_cast<double>(count) / static_cast<double>(n);
    sum -= p * std::log(p);
  }
  return sum;
}

/// Pairs of items, x(x-1)/2, in double: exact up to 9e7 items and never
/// overflowing.
double pairs(std::int64_t count) {
  const auto x = static_cast<double>(count);
  return x * (x - 1) / 2;
}

double sum_of_pairs(const std::vector<std::int64_t>& counts) {
  return std::accumulate(
      counts.begin(), counts.end(), 0.0,
      [](double sum, std::int64_t count) { return sum + pairs(count); });
}

}  // namespace

Result<double> nmi(const std::vector<int>& truth,
                   const std::vector<int>& labels, Mean mean) {
  SHOAL_TRY(check_lengths(truth.size(), labels.size()));
  const Contingency table = count_pairs(truth, labels);
  if (table.rows.size() == 1 && table.columns.size() == 1) return 1.0;
  const auto n = static_cast<double>(table.n);
  double information = 0;
  for (const auto& [cell, count] : table.cells) {
    const auto both = static_cast<double>(count);
    const auto row =
        static_cast<double>(table.rows[static_cast<std::size_t>(cell.first)]);
    const auto column = static_cast<double>(
        table.columns[static_cast<std::size_t>(cell.second)]);
    information += both / n * std::log(both / row * n / column);
  }
  const double h_truth = entropy(table.rows, table.n);
  const double h_labels = entropy(table.columns, table.n);
  const double normaliser = mean == Mean::kGeometric
                                ? std::sqrt(h_truth * h_labels)
                                : (h_truth + h_labels) / 2;
  // One labeling has a single cluster: it tells nothing of the other.
  if (normaliser <= 0) return 0.0;
  return std::clamp(information / normaliser, 0.0, 1.0);
}

Result<double> adjusted_rand(const std::vector<int>& truth,
                             const std::vector<int>& labels) {
  SHOAL_TRY(check_lengths(truth.size(), labels.size()));
  const Contingency table = count_pairs(truth, labels);
  double together = 0;
  for (const auto& [cell, count] : table.cells) together += pairs(count);
  const double truth_pairs = sum_of_pairs(table.rows);
  const double label_pairs = sum_of_pairs(table.columns);
  const double all = pairs(table.n);
  const double expected = all > 0 ? truth_pairs * label_pairs / all : 0;
  const double largest = (truth_pairs + label_pairs) / 2;
  // All items apart, or all together, in both: the same partition.
  if (largest == expected) return 1.0;
  return (together - expected) / (largest - expected);
}

Result<double> accuracy(const std::vector<int>& truth,
                        const std::vector<int>& labels) {
  SHOAL_TRY(check_lengths(truth.size(), labels.size()));
  const Contingency table = count_pairs(truth, labels);
  std::vector<std::vector<double>> weight(
      table.rows.size(), std::vector<double>(table.columns.size(), 0.0));
  for (const auto& [cell, count] : table.cells) {
    weight[static_cast<std::size_t>(cell.first)]
          [static_cast<std::size_t>(cell.second)] = static_cast<double>(count);
  }
  const std::vector<int> match = match_rows_to_columns(weight);
  double right = 0;
  for (std::size_t row = 0; row < match.size(); ++row) {
    if (match[row] >= 0) {
      right += weight[row][static_cast<std::size_t>(match[row])];
    }
  }
  return right / static_cast<double>(table.n);
}

Result<PairCounts> pair_counts(const std::vector<int>& truth,
                               const std::vector<int>& labels) {
  SHOAL_TRY(check_lengths(truth.size(), labels.size()));
  const Contingency table = count_pairs(truth, labels);
  const auto exact_pairs = [](std::int64_t x) { return x * (x - 1) / 2; };
  PairCounts counts;
  for (const auto& [cell, count] : table.cells) counts.a += exact_pairs(count);
  for (const std::int64_t count : table.rows) counts.b += exact_pairs(count);
  for (const std::int64_t count : table.columns) counts.c += exact_pairs(count);
  counts.b -= counts.a;
  counts.c -= counts.a;
  counts.d = exact_pairs(table.n) - counts.a - counts.b - counts.c;
  return counts;
}

Result<double> jaccard(const std::vector<int>& truth,
                       const std::vector<int>& labels) {
  SHOAL_TRY(counts, pair_counts(truth, labels));
  if (counts.a == 0) return 0.0;
  return static_cast<double>(counts.a) /
         static_cast<double>(counts.a + counts.b + counts.c);
}

Result<double> fowlkes_mallows(const std::vector<int>& truth,
                               const std::vector<int>& labels) {
  SHOAL_TRY(counts, pair_counts(truth, labels));
  if (counts.a == 0) return 0.0;
  // The product under the root would not fit in 64 bits.
  const auto both = static_cast<double>(counts.a);
  return std::sqrt(both / static_cast<double>(counts.a + counts.b)) *
         std::sqrt(both / static_cast<double>(counts.a + counts.c));
}

Result<double> davies_bouldin(MatrixView data, const std::vector<int>& labels) {
  SHOAL_TRY(
      check_lengths(static_cast<std::size_t>(data.rows()), labels.size()));
  if (!data.allFinite()) {
    return invalid_argument(
        "Davies-Bouldin: the data hold a value that is not finite");
  }
  int clusters = 0;
  const std::vector<int> names = compact(labels, &clusters);
  if (clusters < 2) {
    return invalid_argument("Davies-Bouldin: one cluster; 2 are needed");
  }
  const auto name_of = [&](Eigen::Index row) {
    return names[static_cast<std::size_t>(row)];
  };
  Eigen::MatrixXd centroids = Eigen::MatrixXd::Zero(data.cols(), clusters);
  Eigen::VectorXd sizes = Eigen::VectorXd::Zero(clusters);
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    centroids.col(name_of(i)) += data.row(i).transpose().cast<double>();
    sizes[name_of(i)] += 1;
  }
  centroids.array().rowwise() /= sizes.transpose().array();
  Eigen::VectorXd scatter = Eigen::VectorXd::Zero(clusters);
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    scatter[name_of(i)] +=
        (data.row(i).transpose().cast<double>() - centroids.col(name_of(i)))
            .norm();
  }
  scatter.array() /= sizes.array();
  Eigen::VectorXd worst = Eigen::VectorXd::Zero(clusters);
  for (Eigen::Index i = 0; i < clusters; ++i) {
    for (Eigen::Index j = 0; j < i; ++j) {
      const double apart = (centroids.col(i) - centroids.col(j)).norm();
      // scikit-learn leaves out pairs whose centroids are one point.
      if (apart <= 0) continue;
      const double alike = (scatter[i] + scatter[j]) / apart;
      worst[i] = std::max(worst[i], alike);
      worst[j] = std::max(worst[j], alike);
    }
  }
  return worst.mean();
}

Result<double> eta(const std::vector<double>& values) {
  if (values.size() < 2) {
    return invalid_argument("eta: " + std::to_string(values.size()) +
                            " values; 2 are needed for a deviation");
  }
  const Eigen::Map<const Eigen::ArrayXd> all(
      values.data(), static_cast<Eigen::Index>(values.size()));
  if (!all.allFinite()) {
    return invalid_argument("eta: a value is not finite");
  }
  if ((all == all[0]).all()) return 0.0;
  const double mean = all.mean();
  if (mean == 0) return invalid_argument("eta: the values' mean is 0");
  const auto divisor = static_cast<double>(values.size() - 1);
  return std::sqrt((all - mean).square().sum() / divisor) / mean;
}

Result<double> silhouette(MatrixView data, const std::vector<int>& labels,
                          int max_sample, std::uint64_t seed) {
  SHOAL_TRY(
      check_lengths(static_cast<std::size_t>(data.rows()), labels.size()));
  const std::size_t wanted =
      max_sample > 0 ? static_cast<std::size_t>(max_sample) : labels.size();
  std::vector<std::size_t> sample =
      sample_without_replacement(labels.size(), wanted, seed);
  // In order of the labels, so that a cluster is one run of columns.
  std::stable_sort(
      sample.begin(), sample.end(),
      [&](std::size_t a, std::size_t b) { return labels[a] < labels[b]; });
  const Matrix rows = take_rows(data, sample);
  const auto n = static_cast<Eigen::Index>(sample.size());
  std::vector<Eigen::Index> starts{0};
  for (Eigen::Index i = 1; i < n; ++i) {
    if (labels[sample[static_cast<std::size_t>(i)]] !=
        labels[sample[static_cast<std::size_t>(i - 1)]]) {
      starts.push_back(i);
    }
  }
  const std::size_t clusters = starts.size();
  starts.push_back(n);
  if (clusters < 2) return 0.0;

  const Vector origin = mean_row(rows);
  const Vector norms = squared_norms(rows, origin);
  const PointDistances distances(rows, origin);
  double sum = 0;
  std::size_t own = 0;
  Matrix block(std::min(n, PointDistances::kBlockRows), n);
  for (Eigen::Index start = 0; start < n; start += block.rows()) {
    const Eigen::Index count = std::min(block.rows(), n - start);
    auto head = block.topRows(count);
    distances.measure(rows.middleRows(start, count),
                      norms.segment(start, count), head);
    head = head.cwiseSqrt();
    for (Eigen::Index i = 0; i < count; ++i) {
      const Eigen::Index row = start + i;
      while (row >= starts[own + 1]) ++own;
      const Eigen::Index own_size = starts[own + 1] - starts[own];
      if (own_size == 1) continue;  // Rousseeuw: a lone item scores 0.
      head(i, row) = 0;             // Rounding leaves a little there.
      double nearest = std::numeric_limits<double>::infinity();
      double inside = 0;
      for (std::size_t c = 0; c < clusters; ++c) {
        const Eigen::Index size = starts[c + 1] - starts[c];
        const double total = head.row(i).segment(starts[c], size).sum();
        if (c == own) {
          inside = total / static_cast<double>(own_size - 1);
        } else {
          nearest = std::min(nearest, total / static_cast<double>(size));
        }
      }
      const double larger = std::max(inside, nearest);
      if (larger > 0) sum += (nearest - inside) / larger;
    }
  }
  return sum / static_cast<double>(n);
}

std::vector<int> match_rows_to_columns(
    const std::vector<std::vector<double>>& weight) {
  const std::size_t rows = weight.size();
  const std::size_t columns = rows == 0 ? 0 : weight.front().size();
  std::vector<int> match(rows, -1);
  if (columns == 0) return match;
  // Shortest augmenting paths want no more rows than columns.
  const bool swapped = rows > columns;
  const std::size_t n = swapped ? columns : rows;
  const std::size_t m = swapped ? rows : columns;
  const auto cost = [&](std::size_t i, std::size_t j) {
    return swapped ? -weight[j][i] : -weight[i][j];
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // Index 0 stands for "none" in the potentials' and matching's arrays.
  std::vector<double> row_potential(n + 1, 0.0);
  std::vector<double> column_potential(m + 1, 0.0);
  std::vector<std::size_t> row_of(m + 1, 0);
  std::vector<std::size_t> previous(m + 1, 0);
  for (std::size_t i = 1; i <= n; ++i) {
    row_of[0] = i;
    std::size_t column = 0;
    std::vector<double> slack(m + 1, kInfinity);
    std::vector<bool> done(m + 1, false);
    do {
      done[column] = true;
      const std::size_t row = row_of[column];
      double step = kInfinity;
      std::size_t next = 0;
      for (std::size_t j = 1; j <= m; ++j) {
        if (done[j]) continue;
        const double reduced =
            cost(row - 1, j - 1) - row_potential[row] - column_potential[j];
        if (reduced < slack[j]) {
          slack[j] = reduced;
          previous[j] = column;
        }
        if (slack[j] < step) {
          step = slack[j];
          next = j;
        }
      }
      for (std::size_t j = 0; j <= m; ++j) {
        if (done[j]) {
          row_potential[row_of[j]] += step;
          column_potential[j] -= step;
        } else {
          slack[j] -= step;
        }
      }
      column = next;
    } while (row_of[column] != 0);
    while (column != 0) {
      row_of[column] = row_of[previous[column]];
      column = previous[column];
    }
  }
  for (std::size_t j = 1; j <= m; ++j) {
    if (row_of[j] == 0) continue;
    const std::size_t row = swapped ? j - 1 : row_of[j] - 1;
    const std::size_t column = swapped ? row_of[j] - 1 : j - 1;
    match[row] = static_cast<int>(column);
  }
  return match;
}

}  // namespace shoal
