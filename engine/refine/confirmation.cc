#include "engine/refine/confirmation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "common/check.h"
#include "engine/cluster/ensemble.h"
#include "engine/score/sampling.h"

namespace shoal {
namespace {

constexpr double kLeastHeap = 0.1;  ///< share of the rows
constexpr std::size_t kLeastRows = 2;
constexpr double kFarApart = 5;  ///< Ashman's D
constexpr int kPowerIterations = 50;
constexpr double kLeastPiece = 0.25;  ///< of a cluster that a view splits

/// Positions of centred rows on the axis of their largest variance.
std::vector<double> along_main_axis(const Matrix& rows) {
  const Matrix centred = rows.rowwise() - rows.colwise().mean();
  // From the longest row: never orthogonal to every axis that matters.
  Eigen::Index longest = 0;
  centred.rowwise().squaredNorm().maxCoeff(&longest);
  Vector axis = centred.row(longest).transpose();
  for (int i = 0; i < kPowerIterations && axis.norm() > 0; ++i) {
    axis.normalize();
    axis = centred.transpose() * (centred * axis);
  }
  if (axis.norm() > 0) axis.normalize();
  const Vector places = centred * axis;
  return {places.data(), places.data() + places.size()};
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

/// Mean and variance from sums.
struct Side {
  double count = 0;
  double sum = 0;
  double squares = 0;

  void add(double value, double sign) {
    count += sign;
    sum += sign * value;
    squares += sign * value * value;
  }
  [[nodiscard]] double mean() const { return sum / count; }
  [[nodiscard]] double scatter() const { return squares - sum * sum / count; }
};

}  // namespace

bool looks_like_two(const Matrix& rows) {
  const auto n = static_cast<std::size_t>(rows.rows());
  if (n < 2 * kLeastRows) return false;
  const auto least = std::max(
      kLeastRows,
      static_cast<std::size_t>(std::ceil(kLeastHeap * static_cast<double>(n))));
  std::vector<double> places = along_main_axis(rows);
  std::sort(places.begin(), places.end());
  Side left;
  Side right;
  for (const double place : places) right.add(place, 1);
  double best = std::numeric_limits<double>::infinity();
  double distance = 0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    left.add(places[i], 1);
    right.add(places[i], -1);
    if (i + 1 < least || n - i - 1 < least) continue;
    const double scatter =
        std::max(0.0, left.scatter()) + std::max(0.0, right.scatter());
    if (scatter >= best) continue;
    best = scatter;
    const double deviations = std::max(0.0, left.scatter()) / left.count +
                              std::max(0.0, right.scatter()) / right.count;
    const double gap = right.mean() - left.mean();
    distance = deviations > 0 ? std::sqrt(2 / deviations) * gap
               : gap > 0      ? std::numeric_limits<double>::infinity()
                              : 0;
  }
  return distance > kFarApart;
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

std::vector<std::uint8_t> choose_confirmed(const ConfirmationInput& input,
                                           const ConfirmationOptions& options) {
  std::vector<std::uint8_t> confirmed(input.labels.size(), 0);
  if (!(options.share > 0)) return confirmed;
  std::vector<std::vector<std::size_t>> members(
      static_cast<std::size_t>(input.clusters));
  for (std::size_t i = 0; i < input.labels.size(); ++i) {
    if (input.labels[i] >= 0) {
      members[static_cast<std::size_t>(input.labels[i])].push_back(i);
    }
  }
  const std::vector<float> agreement = agreement_of(input);
  const auto agreed = [&](std::size_t row) {
    if (!(options.min_agreement > 0)) return true;
    return !agreement.empty() &&
           static_cast<double>(agreement[row]) >= options.min_agreement;
  };
  for (const std::vector<std::size_t>& rows : members) {
    if (rows.size() < static_cast<std::size_t>(options.min_members)) continue;
    if (views_split(input.partitions, rows) ||
        looks_like_two(take_rows(input.embeddings, rows))) {
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
