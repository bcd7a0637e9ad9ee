#include "engine/deep/internal/joint_learning.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>

#include "engine/cluster/neighbour_graph.h"
#include "engine/deep/internal/agglomeration.h"
#include "engine/deep/internal/partition.h"
#include "engine/deep/internal/triplets.h"

namespace shoal {
namespace {

/// The learning rate falls as (1 + kRateDecay t)^-kRatePower over all
/// iterations t of a run.
constexpr double kRateDecay = 1e-4;
constexpr double kRatePower = 0.75;

/// Where in a period merging and training start, for the progress.
constexpr double kMergingStart = 0.3;
constexpr double kTrainingStart = 0.4;
Error cancelled_error() {
  return {ErrorCode::kCancelled, "JULE was cancelled"};
}

bool positive(double value) { return std::isfinite(value) && value > 0; }
bool not_negative(double value) { return std::isfinite(value) && value >= 0; }

/// The counts of clusters at the end of each period.
std::vector<int> plan_periods(int count, const JuleOptions& options) {
  std::vector<int> targets;
  do {
    const int merges = static_cast<int>(std::ceil(options.unroll * count));
    count = std::max(options.clusters, count - merges);
    targets.push_back(count);
  } while (count > options.clusters);
  return targets;
}

class JointLearning {
 public:
  JointLearning(EmbeddingNet& net, const ClusterConstraints& constraints,
                const JuleOptions& options, std::mt19937_64& random)
      : net_(net),
        constraints_(constraints),
        options_(options),
        random_(random) {}

  Result<JointResult> run(MatrixView start) {
    JointResult result;
    SHOAL_TRY(first_graph, neighbours(start, 0));
    Partition partition = initial_clusters(first_graph);
    const std::vector<int> targets = plan_periods(partition.count(), options_);
    periods_ = static_cast<int>(targets.size());
    for (const int target : targets) {
      if (result.periods == 0) {
        SHOAL_TRY(merge(first_graph, start, target, 0, partition));
        first_graph = {};
      } else {
        SHOAL_TRY(graph, neighbours(result.embeddings, result.periods));
        SHOAL_TRY(
            merge(graph, result.embeddings, target, result.periods, partition));
      }
      result.labels = partition.labels();
      SHOAL_TRY(train(result.labels, result.periods));
      result.embeddings = net_.run();
      if (!result.embeddings.allFinite()) {
        return invalid_argument(
            "JULE: the net's values are not finite any more; lower "
            "learning_rate");
      }
      ++result.periods;
      if (options_.period_done) {
        options_.period_done(result.embeddings, result.labels);
      }
    }
    SHOAL_TRY(graph, neighbours(result.embeddings, result.periods));
    Partition last = initial_clusters(graph);
    SHOAL_TRY(merge(graph, result.embeddings, options_.clusters, result.periods,
                    last));
    result.labels = last.labels();
    report("done", periods_ + 1, 0);
    return result;
  }

 private:
  [[nodiscard]] bool cancelled() const {
    return options_.cancelled && options_.cancelled();
  }
  /// @param part  of the period, 0..1
  void report(std::string_view stage, int period, double part) const {
    if (options_.progress) {
      options_.progress(stage, (period + part) / (periods_ + 1));
    }
  }

  [[nodiscard]] Result<NeighbourGraph> neighbours(MatrixView rows,
                                                  int period) const {
    report("neighbours", period, 0);
    const int count =
        std::min(options_.neighbours, static_cast<int>(rows.rows()) - 1);
    if (count == 0) return NeighbourGraph{};
    return nearest_neighbours(rows, count, options_.cancelled);
  }

  /// Chains of neighbours, or the rows themselves when the chains are fewer
  /// than the clusters wanted.
  [[nodiscard]] Partition initial_clusters(const NeighbourGraph& graph) const {
    const auto rows = static_cast<std::size_t>(net_.rows());
    const Partition alone(rows, constraints_, options_.clusters);
    Partition chains = alone;
    join_chains(graph, chains);
    return chains.count() < options_.clusters ? alone : chains;
  }

  Result<void> merge(const NeighbourGraph& graph, MatrixView rows, int target,
                     int period, Partition& partition) const {
    report("merging", period, kMergingStart);
    AgglomerationOptions options;
    options.target = target;
    options.ranked_neighbours = options_.ranked_neighbours;
    options.lambda = options_.lambda;
    options.lambda_above_clusters = options_.lambda_above_clusters;
    options.exact_affinity = options_.exact_affinity;
    options.cancelled = options_.cancelled;
    return agglomerate(affinity_graph(graph), rows, options, partition);
  }

  Result<void> train(const std::vector<int>& labels, int period) {
    TripletSampler sampler(labels, options_.batch);
    for (int epoch = 0; epoch < options_.epochs; ++epoch) {
      const double part = epoch / static_cast<double>(options_.epochs);
      report("training", period, kTrainingStart + (1 - kTrainingStart) * part);
      sampler.shuffle(random_);
      for (int batch = 0; batch < sampler.batches(); ++batch) {
        if (cancelled()) return cancelled_error();
        step(sampler, batch);
      }
    }
    return ok();
  }

  void step(TripletSampler& sampler, int batch) {
    const std::vector<int> rows = sampler.batch(batch, random_);
    const std::vector<Triplet> triplets =
        sampler.triplets(rows, options_.negatives, random_);
    if (triplets.empty()) return;
    const TripletLoss loss = triplet_loss(net_.forward(rows), triplets,
                                          options_.gamma, options_.margin);
    const double rate =
        options_.learning_rate *
        std::pow(1 + kRateDecay * static_cast<double>(steps_), -kRatePower);
    net_.step(loss.gradient, rate);
    ++steps_;
  }

  EmbeddingNet& net_;
  const ClusterConstraints& constraints_;
  const JuleOptions& options_;
  std::mt19937_64& random_;
  long steps_ = 0;
  int periods_ = 1;
};

}  // namespace

Result<void> check_jule_options(const JuleOptions& options) {
  const auto refuse = [](const std::string& what) {
    return invalid_argument("JULE: " + what);
  };
  if (options.clusters < 1) return refuse("clusters must be at least 1");
  if (options.hidden.empty() ||
      *std::min_element(options.hidden.begin(), options.hidden.end()) < 1) {
    return refuse("the net needs layers of at least 1 value");
  }
  if (options.neighbours < 1 || options.ranked_neighbours < 1 ||
      options.negatives < 1) {
    return refuse(
        "neighbours, ranked_neighbours and negatives must be at least 1");
  }
  if (options.epochs < 0) return refuse("epochs must not be negative");
  if (options.batch < 2) return refuse("a batch must have at least 2 rows");
  if (!positive(options.unroll) || options.unroll > 1) {
    return refuse("unroll must be above 0 and at most 1");
  }
  if (!positive(options.learning_rate) || !positive(options.gamma)) {
    return refuse("learning_rate and gamma must be positive");
  }
  if (!not_negative(options.lambda) || !not_negative(options.margin) ||
      !not_negative(options.weight_decay)) {
    return refuse("lambda, margin and weight_decay must not be negative");
  }
  if (!not_negative(options.momentum) || options.momentum >= 1) {
    return refuse("momentum must be at least 0 and below 1");
  }
  return ok();
}

Result<void> check_jule_rows(MatrixView data,
                             const ClusterConstraints& constraints,
                             const JuleOptions& options) {
  if (data.cols() < 1 || data.rows() < options.clusters) {
    return invalid_argument("JULE: " + std::to_string(data.rows()) +
                            " rows of " + std::to_string(data.cols()) +
                            " values for " + std::to_string(options.clusters) +
                            " clusters");
  }
  if (!data.allFinite()) {
    return invalid_argument("JULE: the data hold a value that is not finite");
  }
  const auto rows = static_cast<std::size_t>(data.rows());
  SHOAL_TRY(check_constraints(constraints, rows, options.clusters));
  const auto& groups = constraints.must_link;
  const auto free_rows = groups.empty()
                             ? data.rows()
                             : std::count(groups.begin(), groups.end(), -1);
  if (free_rows < options.clusters - constraints.groups) {
    return invalid_argument(
        "JULE: " + std::to_string(free_rows) + " rows without a group for " +
        std::to_string(options.clusters - constraints.groups) +
        " clusters without a group");
  }
  return ok();
}

Result<JointResult> learn_jointly(EmbeddingNet& net, MatrixView start,
                                  const ClusterConstraints& constraints,
                                  const JuleOptions& options,
                                  std::mt19937_64& random) {
  return JointLearning(net, constraints, options, random).run(start);
}

}  // namespace shoal
