#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/matrix.h"
#include "common/prototype.h"
#include "common/result.h"
#include "engine/online/embedding_model.h"
#include "engine/refine/confirmation.h"

namespace shoal {

/// The views of all images of a run, read piecewise so that they need not fit
/// in memory. Owner-thread.
class FeatureSource {
 public:
  virtual ~FeatureSource() = default;
  [[nodiscard]] virtual const std::vector<EmbeddingInput>& inputs() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;  ///< rows
  /// Rows in the given order; per input a (rows, dim) matrix, all finite.
  virtual Result<std::vector<Matrix>> read(
      const std::vector<std::size_t>& rows) = 0;
};

/// What people and earlier runs have settled, per row.
struct RowConstraint {
  ClusterId fixed;                  ///< must be in this cluster; none: free
  std::vector<ClusterId> must_not;  ///< never in these
  ClusterId previous;  ///< label in the epoch before; none: unassigned or new
};

struct RefinementOptions {
  int clusters = 0;               ///< 0: estimate ("auto")
  int max_clusters = 100;         ///< of the estimate
  int embedding_dim = 64;         ///< most dimensions of z
  int max_train_images = 50'000;  ///< above: train on a sample of this size
  /// Quantile of members' distances that becomes a cluster's novelty
  /// threshold, times `novelty_slack`: of the fixed members where there are
  /// kMinThresholdMembers, else of all members, else of all images. Never
  /// below a tenth of what all images give, since a cluster of equal images
  /// would turn away every other.
  double novelty_quantile = 0.99;
  double novelty_slack = 1.25;
  ConfirmationOptions confirmation;
  std::uint64_t seed = 0;
};

inline constexpr int kMinThresholdMembers = 5;

/// How the outside watches and stops a run. Called from the run's thread.
struct RunControl {
  /// True: end with kCancelled at the next chance.
  std::function<bool()> cancelled;
  /// @param stage  a word or two; @param fraction  of the whole run, 0..1
  std::function<void(std::string_view stage, double fraction)> progress;
};

/// What a method learns: a map to z and a partition of z.
struct MethodResult {
  std::unique_ptr<EmbeddingModel> model;
  Matrix centroids;   ///< (k, d)
  Matrix embeddings;  ///< (n, d): the model's z of every row
  /// (n): 0..k-1; -1 for a row that is forbidden in every cluster.
  std::vector<int> labels;
  /// (n): how far the views back the row's label (agreement_with_cluster); NaN
  /// for a row that was not trained on. Empty: the method has no such views.
  std::vector<float> agreement;
  std::string note;  ///< how k was found, what was sampled; for people
};

struct MethodInput {
  FeatureSource& features;
  const RefinementOptions& options;
  /// Per row a group of rows that must share a cluster, or -1: rows with the
  /// same fixed cluster. Different groups must not share one.
  std::vector<int> must_link;
  /// How many groups there are.
  int groups = 0;
  /// Pairs (row, group): the row must not get that group's cluster.
  std::vector<std::pair<int, int>> forbidden;
  /// Per row a number that is equal for rows of one earlier cluster: a sample
  /// of the rows keeps their shares.
  std::vector<int> strata;
};

/// A way to learn a clustering; the deep methods plug in here. Stateless.
class RefinementMethod {
 public:
  virtual ~RefinementMethod() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Group g's rows get label g: labels 0..groups-1 are the groups' clusters.
  virtual Result<MethodResult> learn(const MethodInput& input,
                                     const RunControl& control) const = 0;
};

/// The method called `name`. "km": views L2-normalised, concatenated,
/// PCA-whitened (fit_whitened_pca), k-means. Features are read in blocks; the
/// embeddings of all rows are held. The unit of z is the root mean squared
/// distance of the training rows to their centroids, so that a typical member
/// is at distance 1 and Student-t confidences are comparable between epochs.
/// jule, idec, mvec-km, mvec-jule, mvec-idec, dmvc-fix-jule, dmvc-fix-idec,
/// dmvc: the papers' methods (ALGORITHMS sections 3 to 5), on a sample whose
/// views take up to 1 GiB; z is what the learned net gives (mvec: as km).
/// Errors: kNotFound, listing the known names.
[[nodiscard]] Result<std::unique_ptr<RefinementMethod>> make_refinement_method(
    std::string_view name);

/// A cluster of a run's result.
struct CandidateCluster {
  ClusterId id;  ///< the earlier cluster that it continues; none: a new one
  std::vector<Prototype> prototypes;
  /// For a new one: earlier clusters that at least a tenth of its images came
  /// from.
  std::vector<ClusterId> parents;
};

/// A run's complete result, before it has epoch and cluster numbers.
struct Candidate {
  std::string method;
  std::string note;
  std::unique_ptr<EmbeddingModel> model;
  std::vector<CandidateCluster> clusters;
  /// Per earlier cluster that ended: positions in `clusters` that hold at
  /// least a tenth of its images, the largest share first.
  std::map<ClusterId, std::vector<std::size_t>> ended;
  std::vector<int> labels;         ///< (n) position in `clusters`; -1: pool
  std::vector<float> confidences;  ///< (n)
  std::vector<float> distances;    ///< (n)
  std::vector<std::uint8_t> confirmed;   ///< (n) 1: this run makes it final
  Matrix embeddings;                     ///< (n, d)
  std::map<std::string, double> scores;  ///< "silhouette", "inertia", ...
  double churn = 0;  ///< share of free rows with a previous label that moved
};

/// One whole run: learn, keep the constraints, match clusters to the earlier
/// ids, set thresholds, score.
/// @param constraints  per row; its size is the number of images
/// @param known  every cluster of the current epoch, also those without images
/// Errors: kInvalidArgument (fewer rows than clusters, fixed and must_not
/// contradict), kCancelled, those of the method.
/// Thread: owner. Source: ALGORITHMS section 8, steps 1, 2 and 5.
[[nodiscard]] Result<Candidate> run_refinement(
    const RefinementMethod& method, FeatureSource& features,
    const std::vector<RowConstraint>& constraints,
    const std::vector<ClusterId>& known, const RefinementOptions& options,
    const RunControl& control);

}  // namespace shoal
