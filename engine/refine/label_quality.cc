#include "engine/refine/label_quality.h"

#include <algorithm>
#include <numeric>

#include "engine/cluster/ensemble.h"
#include "engine/score/scores.h"

namespace shoal {
namespace {

constexpr Eigen::Index kNeighbours = 5;

/// Share of the nearest rows with the row's label, averaged over rows.
/// @param unit  rows of length 1: the largest product is the nearest
double neighbours_alike(const Matrix& unit, const std::vector<int>& labels) {
  const Eigen::Index n = unit.rows();
  const Eigen::Index k = std::min(kNeighbours, n - 1);
  Matrix likeness = unit * unit.transpose();
  likeness.diagonal().setConstant(-2);  // below every product
  std::vector<Eigen::Index> order(static_cast<std::size_t>(n));
  Eigen::Index alike = 0;
  for (Eigen::Index i = 0; i < n; ++i) {
    std::iota(order.begin(), order.end(), Eigen::Index{0});
    std::nth_element(order.begin(), order.begin() + (k - 1), order.end(),
                     [&](Eigen::Index a, Eigen::Index b) {
                       return likeness(i, a) != likeness(i, b)
                                  ? likeness(i, a) > likeness(i, b)
                                  : a < b;
                     });
    for (Eigen::Index j = 0; j < k; ++j) {
      const auto neighbour =
          static_cast<std::size_t>(order[static_cast<std::size_t>(j)]);
      if (labels[neighbour] == labels[static_cast<std::size_t>(i)]) ++alike;
    }
  }
  return static_cast<double>(alike) / static_cast<double>(n * k);
}

}  // namespace

Result<LabelQuality> label_quality(const std::vector<Matrix>& views,
                                   const std::vector<int>& labels) {
  if (views.empty() || labels.size() < 3) {
    return invalid_argument("label quality: " + std::to_string(views.size()) +
                            " views of " + std::to_string(labels.size()) +
                            " rows");
  }
  LabelQuality quality;
  for (const Matrix& view : views) {
    if (view.rows() != static_cast<Eigen::Index>(labels.size())) {
      return invalid_argument("label quality: " + std::to_string(view.rows()) +
                              " rows and " + std::to_string(labels.size()) +
                              " labels");
    }
    SHOAL_TRY(unit, concatenate_views({view}));
    SHOAL_TRY(value, silhouette(unit, labels, 0, 0));
    quality.silhouette += value;
    quality.neighbours += neighbours_alike(unit, labels);
  }
  quality.silhouette /= static_cast<double>(views.size());
  quality.neighbours /= static_cast<double>(views.size());
  return quality;
}

}  // namespace shoal
