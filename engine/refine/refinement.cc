#include "engine/refine/refinement.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "engine/cluster/ensemble.h"
#include "engine/refine/cluster_identity.h"
#include "engine/refine/internal/deep_method.h"
#include "engine/refine/internal/kmeans_method.h"
#include "engine/refine/internal/outcome.h"
#include "engine/refine/internal/training.h"
#include "engine/refine/internal/transfer_source.h"
#include "engine/refine/label_quality.h"
#include "engine/score/sampling.h"

namespace shoal {
namespace {

/// Rows that the labels are compared with the earlier ones on.
constexpr std::size_t kCompareSample = 2000;
/// Fewer held-out rows raise no concern.
constexpr std::size_t kLeastHeldOut = 20;
/// Share of the run that the method takes, as progress tells it.
constexpr double kLearnEnd = 0.9;

bool contains(const std::vector<ClusterId>& ids, ClusterId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool has_two(const std::vector<int>& labels) {
  return labels.size() >= 3 &&
         std::any_of(labels.begin(), labels.end(),
                     [&](int label) { return label != labels.front(); });
}

std::string format_score(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(3) << value;
  return text.str();
}

/// The views that are clustered.
std::vector<std::size_t> kept_views(const FeatureSource& features,
                                    const TransferRounds& transfer) {
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < features.inputs().size(); ++i) {
    if (transfer.net != i || transfer.cluster_net) kept.push_back(i);
  }
  return kept;
}

bool is_share(double value) { return value >= 0 && value <= 1; }

Result<void> check_request(const FeatureSource& features,
                           const std::vector<RowConstraint>& constraints,
                           const RefinementOptions& options) {
  const std::size_t rows = features.size();
  if (constraints.size() != rows) {
    return invalid_argument(std::to_string(constraints.size()) +
                            " constraints for " + std::to_string(rows) +
                            " images");
  }
  const int needed = std::max(2, options.clusters);
  if (rows < static_cast<std::size_t>(needed)) {
    return invalid_argument(std::to_string(rows) + " images are too few: " +
                            std::to_string(needed) + " are needed");
  }
  if (options.clusters < 0 || options.max_clusters < 1 ||
      options.embedding_dim < 1 || options.max_train_images < needed ||
      !(options.novelty_quantile > 0) || options.novelty_quantile > 1 ||
      !(options.novelty_slack > 0) || !is_share(options.confirmation.share) ||
      !is_share(options.confirmation.min_agreement) ||
      !is_share(options.max_confirm_share) || !is_share(options.max_churn) ||
      !(options.score_tolerance >= 0) || options.min_birth < 1 ||
      options.transfer.rounds < 0 || !is_share(options.transfer.share_step) ||
      (options.transfer.net &&
       *options.transfer.net >= features.inputs().size()) ||
      kept_views(features, options.transfer).empty()) {
    return invalid_argument("refinement options are out of range");
  }
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const RowConstraint& row = constraints[i];
    if (row.fixed.valid() && contains(row.must_not, row.fixed)) {
      return invalid_argument(
          "image " + std::to_string(i) + " is fixed in cluster " +
          std::to_string(row.fixed.value()) + " and forbidden there");
    }
  }
  return ok();
}

MethodInput describe(FeatureSource& features, const RefinementOptions& options,
                     const std::vector<RowConstraint>& constraints) {
  MethodInput input{features, options, {}, 0, {}, {}};
  std::map<ClusterId, int> groups;
  std::map<ClusterId, int> strata;
  for (const RowConstraint& row : constraints) {
    if (row.fixed.valid()) groups.emplace(row.fixed, 0);
    strata.emplace(row.previous, 0);
  }
  for (auto& [id, group] : groups) group = input.groups++;
  int stratum_count = 0;
  for (auto& [id, stratum] : strata) stratum = stratum_count++;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const RowConstraint& row = constraints[i];
    input.must_link.push_back(row.fixed.valid() ? groups.at(row.fixed) : -1);
    input.strata.push_back(strata.at(row.previous));
    for (const ClusterId id : row.must_not) {
      const auto group = groups.find(id);
      if (group != groups.end()) {
        input.forbidden.emplace_back(static_cast<int>(i), group->second);
      }
    }
  }
  return input;
}

/// A method is other people's code: what it gives is checked once, here.
Result<void> check_result(const MethodResult& result, std::size_t rows) {
  const bool fits =
      result.model != nullptr && result.centroids.rows() > 0 &&
      result.centroids.cols() == result.model->dim() &&
      result.embeddings.cols() == result.model->dim() &&
      result.embeddings.rows() == static_cast<Eigen::Index>(rows) &&
      std::all_of(result.partitions.begin(), result.partitions.end(),
                  [&](const auto& view) { return view.size() == rows; }) &&
      result.labels.size() == rows &&
      std::all_of(result.labels.begin(), result.labels.end(), [&](int label) {
        return label >= -1 && label < result.centroids.rows();
      });
  if (!fits) return internal_error("the method's result has another shape");
  if (!result.centroids.allFinite() || !result.embeddings.allFinite()) {
    return internal_error(
        "the method's result holds values that are not "
        "finite");
  }
  return ok();
}

/// Moves every image that a person ruled out of its cluster to the nearest one
/// where it may be, or to the pool.
void keep_must_not(const std::vector<RowConstraint>& constraints,
                   const std::vector<ClusterId>& continues,
                   MethodResult& result) {
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const std::vector<ClusterId>& must_not = constraints[i].must_not;
    if (must_not.empty() || result.labels[i] < 0) continue;
    const auto allowed = [&](int cluster) {
      return !contains(must_not, continues[static_cast<std::size_t>(cluster)]);
    };
    if (allowed(result.labels[i])) continue;
    result.labels[i] = nearest_allowed(
        result.embeddings.row(static_cast<Eigen::Index>(i)).transpose(),
        result.centroids, allowed);
  }
}

/// Takes clusters without images away from the result and its identity.
void drop_empty_clusters(MethodResult& result, IdentityResult& identity) {
  const auto k = static_cast<std::size_t>(result.centroids.rows());
  std::vector<bool> used(k, false);
  for (const int label : result.labels) {
    if (label >= 0) used[static_cast<std::size_t>(label)] = true;
  }
  std::vector<int> position(k, -1);
  std::size_t kept = 0;
  for (std::size_t c = 0; c < k; ++c) {
    if (!used[c]) {
      const ClusterId id = identity.continues[c];
      if (id.valid()) identity.ended[id] = {};
      continue;
    }
    position[c] = static_cast<int>(kept);
    result.centroids.row(static_cast<Eigen::Index>(kept)) =
        result.centroids.row(static_cast<Eigen::Index>(c));
    identity.continues[kept] = identity.continues[c];
    identity.parents[kept] = identity.parents[c];
    ++kept;
  }
  result.centroids.conservativeResize(static_cast<Eigen::Index>(kept),
                                      Eigen::NoChange);
  identity.continues.resize(kept);
  identity.parents.resize(kept);
  for (int& label : result.labels) {
    if (label >= 0) label = position[static_cast<std::size_t>(label)];
  }
  for (auto& [id, heirs] : identity.ended) {
    std::vector<std::size_t> renamed;
    for (const std::size_t heir : heirs) {
      if (position[heir] >= 0) {
        renamed.push_back(static_cast<std::size_t>(position[heir]));
      }
    }
    heirs = std::move(renamed);
  }
}

/// Ids of clusters that a round confirms images in and that no earlier epoch
/// knows: above every real one, within one run only.
constexpr std::uint64_t kFirstProvisional = std::uint64_t{1} << 63;

bool is_provisional(ClusterId id) { return id.value() >= kFirstProvisional; }

/// Of the rows that runs fixed a tenth of each cluster's, at most kMaxHeldOut:
/// the method does not hear of them, so that they tell how right it is.
/// Clusters with few fixed rows keep all.
std::vector<bool> choose_held_out(const std::vector<RowConstraint>& constraints,
                                  std::uint64_t seed) {
  constexpr std::size_t kOneOf = 10;
  std::map<ClusterId, std::vector<std::size_t>> by_runs;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const RowConstraint& row = constraints[i];
    if (row.fixed.valid() && !row.by_person) by_runs[row.fixed].push_back(i);
  }
  std::vector<std::size_t> chosen;
  for (const auto& [id, rows] : by_runs) {
    for (const std::size_t position :
         sample_without_replacement(rows.size(), rows.size() / kOneOf, seed)) {
      chosen.push_back(rows[position]);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  std::vector<bool> held_out(constraints.size(), false);
  for (const std::size_t position :
       sample_without_replacement(chosen.size(), kMaxHeldOut, seed)) {
    held_out[chosen[position]] = true;
  }
  return held_out;
}

/// One run and what it knows between its rounds.
class Run {
 public:
  Run(const RefinementMethod& method, FeatureSource& features,
      const std::vector<RowConstraint>& constraints,
      const EarlierEpoch& earlier, const RefinementOptions& options,
      const RunControl& control)
      : method_(method),
        stored_(features),
        constraints_(constraints),
        earlier_(earlier),
        options_(options),
        control_(control),
        source_(features, kept_views(features, options.transfer)),
        working_(constraints),
        held_out_(choose_held_out(constraints, options.seed)),
        confirmed_(constraints.size(), 0) {}

  Result<Candidate> carry_out() {
    const int rounds = options_.transfer.net ? options_.transfer.rounds : 0;
    for (int round = 0;; ++round) {
      SHOAL_TRY(learn(round, rounds));
      SHOAL_TRY(confirmed, confirm(round));
      tell_round(round);
      if (round == rounds || confirmed == 0 || !fits_another()) break;
      SHOAL_TRY(learned, transfer());
      if (!learned) break;
    }
    return finish();
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// An unsupervised round: a partition that keeps the constraints, matched to
  /// the ids.
  Result<void> learn(int round, int rounds) {
    const double share = kLearnEnd / (rounds + 1);
    RunControl learning = control_;
    if (control_.progress) {
      learning.progress = [this, round, share](std::string_view stage,
                                               double fraction) {
        control_.progress(stage, share * (round + fraction));
      };
    }
    const std::string prefix = "round" + std::to_string(round) + "-";
    if (control_.find_step) {
      learning.find_step = [this, prefix](const std::string& name) {
        return control_.find_step(prefix + name);
      };
    }
    if (control_.keep_step) {
      learning.keep_step = [this, prefix](const std::string& name,
                                          std::string_view bytes) {
        control_.keep_step(prefix + name, bytes);
      };
    }
    const Clock::time_point start = Clock::now();
    const std::vector<RowConstraint> heard = without_held_out();
    SHOAL_TRY(result,
              method_.learn(describe(source_, options_, heard), learning));
    SHOAL_TRY(check_result(result, constraints_.size()));
    if (is_cancelled(control_)) return run_cancelled();
    longest_round_ = std::max(longest_round_, Clock::now() - start);
    result_ = std::move(result);

    std::vector<ClusterId> previous;
    std::vector<ClusterId> fixed;
    for (const RowConstraint& row : heard) {
      previous.push_back(row.previous);
      fixed.push_back(row.fixed);
    }
    identity_ = match_clusters(result_.labels,
                               static_cast<int>(result_.centroids.rows()),
                               previous, fixed);
    if (round == 0) judge_held_out();
    SHOAL_TRY(put_held_out_back());
    keep_must_not(working_, identity_.continues, result_);
    drop_small_births();
    drop_empty_clusters(result_, identity_);
    if (result_.centroids.rows() == 0) {
      return invalid_argument("no cluster has " +
                              std::to_string(options_.min_birth) + " images");
    }
    candidate_ = Candidate();
    candidate_.labels = result_.labels;
    measure_rows(result_, candidate_);
    return ok();
  }

  [[nodiscard]] std::vector<RowConstraint> without_held_out() const {
    std::vector<RowConstraint> heard = working_;
    for (std::size_t i = 0; i < heard.size(); ++i) {
      if (held_out_[i]) heard[i].fixed = ClusterId{};
    }
    return heard;
  }

  /// How many of the held-out rows the first round puts where they belong.
  void judge_held_out() {
    std::size_t right = 0;
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      if (!held_out_[i]) continue;
      ++held_out_rows_;
      const int label = result_.labels[i];
      if (label >= 0 && identity_.continues[static_cast<std::size_t>(label)] ==
                            constraints_[i].fixed) {
        ++right;
      }
    }
    if (held_out_rows_ > 0) {
      held_out_right_ =
          static_cast<double>(right) / static_cast<double>(held_out_rows_);
    }
  }

  /// Held-out rows are fixed like the others, whatever the method said.
  Result<void> put_held_out_back() {
    std::map<ClusterId, int> position;
    for (std::size_t c = 0; c < identity_.continues.size(); ++c) {
      if (identity_.continues[c].valid()) {
        position[identity_.continues[c]] = static_cast<int>(c);
      }
    }
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      if (!held_out_[i]) continue;
      const auto found = position.find(constraints_[i].fixed);
      if (found == position.end()) {
        return internal_error("the method lost a cluster with fixed images");
      }
      result_.labels[i] = found->second;
    }
    return ok();
  }

  /// One odd image founds no cluster.
  void drop_small_births() {
    std::vector<int> sizes(identity_.continues.size(), 0);
    for (const int label : result_.labels) {
      if (label >= 0) ++sizes[static_cast<std::size_t>(label)];
    }
    for (int& label : result_.labels) {
      if (label < 0) continue;
      const auto c = static_cast<std::size_t>(label);
      if (!identity_.continues[c].valid() && sizes[c] < options_.min_birth) {
        label = -1;
      }
    }
  }

  /// @return how many rows became final
  Result<std::size_t> confirm(int round) {
    std::vector<bool> settled;
    std::size_t open_before = 0;
    std::size_t confirmed_before = 0;
    for (std::size_t i = 0; i < working_.size(); ++i) {
      settled.push_back(working_[i].fixed.valid());
      if (!constraints_[i].fixed.valid()) ++open_before;
      if (confirmed_[i] != 0) ++confirmed_before;
    }
    ConfirmationOptions confirmation = options_.confirmation;
    if (confirmation.share > 0) {
      confirmation.share = std::min(
          1.0, confirmation.share + round * options_.transfer.share_step);
    }
    const auto joined_views =
        [this](const std::vector<std::size_t>& wanted) -> Result<Matrix> {
      SHOAL_TRY(views, stored_views(wanted));
      return concatenate_views(views);
    };
    SHOAL_TRY(
        chosen,
        choose_confirmed(
            {candidate_.labels, candidate_.distances, result_.partitions,
             settled, static_cast<int>(result_.centroids.rows()), joined_views},
            confirmation));
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (chosen[i] != 0) rows.push_back(i);
    }
    const auto most = static_cast<std::size_t>(std::ceil(
        std::max(options_.max_confirm_share, options_.confirmation.share) *
        static_cast<double>(open_before)));
    const std::size_t left = most - std::min(most, confirmed_before);
    if (rows.size() > left) {
      std::sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
        return std::make_pair(candidate_.distances[a], a) <
               std::make_pair(candidate_.distances[b], b);
      });
      rows.resize(left);
    }
    for (const std::size_t row : rows) {
      confirmed_[row] = 1;
      working_[row].fixed =
          id_of(static_cast<std::size_t>(candidate_.labels[row]));
    }
    return rows.size();
  }

  /// The id that cluster `c` continues, or a provisional one from now on.
  ClusterId id_of(std::size_t c) {
    ClusterId& id = identity_.continues[c];
    if (!id.valid()) id = ClusterId(kFirstProvisional + provisional_++);
    return id;
  }

  void tell_round(int round) const {
    if (!control_.round_ended) return;
    std::vector<bool> final_rows;
    for (const RowConstraint& row : working_) {
      final_rows.push_back(row.fixed.valid());
    }
    control_.round_ended(round, candidate_.labels, final_rows);
  }

  [[nodiscard]] bool fits_another() const {
    if (options_.budget.count() <= 0) return true;
    return Clock::now() - started_ + longest_round_ < 0.9 * options_.budget;
  }

  /// Learns the head from what is final. @return false when that are fewer
  /// than two clusters
  Result<bool> transfer() {
    std::map<ClusterId, int> classes;
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < working_.size(); ++i) {
      if (!working_[i].fixed.valid()) continue;
      rows.push_back(i);
      classes.emplace(working_[i].fixed, 0);
    }
    if (classes.size() < 2) return false;
    int next = 0;
    for (auto& [id, number] : classes) number = next++;
    std::vector<int> labels;
    for (const std::size_t row : rows) {
      labels.push_back(classes.at(working_[row].fixed));
    }
    SHOAL_TRY(head, learn_head(stored_, *options_.transfer.net, rows, labels,
                               next, options_, control_));
    source_.use_head(*options_.transfer.net, std::move(head));
    ++transfers_;
    return true;
  }

  Result<Candidate> finish() {
    report(control_, "match", 0.92);
    Candidate& candidate = candidate_;
    candidate.method = std::string(method_.name());
    candidate.note = std::move(result_.note);
    if (transfers_ > 0) {
      candidate.note += "; " + std::to_string(transfers_) + " transfer " +
                        (transfers_ == 1 ? "round" : "rounds") + " with " +
                        stored_.inputs()[*options_.transfer.net].view;
    }
    const auto clusters = static_cast<std::size_t>(result_.centroids.rows());
    const std::vector<float> thresholds =
        find_thresholds(constraints_, candidate, clusters, options_);
    for (std::size_t c = 0; c < clusters; ++c) {
      CandidateCluster cluster;
      if (!is_provisional(identity_.continues[c])) {
        cluster.id = identity_.continues[c];
      }
      cluster.prototypes.push_back(
          {result_.centroids.row(static_cast<Eigen::Index>(c)).transpose(),
           thresholds[c]});
      if (!cluster.id.valid()) {
        cluster.parents = std::move(identity_.parents[c]);
      }
      candidate.clusters.push_back(std::move(cluster));
    }
    candidate.ended = std::move(identity_.ended);
    for (const ClusterId id : earlier_.clusters) {
      if (!contains(identity_.continues, id)) candidate.ended.try_emplace(id);
    }
    candidate.confirmed = confirmed_;
    SHOAL_TRY(model, source_.over_stored(std::move(result_.model)));
    candidate.model = std::move(model);
    candidate.embeddings = std::move(result_.embeddings);
    candidate.churn = find_churn(constraints_, candidate, false);
    candidate.scores["churn_of_learned"] =
        find_churn(constraints_, candidate, true);
    SHOAL_TRY(add_embedding_scores(options_.seed, candidate));
    add_changes(constraints_, candidate);
    report(control_, "compare", 0.95);
    SHOAL_TRY(compare());
    find_concerns();
    report(control_, "score", 1);
    return std::move(candidate_);
  }

  /// The new labels and the earlier ones, both on the images that have both.
  Result<void> compare() {
    std::vector<std::size_t> both;
    for (std::size_t i = 0; i < constraints_.size(); ++i) {
      if (candidate_.labels[i] >= 0 && constraints_[i].previous.valid()) {
        both.push_back(i);
      }
    }
    std::vector<std::size_t> rows;
    for (const std::size_t position : sample_without_replacement(
             both.size(), kCompareSample, options_.seed)) {
      rows.push_back(both[position]);
    }
    std::map<ClusterId, int> numbers;
    std::vector<int> labels;
    std::vector<int> earlier_labels;
    for (const std::size_t row : rows) {
      labels.push_back(candidate_.labels[row]);
      const auto number = numbers.emplace(constraints_[row].previous,
                                          static_cast<int>(numbers.size()));
      earlier_labels.push_back(number.first->second);
    }
    if (has_two(labels) && has_two(earlier_labels)) {
      SHOAL_TRY(views, stored_views(rows));
      SHOAL_TRY(quality, label_quality(views, labels));
      SHOAL_TRY(earlier_quality, label_quality(views, earlier_labels));
      auto& scores = candidate_.scores;
      scores["views_silhouette"] = quality.silhouette;
      scores["views_neighbours"] = quality.neighbours;
      scores["earlier_views_silhouette"] = earlier_quality.silhouette;
      scores["earlier_views_neighbours"] = earlier_quality.neighbours;
    }
    return compare_held_out();
  }

  Result<void> compare_held_out() {
    if (held_out_rows_ == 0) return ok();
    candidate_.scores["held_out_right"] = held_out_right_;
    if (earlier_.model == nullptr || earlier_.centroids.rows() == 0)
      return ok();
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      if (held_out_[i]) rows.push_back(i);
    }
    const auto positions = earlier_positions();
    if (!positions) return ok();
    SHOAL_TRY(all, stored_.read(rows));
    std::vector<Matrix> inputs;
    for (const std::size_t position : *positions) {
      inputs.push_back(all[position]);
    }
    const Matrix z = earlier_.model->embed(inputs);
    std::size_t right = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const int nearest =
          nearest_allowed(z.row(static_cast<Eigen::Index>(i)).transpose(),
                          earlier_.centroids, [](int) { return true; });
      if (nearest >= 0 &&
          earlier_.centroid_clusters[static_cast<std::size_t>(nearest)] ==
              constraints_[rows[i]].fixed) {
        ++right;
      }
    }
    candidate_.scores["earlier_held_out_right"] =
        static_cast<double>(right) / static_cast<double>(rows.size());
    return ok();
  }

  /// The clustered views of `rows`.
  Result<std::vector<Matrix>> stored_views(
      const std::vector<std::size_t>& rows) {
    SHOAL_TRY(all, stored_.read(rows));
    std::vector<Matrix> views;
    for (const std::size_t position : kept_views(stored_, options_.transfer)) {
      views.push_back(std::move(all[position]));
    }
    return views;
  }

  /// Where the earlier model's inputs are among the stored ones; nothing when
  /// the run does not have all of them: the views were changed.
  [[nodiscard]] std::optional<std::vector<std::size_t>> earlier_positions()
      const {
    std::vector<std::size_t> positions;
    for (const EmbeddingInput& input : earlier_.model->inputs()) {
      const auto& stored = stored_.inputs();
      const auto found = std::find_if(
          stored.begin(), stored.end(), [&](const EmbeddingInput& other) {
            return other.view == input.view && other.dim == input.dim;
          });
      if (found == stored.end()) return std::nullopt;
      positions.push_back(static_cast<std::size_t>(found - stored.begin()));
    }
    return positions;
  }

  /// A person chose other views to cluster since the earlier epoch.
  [[nodiscard]] bool views_were_changed() const {
    if (earlier_.model == nullptr) return false;
    const auto positions = earlier_positions();
    if (!positions) return true;
    const std::vector<std::size_t> kept =
        kept_views(stored_, options_.transfer);
    return std::any_of(kept.begin(), kept.end(), [&](std::size_t position) {
      return std::find(positions->begin(), positions->end(), position) ==
             positions->end();
    });
  }

  void find_concerns() {
    if (views_were_changed()) return;
    const auto say = [&](const std::string& what, double value,
                         const std::string& than, double limit) {
      candidate_.concerns.push_back(what + " is " + format_score(value) + ", " +
                                    than + " " + format_score(limit));
    };
    const double churn = candidate_.scores.at("churn_of_learned");
    const bool has_grown = earlier_.images > 0 &&
                           static_cast<double>(constraints_.size()) >=
                               kGrown * static_cast<double>(earlier_.images);
    if (churn > options_.max_churn && !has_grown) {
      say("churn", churn, "the limit", options_.max_churn);
    }
    for (const char* const name :
         {"views_silhouette", "views_neighbours", "held_out_right"}) {
      const auto now = candidate_.scores.find(name);
      const auto before =
          candidate_.scores.find("earlier_" + std::string(name));
      if (now == candidate_.scores.end() || before == candidate_.scores.end()) {
        continue;
      }
      // A handful of images says too little.
      if (now->first == "held_out_right" && held_out_rows_ < kLeastHeldOut) {
        continue;
      }
      if (now->second < before->second - options_.score_tolerance) {
        say(name, now->second, "the current epoch's", before->second);
      }
    }
  }

  const RefinementMethod& method_;
  FeatureSource& stored_;
  const std::vector<RowConstraint>& constraints_;
  const EarlierEpoch& earlier_;
  const RefinementOptions& options_;
  const RunControl& control_;

  RoundSource source_;
  std::vector<RowConstraint> working_;  ///< with what this run confirms
  const std::vector<bool> held_out_;
  std::vector<std::uint8_t> confirmed_;
  std::uint64_t provisional_ = 0;
  int transfers_ = 0;
  std::size_t held_out_rows_ = 0;
  double held_out_right_ = 0;
  const Clock::time_point started_ = Clock::now();
  Clock::duration longest_round_{0};
  // Of the last round:
  MethodResult result_;
  IdentityResult identity_;
  Candidate candidate_;
};

}  // namespace

Result<std::unique_ptr<RefinementMethod>> make_refinement_method(
    std::string_view name) {
  if (name == "km") {
    return std::unique_ptr<RefinementMethod>(std::make_unique<KMeansMethod>());
  }
  std::string known = "km";
  for (const DeepMethod::Recipe& recipe : DeepMethod::recipes()) {
    if (name == recipe.name) {
      return std::unique_ptr<RefinementMethod>(
          std::make_unique<DeepMethod>(recipe));
    }
    known += ", " + std::string(recipe.name);
  }
  return not_found("no refinement method is called '" + std::string(name) +
                   "'; there is: " + known);
}

Result<Candidate> run_refinement(const RefinementMethod& method,
                                 FeatureSource& features,
                                 const std::vector<RowConstraint>& constraints,
                                 const EarlierEpoch& earlier,
                                 const RefinementOptions& options,
                                 const RunControl& control) {
  SHOAL_TRY(check_request(features, constraints, options));
  Run run(method, features, constraints, earlier, options, control);
  return run.carry_out();
}

}  // namespace shoal
