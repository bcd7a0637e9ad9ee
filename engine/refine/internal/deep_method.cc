#include "engine/refine/internal/deep_method.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/bytes.h"
#include "engine/cluster/constraints.h"
#include "engine/cluster/ensemble.h"
#include "engine/cluster/kmeans.h"
#include "engine/deep/embedded_clustering.h"
#include "engine/deep/jule.h"
#include "engine/deep/multi_view.h"
#include "engine/online/net_embedding.h"
#include "engine/refine/internal/training.h"

namespace shoal {
namespace {

/// Of the training images' views together.
constexpr std::size_t kMaxTrainBytes = std::size_t{1} << 30;

constexpr ProgressPart kRead{"read", 0, 0.05};
constexpr double kCountEnd = 0.1;
constexpr double kLearnEnd = 0.9;
constexpr ProgressPart kEmbed{"embed", kLearnEnd, 0.98};

/// What a recipe learns from.
struct Training {
  std::vector<std::size_t> rows;  ///< of the run's, ascending
  std::vector<Matrix> views;      ///< per view (rows, dim), of length 1
  ClusterConstraints constraints;
  int clusters = 0;
};

/// What a recipe learned.
struct Learned {
  std::unique_ptr<EmbeddingModel> model;
  std::vector<int> labels;  ///< (training rows), group g has label g
  /// Each view's own, where there are several; else empty.
  std::vector<std::vector<int>> partitions;
};

std::size_t training_limit(const MethodInput& input) {
  std::size_t row_bytes = 0;
  for (const EmbeddingInput& view : input.features.inputs()) {
    row_bytes += static_cast<std::size_t>(view.dim) * sizeof(float);
  }
  return std::min(static_cast<std::size_t>(input.options.max_train_images),
                  kMaxTrainBytes / row_bytes);
}

/// Rows of length 1; rows of zeros stay.
void scale_to_length_1(Matrix& rows) {
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const float length = rows.row(i).stableNorm();
    if (length > 0) rows.row(i) /= length;
  }
}

/// The views side by side.
Matrix joined(const std::vector<Matrix>& views) {
  Eigen::Index width = 0;
  for (const Matrix& view : views) width += view.cols();
  Matrix all(views.front().rows(), width);
  Eigen::Index column = 0;
  for (const Matrix& view : views) {
    all.middleCols(column, view.cols()) = view;
    column += view.cols();
  }
  return all;
}

/// The bytes of one view's clustering as a kept step.
std::string write_step(const std::vector<int>& labels, const Mlp& net) {
  ByteWriter out;
  out.number(static_cast<std::uint64_t>(labels.size()));
  for (const int label : labels) out.number(static_cast<std::int32_t>(label));
  write_mlp(out, net);
  return out.take();
}

/// What was kept, if it is of `rows` in `clusters`.
struct Step {
  std::vector<int> labels;
  Mlp net;
};
std::optional<Step> read_step(std::string_view bytes, std::size_t rows,
                              int clusters) {
  ByteReader in(bytes);
  if (in.number<std::uint64_t>() != rows) return std::nullopt;
  Step step;
  for (std::size_t i = 0; i < rows && !in.failed(); ++i) {
    step.labels.push_back(in.number<std::int32_t>());
    if (step.labels.back() < 0 || step.labels.back() >= clusters) {
      return std::nullopt;
    }
  }
  auto net = read_mlp(in);
  if (!net || !in.finish("kept step")) return std::nullopt;
  step.net = std::move(net).value();
  return step;
}

/// How a recipe's clusterers are called.
class Learner {
 public:
  Learner(const MethodInput& input, const RunControl& control,
          const Training& training, DeepMethod::Base base)
      : input_(input), control_(control), training_(training), base_(base) {}

  Result<Learned> learn(DeepMethod::Kind kind) const {
    switch (kind) {
      case DeepMethod::Kind::kJoined:
        return on_joined_views();
      case DeepMethod::Kind::kEnsemble:
        return by_ensemble();
      case DeepMethod::Kind::kFixed:
        return by_multi_view_net(false);
      case DeepMethod::Kind::kEndToEnd:
        return by_multi_view_net(true);
    }
    return internal_error("no such kind of method");
  }

 private:
  struct Clustered {
    std::vector<int> labels;
    Mlp net;  ///< row -> z; without layers for k-means
  };

  /// @param position, count  which of how many clusterings, for the progress
  [[nodiscard]] Result<Clustered> cluster(MatrixView rows, std::size_t position,
                                          std::size_t count) const {
    const auto progress = part_of_learning(position, count);
    if (base_ == DeepMethod::Base::kJule) {
      JuleOptions options;
      options.clusters = training_.clusters;
      options.seed = input_.options.seed;
      options.cancelled = control_.cancelled;
      options.progress = progress;
      SHOAL_TRY(found, jule(rows, training_.constraints, options));
      return Clustered{std::move(found.labels), std::move(found.net)};
    }
    if (base_ == DeepMethod::Base::kIdec) {
      EmbeddedOptions options;
      options.clusters = training_.clusters;
      options.seed = input_.options.seed;
      options.cancelled = control_.cancelled;
      options.progress = progress;
      SHOAL_TRY(found,
                embedded_clustering(rows, training_.constraints, options));
      return Clustered{std::move(found.labels), std::move(found.encoder)};
    }
    KMeansOptions options;
    options.clusters = training_.clusters;
    options.seed = input_.options.seed;
    options.cancelled = control_.cancelled;
    options.fixed = training_.constraints.must_link;
    options.forbidden = training_.constraints.forbidden;
    SHOAL_TRY(found, kmeans(rows, options));
    return Clustered{std::move(found.labels), {}};
  }

  /// The clustering of a view that an earlier try has finished.
  [[nodiscard]] std::optional<Step> find(std::size_t view) const {
    if (!control_.find_step) return std::nullopt;
    const auto bytes = control_.find_step("view" + std::to_string(view));
    if (!bytes) return std::nullopt;
    auto step = read_step(*bytes, training_.rows.size(), training_.clusters);
    if (!step || !fits(*step, training_.views[view])) return std::nullopt;
    return step;
  }

  /// Whether the step is of this view, under these constraints.
  [[nodiscard]] bool fits(const Step& step, const Matrix& view) const {
    if (!step.net.layers.empty() &&
        step.net.layers.front().weight.cols() != view.cols()) {
      return false;
    }
    for (std::size_t i = 0; i < step.labels.size(); ++i) {
      const int group = training_.constraints.group_of(i);
      if (group >= 0 && step.labels[i] != group) return false;
    }
    return true;
  }

  void keep(std::size_t view, const std::vector<int>& labels,
            const Mlp& net) const {
    if (!control_.keep_step) return;
    control_.keep_step("view" + std::to_string(view), write_step(labels, net));
  }

  [[nodiscard]] Result<Learned> on_joined_views() const {
    SHOAL_TRY(found, cluster(joined(training_.views), 0, 1));
    MultiViewNet net;
    net.branches.resize(training_.views.size());
    net.out = std::move(found.net);
    return with_net(std::move(net), std::move(found.labels));
  }

  [[nodiscard]] Result<Learned> by_ensemble() const {
    std::vector<std::vector<int>> partitions;
    for (const Matrix& view : training_.views) {
      const std::size_t number = partitions.size();
      if (auto kept = find(number)) {
        partitions.push_back(std::move(kept->labels));
        continue;
      }
      SHOAL_TRY(found, cluster(view, number, training_.views.size()));
      keep(number, found.labels, found.net);
      partitions.push_back(std::move(found.labels));
    }
    SHOAL_TRY(labels, ensemble_clusters(partitions, training_.clusters,
                                        control_.cancelled));
    Learned learned;
    learned.labels = keep_groups(std::move(labels));
    learned.partitions = std::move(partitions);
    SHOAL_TRY(model, fit_joined_pca(input_, control_, training_.rows,
                                    {"embed", kLearnEnd, kLearnEnd}));
    learned.model = std::move(model);
    return learned;
  }

  [[nodiscard]] Result<Learned> by_multi_view_net(bool joint) const {
    MultiViewOptions options;
    options.clusters = training_.clusters;
    options.clusterer = base_ == DeepMethod::Base::kIdec ? DeepClusterer::kIdec
                                                         : DeepClusterer::kJule;
    options.joint = joint;
    options.seed = input_.options.seed;
    options.cancelled = control_.cancelled;
    options.progress = part_of_learning(0, 1);
    options.find_view =
        [this](std::size_t view) -> std::optional<PretrainedView> {
      auto kept = find(view);
      if (!kept) return std::nullopt;
      Matrix embeddings = kept->net.run(training_.views[view]);
      return PretrainedView{std::move(kept->net), std::move(embeddings),
                            std::move(kept->labels)};
    };
    options.view_done = [this](std::size_t view, const PretrainedView& made) {
      keep(view, made.labels, made.net);
    };
    SHOAL_TRY(found, multi_view_clustering(training_.views,
                                           training_.constraints, options));
    SHOAL_TRY(learned, with_net(std::move(found.net), std::move(found.labels)));
    for (PretrainedView& view : found.views) {
      learned.partitions.push_back(std::move(view.labels));
    }
    return std::move(learned);
  }

  [[nodiscard]] Result<Learned> with_net(MultiViewNet net,
                                         std::vector<int> labels) const {
    Learned learned;
    learned.labels = std::move(labels);
    SHOAL_TRY(model,
              make_net_embedding(input_.features.inputs(), std::move(net)));
    learned.model = std::move(model);
    return learned;
  }

  /// An ensemble knows no groups: each takes over the cluster that holds most
  /// of it (the largest share first), its rows follow it, and what no group
  /// takes over is numbered after the groups.
  [[nodiscard]] std::vector<int> keep_groups(std::vector<int> labels) const {
    const ClusterConstraints& constraints = training_.constraints;
    if (constraints.empty()) return labels;
    std::map<std::pair<int, int>, int> together;  // (cluster, group) -> rows
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const int group = constraints.group_of(i);
      if (group >= 0) ++together[{labels[i], group}];
    }
    std::vector<std::pair<int, std::pair<int, int>>> pairs;
    pairs.reserve(together.size());
    for (const auto& [pair, rows] : together) pairs.emplace_back(-rows, pair);
    std::sort(pairs.begin(), pairs.end());
    std::map<int, int> new_label;  // by the ensemble's
    std::vector<bool> placed(static_cast<std::size_t>(constraints.groups));
    for (const auto& [rows, pair] : pairs) {
      const auto group = static_cast<std::size_t>(pair.second);
      if (placed[group] || new_label.count(pair.first) != 0) continue;
      placed[group] = true;
      new_label[pair.first] = pair.second;
    }
    int next = constraints.groups;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const int group = constraints.group_of(i);
      if (group >= 0) {
        labels[i] = group;
        continue;
      }
      const auto [at, is_new] = new_label.try_emplace(labels[i], next);
      if (is_new) ++next;
      labels[i] = at->second;
    }
    return labels;
  }

  [[nodiscard]] std::function<void(std::string_view, double)> part_of_learning(
      std::size_t position, std::size_t count) const {
    const double share = (kLearnEnd - kCountEnd) / static_cast<double>(count);
    const double begin = kCountEnd + share * static_cast<double>(position);
    return [this, begin, share](std::string_view stage, double fraction) {
      report(control_, stage, begin + share * fraction);
    };
  }

  const MethodInput& input_;
  const RunControl& control_;
  const Training& training_;
  const DeepMethod::Base base_;
};

/// Reads the training rows and chooses the number of clusters.
Result<Training> prepare(const MethodInput& input, const RunControl& control,
                         std::string& note) {
  Training training;
  training.rows =
      training_sample(input, training_limit(input), input.options.seed);
  SHOAL_TRY(views, read_rows(input, control, training.rows, kRead));
  training.views = std::move(views);
  for (Matrix& view : training.views) scale_to_length_1(view);
  SHOAL_TRY(count, choose_count(input, control, training.views,
                                free_rows_of(input, training.rows)));
  report(control, "count", kCountEnd);
  training.clusters = count.clusters;
  note = count.note + sample_note(training.rows.size(), input.features.size());
  training.constraints.groups = input.groups;
  if (input.groups > 0) {
    for (const std::size_t row : training.rows) {
      training.constraints.must_link.push_back(input.must_link[row]);
    }
  }
  training.constraints.forbidden =
      forbidden_in_training(input, training.rows, count.clusters);
  return training;
}

/// Closes the gaps that clusters without rows leave; groups keep their label.
void close_gaps(std::vector<int>& labels, int groups) {
  std::map<int, int> used;
  for (const int label : labels) {
    if (label >= groups) used.emplace(label, 0);
  }
  int next = groups;
  for (auto& [label, position] : used) position = next++;
  for (int& label : labels) {
    if (label >= groups) label = used.at(label);
  }
}

/// Mean of each label's rows.
Matrix means(const Matrix& z, const std::vector<std::size_t>& rows,
             const std::vector<int>& labels) {
  const int k = 1 + *std::max_element(labels.begin(), labels.end());
  Matrix centroids = Matrix::Zero(k, z.cols());
  Vector counts = Vector::Zero(k);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    centroids.row(labels[i]) += z.row(static_cast<Eigen::Index>(rows[i]));
    ++counts[labels[i]];
  }
  centroids.array().colwise() /= counts.array();
  return centroids;
}

/// The partitions of the training rows as those of all rows.
std::vector<std::vector<int>> over_all_rows(
    const std::vector<std::vector<int>>& partitions,
    const std::vector<std::size_t>& training, std::size_t rows) {
  std::vector<std::vector<int>> all;
  for (const std::vector<int>& partition : partitions) {
    all.emplace_back(rows, -1);
    for (std::size_t i = 0; i < training.size(); ++i) {
      all.back()[training[i]] = partition[i];
    }
  }
  return all;
}

double inertia(const Matrix& z, const std::vector<std::size_t>& rows,
               const std::vector<int>& labels, const Matrix& centroids) {
  double sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    sum +=
        (z.row(static_cast<Eigen::Index>(rows[i])) - centroids.row(labels[i]))
            .squaredNorm();
  }
  return sum;
}

}  // namespace

const std::vector<DeepMethod::Recipe>& DeepMethod::recipes() {
  static const std::vector<Recipe> kRecipes = {
      {"jule", Kind::kJoined, Base::kJule},
      {"idec", Kind::kJoined, Base::kIdec},
      {"mvec-km", Kind::kEnsemble, Base::kKMeans},
      {"mvec-jule", Kind::kEnsemble, Base::kJule},
      {"mvec-idec", Kind::kEnsemble, Base::kIdec},
      {"dmvc-fix-jule", Kind::kFixed, Base::kJule},
      {"dmvc-fix-idec", Kind::kFixed, Base::kIdec},
      {"dmvc", Kind::kEndToEnd, Base::kJule}};
  return kRecipes;
}

Result<MethodResult> DeepMethod::learn(const MethodInput& input,
                                       const RunControl& control) const {
  MethodResult result;
  SHOAL_TRY(training, prepare(input, control, result.note));
  const Learner learner(input, control, training, recipe_.base);
  SHOAL_TRY(learned, learner.learn(recipe_.kind));
  training.views.clear();
  close_gaps(learned.labels, input.groups);

  SHOAL_TRY(z, embed_all(input, control, *learned.model, kEmbed));
  result.centroids = means(z, training.rows, learned.labels);
  const float unit =
      distance_unit(inertia(z, training.rows, learned.labels, result.centroids),
                    training.rows.size());
  result.model = learned.model->scaled(1 / unit);
  result.embeddings = z / unit;
  result.centroids /= unit;
  result.labels = assign_all(input, result.embeddings, result.centroids);
  for (std::size_t i = 0; i < training.rows.size(); ++i) {
    int& label = result.labels[training.rows[i]];
    if (label >= 0) label = learned.labels[i];
  }
  result.partitions =
      over_all_rows(learned.partitions, training.rows, input.features.size());
  report(control, "assign", 1);
  return result;
}

}  // namespace shoal
