#include "engine/deep/multi_view.h"

#include <cmath>
#include <new>
#include <random>
#include <string>
#include <utility>

#include "common/check.h"
#include "engine/deep/internal/joint_learning.h"
#include "engine/deep/internal/multi_view_trainer.h"

namespace shoal {
namespace {

/// Scales this close to 1 are rounding.
constexpr float kNoScale = 1e-5F;

Matrix side_by_side(const std::vector<Matrix>& parts) {
  Eigen::Index width = 0;
  for (const Matrix& part : parts) width += part.cols();
  Matrix joined(parts.front().rows(), width);
  Eigen::Index column = 0;
  for (const Matrix& part : parts) {
    joined.middleCols(column, part.cols()) = part;
    column += part.cols();
  }
  return joined;
}

/// Scales a linear code to a root mean square of 1, in the net and in the
/// embeddings, so that no view outweighs another. One that was scaled before
/// stays as it is, to the bit.
void scale_code(PretrainedView& view) {
  const auto count = static_cast<double>(view.embeddings.size());
  const double squares = view.embeddings.cast<double>().squaredNorm();
  if (!(squares > 0)) return;
  const auto scale = static_cast<float>(std::sqrt(count / squares));
  if (std::abs(scale - 1) < kNoScale) return;
  view.embeddings *= scale;
  view.net.layers.back().weight *= scale;
  view.net.layers.back().bias *= scale;
}

Result<void> check_views(const std::vector<Matrix>& views,
                         const MultiViewOptions& options) {
  if (views.empty()) return invalid_argument("multi-view: there is no view");
  for (const Matrix& view : views) {
    if (view.rows() != views.front().rows()) {
      return invalid_argument("multi-view: views of " +
                              std::to_string(views.front().rows()) + " and " +
                              std::to_string(view.rows()) + " rows");
    }
  }
  if (options.joint && options.clusterer != DeepClusterer::kJule) {
    return invalid_argument("multi-view: the joint refinement is JULE's");
  }
  if (!options.pretrained.empty() &&
      options.pretrained.size() != views.size()) {
    return invalid_argument(
        "multi-view: " + std::to_string(options.pretrained.size()) +
        " pretrained views for " + std::to_string(views.size()));
  }
  return ok();
}

/// One call of multi_view_clustering. Owner-thread.
class MultiView {
 public:
  MultiView(const std::vector<Matrix>& views,
            const ClusterConstraints& constraints,
            const MultiViewOptions& options)
      : views_(views), constraints_(constraints), options_(options) {}

  Result<MultiViewResult> run() {
    MultiViewResult result;
    SHOAL_TRY(pretrained, pretrain_views());
    std::vector<Matrix> embeddings;
    for (const PretrainedView& view : pretrained) {
      result.net.branches.push_back(view.net);
      embeddings.push_back(view.embeddings);
    }
    SHOAL_TRY(out,
              cluster(side_by_side(embeddings), "output net", views_.size()));
    result.net.out = std::move(out.net);
    result.labels = std::move(out.labels);
    result.embeddings = std::move(out.embeddings);
    result.views = std::move(pretrained);
    if (options_.joint) {
      SHOAL_TRY(refine(result));
    }
    report("done", stages(), 0);
    return result;
  }

 private:
  [[nodiscard]] std::size_t stages() const {
    return views_.size() + (options_.joint ? 2 : 1);
  }
  void report(std::string_view stage, std::size_t number, double part) const {
    if (!options_.progress) return;
    options_.progress(stage, (static_cast<double>(number) + part) /
                                 static_cast<double>(stages()));
  }

  Result<std::vector<PretrainedView>> pretrain_views() const {
    std::vector<PretrainedView> views = options_.pretrained;
    for (std::size_t i = views.size(); i < views_.size(); ++i) {
      if (options_.find_view) {
        if (auto kept = options_.find_view(i)) {
          views.push_back(std::move(*kept));
          continue;
        }
      }
      auto view = cluster(views_[i], "view", i);
      if (!view) {
        return view.error().within("view " + std::to_string(i + 1));
      }
      if (options_.view_done) options_.view_done(i, view.value());
      views.push_back(std::move(view).value());
    }
    if (options_.clusterer == DeepClusterer::kIdec) {
      for (PretrainedView& view : views) scale_code(view);
    }
    return views;
  }

  /// @param number  of the stage, for its seed and the progress
  Result<PretrainedView> cluster(MatrixView rows, std::string_view stage,
                                 std::size_t number) const {
    const auto progress = [&](std::string_view, double fraction) {
      report(stage, number, fraction);
    };
    if (options_.clusterer == DeepClusterer::kJule) {
      JuleOptions jule_options = jule_settings();
      jule_options.seed += number;
      jule_options.progress = progress;
      SHOAL_TRY(found, jule(rows, constraints_, jule_options));
      return PretrainedView{std::move(found.net), std::move(found.embeddings),
                            std::move(found.labels)};
    }
    EmbeddedOptions embedded = options_.embedded;
    embedded.method = EmbeddedMethod::kIdec;
    embedded.clusters = options_.clusters;
    embedded.seed = options_.seed + number;
    embedded.cancelled = options_.cancelled;
    embedded.progress = progress;
    embedded.target_renewed = nullptr;
    SHOAL_TRY(found, embedded_clustering(rows, constraints_, embedded));
    return PretrainedView{std::move(found.encoder), std::move(found.embeddings),
                          std::move(found.labels)};
  }

  [[nodiscard]] JuleOptions jule_settings() const {
    JuleOptions settings = options_.jule;
    settings.clusters = options_.clusters;
    settings.seed = options_.seed;
    settings.cancelled = options_.cancelled;
    settings.period_done = nullptr;
    return settings;
  }

  /// All of MVnet end to end, from the pretrained one.
  Result<void> refine(MultiViewResult& result) const {
    JuleOptions settings = jule_settings();
    settings.learning_rate = options_.joint_learning_rate;
    settings.period_done = options_.step_done;
    settings.progress = [&](std::string_view, double fraction) {
      report("joint refinement", views_.size() + 1, fraction);
    };
    SHOAL_TRY(check_jule_options(settings));
    MultiViewTrainer trainer(
        views_, std::move(result.net),
        {settings.momentum, settings.weight_decay, kMaxGradient});
    std::mt19937_64 random(settings.seed);
    SHOAL_TRY(learned, learn_jointly(trainer, result.embeddings, constraints_,
                                     settings, random));
    result.labels = std::move(learned.labels);
    result.embeddings = std::move(learned.embeddings);
    result.net = trainer.net();
    return ok();
  }

  const std::vector<Matrix>& views_;
  const ClusterConstraints& constraints_;
  const MultiViewOptions& options_;
};

}  // namespace

Matrix MultiViewNet::run(const std::vector<Matrix>& views) const {
  SHOAL_CHECK(views.size() == branches.size(), "a branch for every view");
  std::vector<Matrix> outputs;
  for (std::size_t i = 0; i < views.size(); ++i) {
    outputs.push_back(branches[i].run(views[i]));
  }
  return out.run(side_by_side(outputs));
}

Result<MultiViewResult> multi_view_clustering(
    const std::vector<Matrix>& views, const ClusterConstraints& constraints,
    const MultiViewOptions& options) {
  SHOAL_TRY(check_views(views, options));
  try {
    return MultiView(views, constraints, options).run();
  } catch (const std::bad_alloc&) {
    return resource_exhausted("multi-view: not enough memory for " +
                              std::to_string(views.size()) + " views of " +
                              std::to_string(views.front().rows()) + " rows");
  }
}

}  // namespace shoal
