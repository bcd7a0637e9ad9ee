#pragma once

#include "engine/refine/refinement.h"

/// What the refinement methods share: choosing, reading and embedding rows,
/// and the number of clusters.
namespace shoal {

/// The rows to train on, ascending: all, or `limit` of them. Of the rows in
/// groups as many as fit in half of that, taken from the groups in turn so
/// that each is there; the rest so that the strata keep their shares.
[[nodiscard]] std::vector<std::size_t> training_sample(const MethodInput& input,
                                                       std::size_t limit,
                                                       std::uint64_t seed);

/// A part of the run, as progress tells it.
struct ProgressPart {
  std::string_view stage;
  double begin = 0;
  double end = 1;
};

/// The views of `rows`: per input (rows, dim). Errors: kCancelled; reading's.
[[nodiscard]] Result<std::vector<Matrix>> read_rows(
    const MethodInput& input, const RunControl& control,
    const std::vector<std::size_t>& rows, const ProgressPart& part);

/// z of every row, read block by block. Errors: kCancelled; reading's.
[[nodiscard]] Result<Matrix> embed_all(const MethodInput& input,
                                       const RunControl& control,
                                       const EmbeddingModel& model,
                                       const ProgressPart& part);

/// The whitened PCA of the views of up to 10,000 of the training rows.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> fit_joined_pca(
    const MethodInput& input, const RunControl& control,
    const std::vector<std::size_t>& training, const ProgressPart& part);

struct ChosenCount {
  int clusters = 0;
  std::string note;  ///< for people
};
/// As asked for, or an estimate; at least one cluster per group.
/// @param z  (training rows, d)
/// @param free_rows  training rows in no group
[[nodiscard]] Result<ChosenCount> choose_count(const MethodInput& input,
                                               const RunControl& control,
                                               const Matrix& z,
                                               std::size_t free_rows);
/// Likewise, the estimate being the consensus of several ways and views.
/// @param views  per view (training rows, its dim)
[[nodiscard]] Result<ChosenCount> choose_count(const MethodInput& input,
                                               const RunControl& control,
                                               const std::vector<Matrix>& views,
                                               std::size_t free_rows);

/// How many of the training rows are in no group.
[[nodiscard]] std::size_t free_rows_of(
    const MethodInput& input, const std::vector<std::size_t>& training);

/// The forbidden pairs of the training rows, by position in `training`. A row
/// that may be in none of the clusters is left out: it learns like the others
/// and gets no label in the end.
[[nodiscard]] std::vector<std::pair<int, int>> forbidden_in_training(
    const MethodInput& input, const std::vector<std::size_t>& training,
    int clusters);

/// Groups keep their rows, forbidden clusters are passed over, every other row
/// goes to the nearest centroid. @return (n)
[[nodiscard]] std::vector<int> assign_all(const MethodInput& input,
                                          const Matrix& z,
                                          const Matrix& centroids);

/// Root mean squared distance of rows to their centroid; 1 when all are on
/// theirs. @param inertia  sum of squared_l2
[[nodiscard]] float distance_unit(double inertia, std::size_t rows);

/// For a note: that the method saw a sample only, or nothing.
[[nodiscard]] std::string sample_note(std::size_t training, std::size_t all);

/// Position of the centroid nearest to `z` of those that are allowed, or -1.
template <typename Allowed>
int nearest_allowed(const Eigen::Ref<const Vector>& z, MatrixView centroids,
                    Allowed allowed) {
  int nearest = -1;
  float best = 0;
  for (Eigen::Index c = 0; c < centroids.rows(); ++c) {
    if (!allowed(static_cast<int>(c))) continue;
    const float squared = (centroids.row(c).transpose() - z).squaredNorm();
    if (nearest < 0 || squared < best) {
      nearest = static_cast<int>(c);
      best = squared;
    }
  }
  return nearest;
}

[[nodiscard]] inline Error run_cancelled() {
  return {ErrorCode::kCancelled, "the refinement run was cancelled"};
}

[[nodiscard]] inline bool is_cancelled(const RunControl& control) {
  return control.cancelled && control.cancelled();
}

inline void report(const RunControl& control, std::string_view stage,
                   double fraction) {
  if (control.progress) control.progress(stage, fraction);
}

}  // namespace shoal
