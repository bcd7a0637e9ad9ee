#include "daemon/eval/internal/stream_scores.h"

#include <algorithm>

#include "engine/score/scores.h"

namespace shoal::eval {
namespace {

Result<std::optional<StreamScore>> score(const std::vector<int>& truth,
                                         const std::vector<int>& labels) {
  if (truth.empty()) return std::nullopt;
  SHOAL_TRY(information, nmi(truth, labels));
  SHOAL_TRY(matched, accuracy(truth, labels));
  return StreamScore{information, matched};
}

/// Clusters with images, and the images of each.
std::map<ClusterId, std::vector<std::size_t>> members_of(
    const std::vector<Label>& labels) {
  std::map<ClusterId, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].cluster.valid()) members[labels[i].cluster].push_back(i);
  }
  return members;
}

}  // namespace

std::vector<int> cluster_numbers(const std::vector<Label>& labels) {
  std::vector<int> numbers;
  numbers.reserve(labels.size());
  for (const Label& label : labels) {
    numbers.push_back(static_cast<int>(label.cluster.value()));
  }
  return numbers;
}

Result<StreamScores> score_labels(const std::vector<int>& truth,
                                  const std::vector<Label>& labels) {
  const std::vector<int> numbers = cluster_numbers(labels);
  std::vector<int> assigned_truth;
  std::vector<int> assigned;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] == 0) continue;
    assigned_truth.push_back(truth[i]);
    assigned.push_back(numbers[i]);
  }
  StreamScores scores;
  scores.images = numbers.size();
  scores.unassigned = numbers.size() - assigned.size();
  SHOAL_TRY(all, score(truth, numbers));
  scores.all = all;
  SHOAL_TRY(inside, score(assigned_truth, assigned));
  scores.assigned = inside;
  return scores;
}

StreamArrivals count_arrivals(const std::vector<int>& truth,
                              const std::vector<Label>& labels,
                              const std::set<int>& classes, bool inside) {
  StreamArrivals arrivals;
  double sum = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if ((classes.count(truth[i]) != 0) != inside) continue;
    ++arrivals.images;
    if (!labels[i].cluster.valid()) ++arrivals.unassigned;
    sum += static_cast<double>(labels[i].confidence);
  }
  if (arrivals.images > 0) {
    arrivals.confidence = sum / static_cast<double>(arrivals.images);
  }
  return arrivals;
}

void compare_clusters(const std::vector<Label>& before,
                      const std::vector<Label>& after, StreamRun& run) {
  const auto earlier = members_of(before);
  const auto later = members_of(after);
  run.clusters = later.size();
  std::size_t survived = 0;
  std::size_t kept = 0;
  for (const auto& [id, images] : earlier) {
    if (later.count(id) == 0) continue;
    ++survived;
    const auto stayed = static_cast<std::size_t>(std::count_if(
        images.begin(), images.end(), [&, cluster = id](std::size_t i) {
          return after[i].cluster == cluster;
        }));
    if (2 * stayed > images.size()) ++kept;
  }
  run.born = later.size() - survived;
  run.ended = earlier.size() - survived;
  if (survived > 0) {
    run.kept = static_cast<double>(kept) / static_cast<double>(survived);
  }
}

void ConfirmedWatch::look(const std::vector<int>& truth,
                          const std::vector<Label>& labels, StreamRun& run) {
  run.confirmed_changed = static_cast<std::size_t>(
      std::count_if(ever_.begin(), ever_.end(), [&](const auto& entry) {
        const Label& label = labels[entry.first];
        return label.state != LabelState::kConfirmed ||
               label.cluster != entry.second;
      }));
  std::map<ClusterId, std::map<int, std::size_t>> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].state != LabelState::kConfirmed) continue;
    ++run.confirmed;
    ++classes[labels[i].cluster][truth[i]];
    ever_.emplace(i, labels[i].cluster);
  }
  if (run.confirmed == 0) return;
  std::size_t right = 0;
  for (const auto& [cluster, counts] : classes) {
    std::size_t most = 0;
    for (const auto& [label, count] : counts) most = std::max(most, count);
    right += most;
  }
  run.purity = static_cast<double>(right) / static_cast<double>(run.confirmed);
}

}  // namespace shoal::eval
