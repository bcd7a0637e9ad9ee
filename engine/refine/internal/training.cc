#include "engine/refine/internal/training.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "engine/cluster/cluster_count.h"
#include "engine/cluster/kmeans.h"
#include "engine/score/sampling.h"

namespace shoal {
namespace {

/// Rows read and embedded at a time.
constexpr std::size_t kBlockRows = 1024;
/// A few dozen components need no more rows, and rows of raw features are
/// what takes memory.
constexpr std::size_t kMaxPcaRows = 10'000;

/// Calls `use(first, features)` for blocks of `rows`.
template <typename Use>
Result<void> read_blocks(const MethodInput& input, const RunControl& control,
                         const std::vector<std::size_t>& rows,
                         const ProgressPart& part, Use use) {
  for (std::size_t first = 0; first < rows.size(); first += kBlockRows) {
    if (is_cancelled(control)) return run_cancelled();
    const std::size_t last = std::min(rows.size(), first + kBlockRows);
    const std::vector<std::size_t> block(
        rows.begin() + static_cast<std::ptrdiff_t>(first),
        rows.begin() + static_cast<std::ptrdiff_t>(last));
    SHOAL_TRY(features, input.features.read(block));
    use(static_cast<Eigen::Index>(first), features);
    report(control, part.stage,
           part.begin + (part.end - part.begin) * static_cast<double>(last) /
                            static_cast<double>(rows.size()));
  }
  return ok();
}

}  // namespace

std::vector<std::size_t> training_sample(const MethodInput& input,
                                         std::size_t limit,
                                         std::uint64_t seed) {
  const std::size_t n = input.features.size();
  std::vector<std::size_t> rows(n);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  if (n <= limit) return rows;
  std::mt19937_64 random(seed);
  std::shuffle(rows.begin(), rows.end(), random);

  // (turn, row) of the rows in groups: every group's first, then every
  // group's second and so on.
  std::vector<std::pair<std::size_t, std::size_t>> grouped;
  std::vector<std::size_t> turns(static_cast<std::size_t>(input.groups), 0);
  std::vector<std::size_t> free;
  for (const std::size_t row : rows) {
    const int group = input.must_link[row];
    if (group < 0) {
      free.push_back(row);
    } else {
      grouped.emplace_back(turns[static_cast<std::size_t>(group)]++, row);
    }
  }
  std::stable_sort(
      grouped.begin(), grouped.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t of_groups =
      std::min(grouped.size(),
               std::max(limit / 2, static_cast<std::size_t>(input.groups)));
  std::vector<std::size_t> sample;
  for (std::size_t i = 0; i < of_groups; ++i) {
    sample.push_back(grouped[i].second);
  }

  // Evenly spaced positions in the order of the strata: each stratum gets its
  // share to within one row.
  std::stable_sort(free.begin(), free.end(), [&](std::size_t a, std::size_t b) {
    return input.strata[a] < input.strata[b];
  });
  const std::size_t of_free =
      std::min(free.size(), limit > of_groups ? limit - of_groups : 0);
  for (std::size_t i = 0; i < of_free; ++i) {
    sample.push_back(free[i * free.size() / of_free]);
  }
  std::sort(sample.begin(), sample.end());
  return sample;
}

Result<std::vector<Matrix>> read_rows(const MethodInput& input,
                                      const RunControl& control,
                                      const std::vector<std::size_t>& rows,
                                      const ProgressPart& part) {
  std::vector<Matrix> all;
  for (const EmbeddingInput& view : input.features.inputs()) {
    all.emplace_back(static_cast<Eigen::Index>(rows.size()), view.dim);
  }
  SHOAL_TRY(read_blocks(
      input, control, rows, part,
      [&](Eigen::Index first, const std::vector<Matrix>& features) {
        for (std::size_t v = 0; v < all.size(); ++v) {
          all[v].middleRows(first, features[v].rows()) = features[v];
        }
      }));
  return all;
}

Result<Matrix> embed_all(const MethodInput& input, const RunControl& control,
                         const EmbeddingModel& model,
                         const ProgressPart& part) {
  std::vector<std::size_t> rows(input.features.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  Matrix z(static_cast<Eigen::Index>(rows.size()), model.dim());
  SHOAL_TRY(read_blocks(
      input, control, rows, part,
      [&](Eigen::Index first, const std::vector<Matrix>& features) {
        z.middleRows(first, features.front().rows()) = model.embed(features);
      }));
  return z;
}

Result<std::unique_ptr<EmbeddingModel>> fit_joined_pca(
    const MethodInput& input, const RunControl& control,
    const std::vector<std::size_t>& training, const ProgressPart& part) {
  std::vector<std::size_t> rows;
  for (const std::size_t at : sample_without_replacement(
           training.size(), kMaxPcaRows, input.options.seed)) {
    rows.push_back(training[at]);
  }
  SHOAL_TRY(views, read_rows(input, control, rows, part));
  return fit_whitened_pca(input.features.inputs(), views,
                          input.options.embedding_dim);
}

namespace {

/// @param data  what estimate_cluster_count takes: rows, or several views
template <typename Data>
Result<ChosenCount> count_in(const MethodInput& input,
                             const RunControl& control, const Data& data,
                             std::size_t free_rows) {
  ChosenCount chosen;
  if (input.options.clusters > 0) {
    chosen.clusters = input.options.clusters;
    chosen.note = std::to_string(chosen.clusters) + " clusters as asked for";
  } else {
    ClusterCountOptions options;
    options.max_clusters = std::max(2, input.options.max_clusters);
    options.seed = input.options.seed;
    options.cancelled = control.cancelled;
    SHOAL_TRY(count, estimate_cluster_count(data, options));
    chosen.clusters = count.clusters;
    chosen.note = count.reason;
  }
  if (chosen.clusters < input.groups) {
    chosen.clusters = input.groups;
    chosen.note += "; raised to " + std::to_string(input.groups) +
                   ", the clusters with fixed images";
  }
  // A cluster without fixed images needs an image that is free to be in it.
  const std::size_t most = static_cast<std::size_t>(input.groups) + free_rows;
  if (input.groups > 0 && static_cast<std::size_t>(chosen.clusters) > most) {
    chosen.clusters = static_cast<int>(most);
    chosen.note += "; lowered to " + std::to_string(most) +
                   ", since the other images are fixed";
  }
  return chosen;
}

}  // namespace

Result<ChosenCount> choose_count(const MethodInput& input,
                                 const RunControl& control, const Matrix& z,
                                 std::size_t free_rows) {
  return count_in(input, control, z, free_rows);
}

Result<ChosenCount> choose_count(const MethodInput& input,
                                 const RunControl& control,
                                 const std::vector<Matrix>& views,
                                 std::size_t free_rows) {
  return count_in(input, control, views, free_rows);
}

std::size_t free_rows_of(const MethodInput& input,
                         const std::vector<std::size_t>& training) {
  return static_cast<std::size_t>(
      std::count_if(training.begin(), training.end(),
                    [&](std::size_t row) { return input.must_link[row] < 0; }));
}

std::string sample_note(std::size_t training, std::size_t all) {
  if (training >= all) return "";
  return "; learned on " + std::to_string(training) + " of " +
         std::to_string(all) + " images";
}

std::vector<std::pair<int, int>> forbidden_in_training(
    const MethodInput& input, const std::vector<std::size_t>& training,
    int clusters) {
  std::map<int, std::set<int>> by_row;
  for (const auto& [row, group] : input.forbidden) by_row[row].insert(group);
  std::vector<std::pair<int, int>> pairs;
  for (std::size_t i = 0; i < training.size(); ++i) {
    const auto found = by_row.find(static_cast<int>(training[i]));
    if (found == by_row.end()) continue;
    if (found->second.size() >= static_cast<std::size_t>(clusters)) continue;
    for (const int group : found->second) {
      pairs.emplace_back(static_cast<int>(i), group);
    }
  }
  return pairs;
}

std::vector<int> assign_all(const MethodInput& input, const Matrix& z,
                            const Matrix& centroids) {
  std::vector<int> labels = nearest_centroids(z, centroids).index;
  const std::set<std::pair<int, int>> forbidden(input.forbidden.begin(),
                                                input.forbidden.end());
  for (const auto& pair : forbidden) {
    const int row = pair.first;
    int& label = labels[static_cast<std::size_t>(row)];
    if (label != pair.second) continue;
    label =
        nearest_allowed(z.row(row).transpose(), centroids, [&](int cluster) {
          return forbidden.count({row, cluster}) == 0;
        });
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (input.must_link[i] >= 0) labels[i] = input.must_link[i];
  }
  return labels;
}

float distance_unit(double inertia, std::size_t rows) {
  const double mean = inertia / static_cast<double>(rows);
  const auto unit = static_cast<float>(std::sqrt(mean));
  return std::isnormal(unit) ? unit : 1.0F;
}

}  // namespace shoal
