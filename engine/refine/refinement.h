#pragma once

#include <chrono>
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
  bool by_person = false;  ///< a person fixed it, not an earlier run
  /// The earlier epoch's run learned from it; else it came since, and
  /// `previous` is only where the epoch put it.
  bool learned = true;
};

/// The epoch that a run builds on and is compared with.
struct EarlierEpoch {
  /// Every cluster of it, also those without images.
  std::vector<ClusterId> clusters;
  std::uint64_t images = 0;  ///< that it was learned from; 0: not known
  /// Its model and centroids (of the clusters at the same positions), to tell
  /// where it would put an image. Where it reads other views than the run
  /// clusters a person has changed them, and no run is held in its favour.
  std::unique_ptr<EmbeddingModel> model;
  std::vector<ClusterId> centroid_clusters;
  Matrix centroids;  ///< (centroid_clusters, d of the model)
};

/// Transfer learning between unsupervised rounds (TL paper S6 to S9): a new
/// last layer on a pretrained net's features learns the labels that are final,
/// and what it says of every image is one more view of the next round.
struct TransferRounds {
  /// Unsupervised rounds after the first, at most (k_max). 0: none.
  int rounds = 0;
  /// Which input the net's features are. None: there is no net, and one round.
  std::optional<std::size_t> net;
  bool cluster_net = true;  ///< the net's features are clustered as well
  double share_step = 0.1;  ///< delta: added to Delta in every round
};

struct RefinementOptions {
  int clusters = 0;               ///< 0: estimate ("auto")
  int max_clusters = 100;         ///< of the estimate
  int embedding_dim = 64;         ///< most dimensions of z
  int max_train_images = 50'000;  ///< above: train on a sample of this size
  /// Quantile of members' distances that becomes a cluster's novelty
  /// threshold, times `novelty_slack`: of the members that people fixed where
  /// there are kMinThresholdMembers, else of all members, else of all images.
  /// Those that runs fixed do not count by themselves: they are the nearest,
  /// and their distances would turn away most arrivals. Never below a tenth of
  /// what all images give, since a cluster of equal images would turn away
  /// every other.
  double novelty_quantile = 0.99;
  double novelty_slack = 1.25;
  ConfirmationOptions confirmation;
  TransferRounds transfer;
  /// Most images that a run confirms over all its rounds: share of those that
  /// were not fixed before.
  double max_confirm_share = 0.5;
  /// A new cluster with fewer images is not founded; they go to the pool.
  int min_birth = 2;
  /// Above this churn of the images that the earlier run learned from a person
  /// has to look first (Candidate::concerns), unless there are kGrown times as
  /// many images now: what was learned from the first few may be far off.
  double max_churn = 1;
  /// How much lower than the earlier epoch's a score may be, likewise.
  double score_tolerance = 1;
  /// Time for the run; another round begins only if it should fit. 0: no end.
  std::chrono::duration<double> budget{0};
  std::uint64_t seed = 0;
};

inline constexpr int kMinThresholdMembers = 5;

/// How the outside watches and stops a run. Called from the run's thread.
struct RunControl {
  /// True: end with kCancelled at the next chance.
  std::function<bool()> cancelled;
  /// @param stage  a word or two; @param fraction  of the whole run, 0..1
  std::function<void(std::string_view stage, double fraction)> progress;
  /// After every round: its number from 0, the labels (numbers that name
  /// clusters within this call) and which rows are final by now.
  std::function<void(int round, const std::vector<int>& labels,
                     const std::vector<bool>& final_rows)>
      round_ended;
  /// Finished parts, kept by who may be cut off and begin again with the same
  /// input and options: asked for before one is made, told when it is. Names
  /// are of letters, digits and "-". What does not decode is made anew.
  std::function<std::optional<std::string>(const std::string& name)> find_step;
  std::function<void(const std::string& name, std::string_view bytes)>
      keep_step;
};

/// What a method learns: a map to z and a partition of z.
struct MethodResult {
  std::unique_ptr<EmbeddingModel> model;
  Matrix centroids;   ///< (k, d)
  Matrix embeddings;  ///< (n, d): the model's z of every row
  /// (n): 0..k-1; -1 for a row that is forbidden in every cluster.
  std::vector<int> labels;
  /// Each view's own clusters, where the method has several views' : per view
  /// (n), -1 for a row that was not trained on. Else empty.
  std::vector<std::vector<int>> partitions;
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
  std::vector<std::uint8_t> confirmed;  ///< (n) 1: this run makes it final
  Matrix embeddings;                    ///< (n, d)
  /// "silhouette" and "inertia" in the embedding; what publishing changes
  /// (docs/protocol.md); "views_silhouette", "views_neighbours",
  /// "held_out_right", and the earlier epoch's as "earlier_...".
  std::map<std::string, double> scores;
  /// Share of free rows with a previous label that moved; scores has that of
  /// the learned ones among them as "churn_of_learned".
  double churn = 0;
  /// Why a person should look before this is published; empty: nothing.
  std::vector<std::string> concerns;
};

/// One whole run. In each round: learn on the views, keep the constraints,
/// match clusters to the earlier ids, confirm; between rounds, transfer. Then
/// thresholds, scores, and a comparison with the earlier epoch on the same
/// sample of images: silhouette and neighbours (label_quality), and how many
/// of the images that runs confirmed, held out of the constraints (a tenth of
/// each cluster's, kMaxHeldOut at most), are put where they belong.
/// @param constraints  per row; its size is the number of images
/// Errors: kInvalidArgument (fewer rows than clusters, fixed and must_not
/// contradict, no cluster of min_birth images), kCancelled, those of the
/// method.
/// Thread: owner. Source: ALGORITHMS section 8.
[[nodiscard]] Result<Candidate> run_refinement(
    const RefinementMethod& method, FeatureSource& features,
    const std::vector<RowConstraint>& constraints, const EarlierEpoch& earlier,
    const RefinementOptions& options, const RunControl& control);

inline constexpr std::size_t kMaxHeldOut = 500;
inline constexpr double kGrown = 1.5;

}  // namespace shoal
