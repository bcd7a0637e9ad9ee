#include "engine/refine/confirmation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include <Eigen/Eigenvalues>

#include "common/check.h"
#include "engine/cluster/ensemble.h"
#include "engine/score/sampling.h"

namespace shoal {
namespace {

constexpr double kLeastHeap = 0.1;  ///< share of the rows
constexpr std::size_t kLeastRows = 2;
constexpr std::size_t kFewestNeighbours = 5;
constexpr std::size_t kMostNeighbours = 10;
constexpr double kLeastPiece = 0.25;  ///< of a cluster that a view splits

/// Symmetric 0/1 matrix of who is among whose `k` nearest.
Eigen::MatrixXd neighbour_graph(const Matrix& rows, std::size_t k) {
  const auto n = static_cast<std::size_t>(rows.rows());
  Eigen::MatrixXd graph = Eigen::MatrixXd::Zero(rows.rows(), rows.rows());
  std::vector<std::pair<float, std::size_t>> others;
  for (std::size_t i = 0; i < n; ++i) {
    const Vector distances =
        (rows.rowwise() - rows.row(static_cast<Eigen::Index>(i)))
            .rowwise()
            .squaredNorm();
    others.clear();
    for (std::size_t j = 0; j < n; ++j) {
      if (j != i)
        others.emplace_back(distances[static_cast<Eigen::Index>(j)], j);
    }
    std::partial_sort(others.begin(),
                      others.begin() + static_cast<std::ptrdiff_t>(k),
                      others.end());
    for (std::size_t j = 0; j < k; ++j) {
      const auto a = static_cast<Eigen::Index>(i);
      const auto b = static_cast<Eigen::Index>(others[j].second);
      graph(a, b) = graph(b, a) = 1;
    }
  }
  return graph;
}

/// Rows of the graph in the order of its second eigenvector.
std::vector<Eigen::Index> spectral_order(const Eigen::MatrixXd& graph,
                                         const Eigen::VectorXd& degrees) {
  const Eigen::VectorXd root = degrees.cwiseSqrt().cwiseInverse();
  const Eigen::MatrixXd normalised =
      root.asDiagonal() * graph * root.asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(normalised);
  const Eigen::VectorXd places =
      root.cwiseProduct(solver.eigenvectors().col(graph.rows() - 2));
  std::vector<Eigen::Index> order(static_cast<std::size_t>(graph.rows()));
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  std::sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) {
    return std::make_pair(places[a], a) < std::make_pair(places[b], b);
  });
  return order;
}

/// The least conductance of a cut along `order` with at least `least` rows on
/// each side.
double least_conductance(const Eigen::MatrixXd& graph,
                         const Eigen::VectorXd& degrees,
                         const std::vector<Eigen::Index>& order,
                         std::size_t least) {
  const double all = degrees.sum();
  std::vector<bool> inside(order.size(), false);
  double volume = 0;
  double cut = 0;
  double best = 1;
  for (std::size_t i = 0; i + least < order.size(); ++i) {
    const Eigen::Index row = order[i];
    double to_inside = 0;
    for (std::size_t j = 0; j < order.size(); ++j) {
      if (inside[j]) to_inside += graph(row, static_cast<Eigen::Index>(j));
    }
    inside[static_cast<std::size_t>(row)] = true;
    volume += degrees[row];
    cut += degrees[row] - 2 * to_inside;
    if (i + 1 < least) continue;
    best = std::min(best, cut / std::min(volume, all - volume));
  }
  return best;
}

/// At most kLookedAt of `rows`, evenly.
std::vector<std::size_t> some_of(const std::vector<std::size_t>& rows) {
  if (rows.size() <= kLookedAt) return rows;
  std::vector<std::size_t> some;
  for (std::size_t i = 0; i < kLookedAt; ++i) {
    some.push_back(rows[i * rows.size() / kLookedAt]);
  }
  return some;
}

/// Per row how far the views back its place in its cluster
/// (agreement_with_cluster); NaN where they do not know it. Empty for fewer
/// than two views: one alone agrees with itself, which says nothing.
std::vector<float> agreement_of(const ConfirmationInput& input) {
  std::vector<float> agreement;
  if (input.partitions.size() < 2) return agreement;
  const auto is_known = [&](std::size_t row) {
    return input.labels[row] >= 0 &&
           std::all_of(input.partitions.begin(), input.partitions.end(),
                       [&](const auto& view) { return view[row] >= 0; });
  };
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < input.labels.size(); ++i) {
    if (is_known(i)) rows.push_back(i);
  }
  std::vector<int> labels;
  std::vector<std::vector<int>> partitions(input.partitions.size());
  for (const std::size_t row : rows) {
    labels.push_back(input.labels[row]);
    for (std::size_t v = 0; v < partitions.size(); ++v) {
      partitions[v].push_back(input.partitions[v][row]);
    }
  }
  agreement.assign(input.labels.size(),
                   std::numeric_limits<float>::quiet_NaN());
  if (rows.empty()) return agreement;
  const auto known = agreement_with_cluster(partitions, labels);
  SHOAL_CHECK(known, "partitions of the same rows");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    agreement[rows[i]] = known.value()[i];
  }
  return agreement;
}

}  // namespace

double loosest_cut(const Matrix& rows) {
  std::vector<std::size_t> all(static_cast<std::size_t>(rows.rows()));
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (all.size() > kLookedAt) {
    return loosest_cut(take_rows(rows, some_of(all)));
  }
  const std::size_t n = all.size();
  if (n < 2 * kLeastRows) return 1;
  const auto least = std::max(
      kLeastRows,
      static_cast<std::size_t>(std::ceil(kLeastHeap * static_cast<double>(n))));
  const std::size_t k =
      std::min(n - 1, std::clamp(n / 4, kFewestNeighbours, kMostNeighbours));
  const Eigen::MatrixXd graph = neighbour_graph(rows, k);
  const Eigen::VectorXd degrees = graph.rowwise().sum();
  return least_conductance(graph, degrees, spectral_order(graph, degrees),
                           least);
}

bool views_split(const std::vector<std::vector<int>>& partitions,
                 const std::vector<std::size_t>& rows) {
  std::size_t splitting = 0;
  for (const std::vector<int>& view : partitions) {
    std::map<int, std::size_t> pieces;
    std::size_t known = 0;
    for (const std::size_t row : rows) {
      if (view[row] < 0) continue;
      ++pieces[view[row]];
      ++known;
    }
    std::vector<std::size_t> sizes;
    for (const auto& [label, size] : pieces) sizes.push_back(size);
    std::sort(sizes.rbegin(), sizes.rend());
    if (sizes.size() > 1 && static_cast<double>(sizes[1]) >=
                                kLeastPiece * static_cast<double>(known)) {
      ++splitting;
    }
  }
  return splitting >= 2 && 3 * splitting >= partitions.size();
}

Result<std::vector<std::uint8_t>> choose_confirmed(
    const ConfirmationInput& input, const ConfirmationOptions& options) {
  std::vector<std::uint8_t> confirmed(input.labels.size(), 0);
  if (!(options.share > 0)) return confirmed;
  std::vector<std::vector<std::size_t>> members(
      static_cast<std::size_t>(input.clusters));
  for (std::size_t i = 0; i < input.labels.size(); ++i) {
    if (input.labels[i] >= 0) {
      members[static_cast<std::size_t>(input.labels[i])].push_back(i);
    }
  }
  const auto is_small = [&](const std::vector<std::size_t>& rows) {
    return rows.size() < static_cast<std::size_t>(options.min_members);
  };
  const std::vector<float> agreement = agreement_of(input);
  const auto agreed = [&](std::size_t row) {
    if (!(options.min_agreement > 0)) return true;
    return !agreement.empty() &&
           static_cast<double>(agreement[row]) >= options.min_agreement;
  };
  std::vector<double> cuts(members.size(), 1);
  std::vector<double> known_cuts;
  for (std::size_t c = 0; c < members.size(); ++c) {
    if (is_small(members[c])) continue;
    SHOAL_TRY(seen, input.rows(some_of(members[c])));
    cuts[c] = loosest_cut(seen);
    known_cuts.push_back(cuts[c]);
  }
  double limit = kLooseCut;
  if (!known_cuts.empty()) {
    const auto middle =
        known_cuts.begin() + static_cast<std::ptrdiff_t>(known_cuts.size() / 2);
    std::nth_element(known_cuts.begin(), middle, known_cuts.end());
    limit = std::max(limit, kLooserThanOthers * *middle);
  }
  for (std::size_t c = 0; c < members.size(); ++c) {
    const std::vector<std::size_t>& rows = members[c];
    if (is_small(rows) || cuts[c] < limit ||
        views_split(input.partitions, rows)) {
      continue;
    }
    std::vector<std::size_t> open;
    for (const std::size_t row : rows) {
      if (!input.settled[row]) open.push_back(row);
    }
    std::sort(open.begin(), open.end(), [&](std::size_t a, std::size_t b) {
      return std::make_pair(input.distances[a], a) <
             std::make_pair(input.distances[b], b);
    });
    const auto nearest = static_cast<std::size_t>(
        std::ceil(options.share * static_cast<double>(open.size())));
    for (std::size_t i = 0; i < std::min(nearest, open.size()); ++i) {
      if (agreed(open[i])) confirmed[open[i]] = 1;
    }
  }
  return confirmed;
}

}  // namespace shoal
