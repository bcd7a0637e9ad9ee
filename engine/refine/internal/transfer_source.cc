#include "engine/refine/internal/transfer_source.h"

#include <algorithm>
#include <utility>

#include "engine/refine/internal/training.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxHeadBytes = std::size_t{1} << 30;
constexpr std::size_t kReadRows = 1024;

/// Positions of at most `limit` entries, ascending: classes in turn give one
/// of theirs, so that none goes without.
std::vector<std::size_t> balanced_sample(const std::vector<int>& labels,
                                         int classes, std::size_t limit) {
  std::vector<std::size_t> taken;
  if (labels.size() <= limit) {
    for (std::size_t i = 0; i < labels.size(); ++i) taken.push_back(i);
    return taken;
  }
  std::vector<std::vector<std::size_t>> members(
      static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    members[static_cast<std::size_t>(labels[i])].push_back(i);
  }
  for (std::size_t turn = 0; taken.size() < limit; ++turn) {
    for (const auto& rows : members) {
      if (turn < rows.size() && taken.size() < limit) {
        taken.push_back(rows[turn]);
      }
    }
  }
  std::sort(taken.begin(), taken.end());
  return taken;
}

}  // namespace

RoundSource::RoundSource(FeatureSource& stored, std::vector<std::size_t> kept)
    : stored_(stored), kept_(std::move(kept)) {
  for (const std::size_t position : kept_) {
    inputs_.push_back(stored_.inputs().at(position));
  }
}

Result<std::vector<Matrix>> RoundSource::read(
    const std::vector<std::size_t>& rows) {
  SHOAL_TRY(all, stored_.read(rows));
  if (transfer_) return inner_features(*transfer_, all);
  std::vector<Matrix> views;
  for (const std::size_t position : kept_) {
    views.push_back(std::move(all.at(position)));
  }
  return views;
}

void RoundSource::use_head(std::size_t net, TransferHead head) {
  transfer_ = TransferInputs{stored_.inputs(), kept_, net, std::move(head)};
  inputs_ = inner_inputs(*transfer_);
}

Result<std::unique_ptr<EmbeddingModel>> RoundSource::over_stored(
    std::unique_ptr<EmbeddingModel> inner) const {
  if (!transfer_) return inner;
  return make_transfer_embedding(*transfer_, std::move(inner));
}

Result<TransferHead> learn_head(FeatureSource& stored, std::size_t net,
                                const std::vector<std::size_t>& rows,
                                const std::vector<int>& labels, int classes,
                                const RefinementOptions& options,
                                const RunControl& control) {
  const int dim = stored.inputs().at(net).dim;
  const std::size_t limit =
      std::min(static_cast<std::size_t>(options.max_train_images),
               kMaxHeadBytes / (static_cast<std::size_t>(dim) * sizeof(float)));
  const std::vector<std::size_t> taken =
      balanced_sample(labels, classes, limit);
  Matrix features(static_cast<Eigen::Index>(taken.size()), dim);
  std::vector<int> taken_labels;
  for (std::size_t begin = 0; begin < taken.size(); begin += kReadRows) {
    if (is_cancelled(control)) return run_cancelled();
    const std::size_t end = std::min(taken.size(), begin + kReadRows);
    std::vector<std::size_t> block;
    for (std::size_t i = begin; i < end; ++i) {
      block.push_back(rows[taken[i]]);
      taken_labels.push_back(labels[taken[i]]);
    }
    SHOAL_TRY(views, stored.read(block));
    features.middleRows(static_cast<Eigen::Index>(begin),
                        static_cast<Eigen::Index>(block.size())) =
        views.at(net);
  }
  HeadOptions head;
  head.seed = options.seed;
  head.cancelled = control.cancelled;
  return fit_transfer_head(features, taken_labels, classes, head);
}

}  // namespace shoal
