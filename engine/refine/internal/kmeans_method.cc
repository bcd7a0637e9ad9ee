#include "engine/refine/internal/kmeans_method.h"

#include "engine/cluster/kmeans.h"
#include "engine/refine/internal/training.h"
#include "engine/score/sampling.h"

namespace shoal {
namespace {

constexpr ProgressPart kFit{"read", 0, 0.2};
constexpr ProgressPart kEmbed{"embed", 0.2, 0.6};
constexpr double kCountEnd = 0.7;
constexpr double kClusterEnd = 0.95;

}  // namespace

Result<MethodResult> KMeansMethod::learn(const MethodInput& input,
                                         const RunControl& control) const {
  const RefinementOptions& options = input.options;
  const std::vector<std::size_t> training = training_sample(
      input, static_cast<std::size_t>(options.max_train_images), options.seed);
  MethodResult result;
  SHOAL_TRY(model, fit_joined_pca(input, control, training, kFit));
  result.model = std::move(model);
  SHOAL_TRY(z, embed_all(input, control, *result.model, kEmbed));
  result.embeddings = std::move(z);

  const Matrix train_z = take_rows(result.embeddings, training);
  KMeansOptions kmeans_options;
  kmeans_options.seed = options.seed;
  kmeans_options.cancelled = control.cancelled;
  for (const std::size_t row : training) {
    kmeans_options.fixed.push_back(input.must_link[row]);
  }
  SHOAL_TRY(count, choose_count(input, control, train_z,
                                free_rows_of(input, training)));
  report(control, "count", kCountEnd);
  kmeans_options.clusters = count.clusters;
  kmeans_options.forbidden =
      forbidden_in_training(input, training, count.clusters);
  SHOAL_TRY(partition, kmeans(train_z, kmeans_options));
  report(control, "cluster", kClusterEnd);

  const float unit = distance_unit(partition.inertia, training.size());
  result.model = result.model->scaled(1 / unit);
  result.embeddings /= unit;
  result.centroids = partition.centroids / unit;
  result.labels = assign_all(input, result.embeddings, result.centroids);
  result.note =
      count.note + sample_note(training.size(), input.features.size());
  report(control, "assign", 1);
  return result;
}

}  // namespace shoal
