#include "engine/deep/internal/embedded_step.h"

#include <utility>

namespace shoal::internal {

EmbeddedState::EmbeddedState(Autoencoder net, Matrix centroids,
                             std::vector<double> counts)
    : net_(std::move(net)),
      centroids_(std::move(centroids)),
      counts_(std::move(counts)) {}

EmbeddedLoss EmbeddedState::step_dec(MatrixView batch, MatrixView target,
                                     const AdamStep& step) {
  Divergence kl = divergence(net_.begin(batch), centroids_, target);
  net_.descend(batch, kl.codes, step);
  move_centroids(kl.centroids, step);
  return {0, kl.loss};
}

EmbeddedLoss EmbeddedState::step_idec(MatrixView batch, MatrixView target,
                                      double weight, const AdamStep& step) {
  Divergence kl = divergence(net_.begin(batch), centroids_, target);
  const auto factor = static_cast<float>(weight);
  const double reconstruction = net_.descend_reconstructing(
      batch, factor * kl.codes, ReconstructionScale::kMeanPerValue, step);
  move_centroids(factor * kl.centroids, step);
  return {reconstruction, kl.loss};
}

EmbeddedLoss EmbeddedState::step_dcn(MatrixView batch,
                                     const std::vector<int>& rows,
                                     const AllowedClusters& allowed,
                                     std::vector<int>& labels, double weight,
                                     const AdamStep& step) {
  const auto label_of = [&](Eigen::Index i) -> int& {
    return labels[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)])];
  };
  EmbeddedLoss loss;
  Matrix pull = net_.begin(batch);
  for (Eigen::Index i = 0; i < pull.rows(); ++i) {
    pull.row(i) -= centroids_.row(label_of(i));
    loss.clustering += pull.row(i).squaredNorm();
  }
  const auto n = static_cast<double>(batch.rows());
  loss.clustering /= n;
  pull *= static_cast<float>(weight / n);
  loss.reconstruction = net_.descend_reconstructing(
      batch, pull, ReconstructionScale::kSumPerRow, step);

  const Matrix& codes = net_.begin(batch);
  const Matrix near = soft_assignment(codes, centroids_);
  for (Eigen::Index i = 0; i < codes.rows(); ++i) {
    label_of(i) = allowed.label(rows[static_cast<std::size_t>(i)], near.row(i));
  }
  for (Eigen::Index i = 0; i < codes.rows(); ++i) {
    const int label = label_of(i);
    double& count = counts_[static_cast<std::size_t>(label)];
    count += 1;
    centroids_.row(label) +=
        (codes.row(i) - centroids_.row(label)) * static_cast<float>(1 / count);
  }
  return loss;
}

void EmbeddedState::move_centroids(const Matrix& gradient,
                                   const AdamStep& step) {
  centroid_state_.update(
      Eigen::Map<Vector>(centroids_.data(), centroids_.size()),
      Eigen::Map<const Vector>(gradient.data(), gradient.size()), step);
}

}  // namespace shoal::internal
