#include "engine/transfer/internal/boot.h"

#include <algorithm>
#include <limits>

#include "engine/cluster/gaussian_mixture.h"
#include "engine/cluster/kmeans.h"
#include "engine/cluster/pca.h"
#include "engine/score/scores.h"

namespace shoal::internal {
namespace {

Result<std::vector<int>> by_kmeans(MatrixView features,
                                   const ClusterConstraints& constraints,
                                   const TransferOptions& options) {
  KMeansOptions kmeans_options;
  kmeans_options.clusters = options.clusters;
  kmeans_options.seed = options.seed;
  kmeans_options.fixed = constraints.must_link;
  kmeans_options.forbidden = constraints.forbidden;
  kmeans_options.cancelled = options.cancelled;
  SHOAL_TRY(result, kmeans(features, kmeans_options));
  return std::move(result.labels);
}

/// For each component the label it gets: components that hold most of a
/// group's rows become that group, the others take the labels left over.
std::vector<int> labels_of_components(const std::vector<int>& components,
                                      const ClusterConstraints& constraints,
                                      int clusters) {
  const auto k = static_cast<std::size_t>(clusters);
  std::vector<std::vector<double>> shared(
      static_cast<std::size_t>(constraints.groups), std::vector<double>(k, 0));
  for (std::size_t row = 0; row < components.size(); ++row) {
    const int group = constraints.group_of(row);
    if (group < 0) continue;
    shared[static_cast<std::size_t>(group)]
          [static_cast<std::size_t>(components[row])] += 1;
  }
  std::vector<int> label_of(k, -1);
  if (constraints.groups > 0) {
    const std::vector<int> component_of = match_rows_to_columns(shared);
    for (std::size_t group = 0; group < component_of.size(); ++group) {
      label_of[static_cast<std::size_t>(component_of[group])] =
          static_cast<int>(group);
    }
  }
  int next = constraints.groups;
  for (int& label : label_of) {
    if (label < 0) label = next++;
  }
  return label_of;
}

/// A full covariance needs few dimensions: the mixture sees principal
/// components. It knows no constraints, so they are put in force afterwards.
Result<std::vector<int>> by_mixture(MatrixView features,
                                    const ClusterConstraints& constraints,
                                    const TransferOptions& options) {
  PcaOptions pca_options;
  pca_options.max_components = options.mixture_components;
  SHOAL_TRY(pca, fit_pca(features, pca_options));
  const Matrix projected = pca.project(features, false);
  GaussianMixtureOptions mixture_options;
  mixture_options.clusters = options.clusters;
  mixture_options.seed = options.seed;
  mixture_options.cancelled = options.cancelled;
  SHOAL_TRY(mixture, gaussian_mixture(projected, mixture_options));

  const std::vector<int> label_of =
      labels_of_components(mixture.labels, constraints, options.clusters);
  Matrix means(mixture.means.rows(), mixture.means.cols());
  for (Eigen::Index component = 0; component < means.rows(); ++component) {
    means.row(label_of[static_cast<std::size_t>(component)]) =
        mixture.means.row(component);
  }
  const ForbiddenClusters forbidden(constraints);
  std::vector<int> labels(mixture.labels.size());
  for (std::size_t row = 0; row < labels.size(); ++row) {
    labels[row] = label_of[static_cast<std::size_t>(mixture.labels[row])];
    if (constraints.group_of(row) >= 0) {
      labels[row] = constraints.group_of(row);
    } else if (forbidden(row, labels[row])) {
      const Eigen::RowVectorXf closeness =
          -(means.rowwise() - projected.row(static_cast<Eigen::Index>(row)))
               .rowwise()
               .squaredNorm()
               .transpose();
      labels[row] = forbidden.best_allowed(row, closeness);
    }
  }
  return labels;
}

}  // namespace

ForbiddenClusters::ForbiddenClusters(const ClusterConstraints& constraints)
    : pairs_(constraints.forbidden) {
  std::sort(pairs_.begin(), pairs_.end());
}

bool ForbiddenClusters::operator()(std::size_t row, int cluster) const {
  return std::binary_search(
      pairs_.begin(), pairs_.end(),
      std::pair<int, int>(static_cast<int>(row), cluster));
}

int ForbiddenClusters::best_allowed(
    std::size_t row, const Eigen::Ref<const Eigen::RowVectorXf>& values) const {
  int best = -1;
  for (Eigen::Index cluster = 0; cluster < values.size(); ++cluster) {
    if ((*this)(row, static_cast<int>(cluster))) continue;
    if (best < 0 || values[cluster] > values[best]) {
      best = static_cast<int>(cluster);
    }
  }
  return best;
}

Result<std::vector<int>> boot_labels(MatrixView features,
                                     const ClusterConstraints& constraints,
                                     const TransferOptions& options) {
  auto labels = options.boot == BootMethod::kKMeans
                    ? by_kmeans(features, constraints, options)
                    : by_mixture(features, constraints, options);
  if (!labels) return labels.error().within("boot stage");
  return labels;
}

}  // namespace shoal::internal
