#include "engine/views/internal/replicated_view.h"

#include <algorithm>
#include <future>
#include <utility>

#include "common/check.h"

namespace shoal::internal {

ReplicatedView::ReplicatedView(std::vector<std::unique_ptr<View>> replicas)
    : replicas_(std::move(replicas)) {
  SHOAL_CHECK(!replicas_.empty(), "a view has one replica at least");
}

Result<Matrix> ReplicatedView::extract(const std::vector<Image>& images) {
  const std::size_t share =
      (images.size() + replicas_.size() - 1) / replicas_.size();
  std::vector<std::future<Result<Matrix>>> answers;
  for (std::size_t begin = 0; begin < images.size(); begin += share) {
    const std::size_t end = std::min(images.size(), begin + share);
    View& replica = *replicas_[answers.size()];
    // Its destructor waits, and get() passes on what the replica throws.
    answers.push_back(std::async(std::launch::async, [&, begin, end] {
      return replica.extract(
          {images.begin() + static_cast<std::ptrdiff_t>(begin),
           images.begin() + static_cast<std::ptrdiff_t>(end)});
    }));
  }
  Matrix all(static_cast<Eigen::Index>(images.size()), spec().dim);
  Eigen::Index row = 0;
  for (auto& answer : answers) {
    SHOAL_TRY(features, answer.get());
    all.middleRows(row, features.rows()) = features;
    row += features.rows();
  }
  return all;
}

}  // namespace shoal::internal
