#include "engine/deep/internal/agglomeration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

#include "engine/score/distances.h"

namespace shoal {
namespace {

/// Merges between two looks at `cancelled`.
constexpr int kMergesPerLook = 64;
/// Of clusters without affinity, the share that joins its nearest centre
/// before centres are computed again.
constexpr int kCentreShare = 20;
/// Distances between centres held at a time.
constexpr Eigen::Index kBlockValues = Eigen::Index{1} << 24;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// What is known of two clusters a (whose row it is in) and c: `out` is
/// A(a -> c) and `in` A(c -> a), each times what ClusterGraph::divisor says.
struct Link {
  int cluster = 0;
  double out = 0;
  double in = 0;
};
using Row = std::vector<Link>;  // by rising cluster

/// Sums of W between a cluster and a row k outside of it.
struct Flow {
  double to = 0;
  double from = 0;
};

void combine_equal(Row& row) {
  std::sort(row.begin(), row.end(),
            [](const Link& a, const Link& b) { return a.cluster < b.cluster; });
  std::size_t kept = 0;
  for (const Link& link : row) {
    if (kept > 0 && row[kept - 1].cluster == link.cluster) {
      row[kept - 1].out += link.out;
      row[kept - 1].in += link.in;
    } else {
      row[kept++] = link;
    }
  }
  row.resize(kept);
  row.shrink_to_fit();
}

/// The edges of W by their ends: those into row k are first[k]..first[k+1]-1.
struct Reversed {
  std::vector<std::size_t> first;  // (n + 1)
  std::vector<int> source;
  std::vector<float> weight;
};

Reversed reversed(const AffinityGraph& graph, std::size_t rows) {
  Reversed in;
  in.first.assign(rows + 1, 0);
  for (const int end : graph.index) ++in.first[at(end) + 1];
  std::partial_sum(in.first.begin(), in.first.end(), in.first.begin());
  in.source.resize(graph.index.size());
  in.weight.resize(graph.index.size());
  std::vector<std::size_t> next(in.first.begin(), in.first.end() - 1);
  for (std::size_t edge = 0; edge < graph.index.size(); ++edge) {
    const std::size_t place = next[at(graph.index[edge])]++;
    in.source[place] = static_cast<int>(edge / at(graph.neighbours));
    in.weight[place] = graph.weight[edge];
  }
  return in;
}

/// The clusters with affinities between them.
class ClusterGraph {
 public:
  ClusterGraph(const AffinityGraph& graph, const AgglomerationOptions& options,
               Partition& partition)
      : options_(options),
        partition_(partition),
        rows_(partition.rows()),
        choices_(partition.rows()) {
    if (options.exact_affinity) flows_.resize(partition.rows());
    build(graph);
    rank_all();
  }

  /// The pair to merge next; false: no affinity is left.
  [[nodiscard]] bool has_pair() const { return !queue_.empty(); }
  void merge_best() {
    const int a = queue_.begin()->cluster;
    merge(a, choices_[at(a)].partner);
  }

  /// @param a, b  ids of two clusters that may merge
  void merge(int a, int b) {
    Row row = rows_[at(a)];
    row.insert(row.end(), rows_[at(b)].begin(), rows_[at(b)].end());
    if (options_.exact_affinity) add_cross_terms(a, b, row);
    row.erase(std::remove_if(row.begin(), row.end(),
                             [&](const Link& link) {
                               return link.cluster == a || link.cluster == b;
                             }),
              row.end());
    combine_equal(row);
    forget(a);
    forget(b);
    rows_[at(a)] = {};
    rows_[at(b)] = {};
    const int merged = partition_.merge(a, b);
    rows_[at(merged)] = std::move(row);
    for (const Link& link : rows_[at(merged)]) {
      replace(link.cluster, a, b, {merged, link.in, link.out});
    }
    if (ranked_with_term_ != with_term()) {
      rank_all();
      return;
    }
    rank(merged);
    for (const Link& link : rows_[at(merged)]) rank(link.cluster);
  }

 private:
  struct Choice {
    double score = 0;
    int partner = -1;
  };
  struct Entry {
    double score = 0;
    int cluster = 0;
    bool operator<(const Entry& other) const {
      return score != other.score ? score > other.score
                                  : cluster < other.cluster;
    }
  };

  [[nodiscard]] bool with_term() const {
    return partition_.count() > options_.lambda_above_clusters;
  }
  /// A(a -> c) = out / divisor(a): in this form the values of a and b add up
  /// when they merge. With sizes as weights that is |a| A(a -> c); exactly,
  /// |a|^2 A(a -> c), to which the cross terms come.
  [[nodiscard]] double divisor(int cluster) const {
    const double size = partition_.size(cluster);
    return options_.exact_affinity ? size * size : size;
  }
  [[nodiscard]] double affinity(int cluster, const Link& link) const {
    return link.out / divisor(cluster) + link.in / divisor(link.cluster);
  }

  void build(const AffinityGraph& graph) {
    const std::size_t rows = partition_.rows();
    const Reversed in = reversed(graph, rows);
    std::vector<std::pair<int, Flow>> flows;
    for (std::size_t k = 0; k < rows; ++k) {
      const int own = partition_.cluster_of(static_cast<int>(k));
      flows.clear();
      for (std::size_t e = in.first[k]; e < in.first[k + 1]; ++e) {
        flows.push_back(
            {partition_.cluster_of(in.source[e]), {in.weight[e], 0}});
      }
      for (std::size_t e = k * at(graph.neighbours);
           e < (k + 1) * at(graph.neighbours); ++e) {
        flows.push_back(
            {partition_.cluster_of(graph.index[e]), {0, graph.weight[e]}});
      }
      std::stable_sort(
          flows.begin(), flows.end(),
          [](const auto& a, const auto& b) { return a.first < b.first; });
      for (std::size_t i = 0; i < flows.size();) {
        const int cluster = flows[i].first;
        Flow sum;
        for (; i < flows.size() && flows[i].first == cluster; ++i) {
          sum.to += flows[i].second.to;
          sum.from += flows[i].second.from;
        }
        if (cluster != own) add_flow(cluster, own, static_cast<int>(k), sum);
      }
    }
    for (Row& row : rows_) combine_equal(row);
    if (options_.exact_affinity) return;
    for (const int cluster : partition_.clusters()) {
      for (Link& link : rows_[at(cluster)]) {
        link.out /= partition_.size(cluster);
        link.in /= partition_.size(link.cluster);
      }
    }
  }

  /// @param own  the cluster of row k
  void add_flow(int cluster, int own, int k, const Flow& flow) {
    if (options_.exact_affinity) flows_[at(cluster)].emplace(k, flow);
    const double product = flow.to * flow.from;
    if (product == 0) return;
    rows_[at(cluster)].push_back({own, product, 0});
    rows_[at(own)].push_back({cluster, 0, product});
  }

  /// What |a+b|^2 A(a+b -> c) has beyond the sum of both: w(a, k) w(k, b) +
  /// w(b, k) w(k, a) over the rows k of c. The flows of both end up with the
  /// one that has more; those of rows that are inside by then stay unused.
  void add_cross_terms(int a, int b, Row& row) {
    auto& flows_a = flows_[at(a)];
    auto& flows_b = flows_[at(b)];
    if (flows_a.size() < flows_b.size()) flows_a.swap(flows_b);
    for (const auto& [k, flow] : flows_b) {
      const int cluster = partition_.cluster_of(k);
      if (cluster == a || cluster == b) continue;
      Flow& sum = flows_a[k];
      const double cross = sum.to * flow.from + flow.to * sum.from;
      if (cross > 0) row.push_back({cluster, cross, 0});
      sum.to += flow.to;
      sum.from += flow.from;
    }
    flows_b = {};
    if (b < a) flows_a.swap(flows_b);
  }

  /// In a cluster's row, `link` takes the place of a's and b's.
  void replace(int cluster, int a, int b, const Link& link) {
    Row& row = rows_[at(cluster)];
    row.erase(std::remove_if(row.begin(), row.end(),
                             [&](const Link& old) {
                               return old.cluster == a || old.cluster == b;
                             }),
              row.end());
    const auto place = std::lower_bound(
        row.begin(), row.end(), link, [](const Link& left, const Link& right) {
          return left.cluster < right.cluster;
        });
    row.insert(place, link);
  }

  void forget(int cluster) {
    Choice& choice = choices_[at(cluster)];
    if (choice.partner >= 0) queue_.erase({choice.score, cluster});
    choice = {};
  }

  void rank(int cluster) {
    forget(cluster);
    const std::size_t ranked =
        ranked_with_term_ ? at(options_.ranked_neighbours) : 1;
    std::vector<double>& best = ranking_;
    best.clear();
    Choice choice;
    for (const Link& link : rows_[at(cluster)]) {
      const double value = affinity(cluster, link);
      if (value <= 0 || (best.size() == ranked && value <= best.back()) ||
          !partition_.may_merge(cluster, link.cluster)) {
        continue;
      }
      if (best.empty() || value > best.front()) choice.partner = link.cluster;
      if (best.size() == ranked) best.pop_back();
      best.insert(
          std::upper_bound(best.begin(), best.end(), value, std::greater<>()),
          value);
    }
    if (choice.partner < 0) return;
    choice.score = best.front();
    if (ranked > 1) {
      const double others = std::accumulate(best.begin() + 1, best.end(), 0.0);
      choice.score += options_.lambda *
                      (best.front() - others / static_cast<double>(ranked - 1));
    }
    choices_[at(cluster)] = choice;
    queue_.insert({choice.score, cluster});
  }

  void rank_all() {
    ranked_with_term_ = with_term();
    for (const int cluster : partition_.clusters()) rank(cluster);
  }

  const AgglomerationOptions& options_;
  Partition& partition_;
  std::vector<Row> rows_;        // (n), of clusters that are left
  std::vector<Choice> choices_;  // (n), of clusters that are left
  std::set<Entry> queue_;        // the clusters with a partner, best first
  bool ranked_with_term_ = false;
  std::vector<double> ranking_;  // of the row at hand
  /// (n) with `exact_affinity`: per cluster its flows by row k.
  std::vector<std::unordered_map<int, Flow>> flows_;
};

/// (ids, d) means of the clusters' rows.
Matrix centres(MatrixView data, const Partition& partition,
               const std::vector<int>& ids) {
  std::vector<int> place(partition.rows(), -1);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    place[at(ids[i])] = static_cast<int>(i);
  }
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> sums =
      Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(ids.size()), data.cols());
  for (Eigen::Index row = 0; row < data.rows(); ++row) {
    const int id = partition.cluster_of(static_cast<int>(row));
    sums.row(place[at(id)]) += data.row(row).cast<double>();
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    sums.row(static_cast<Eigen::Index>(i)) /= partition.size(ids[i]);
  }
  return sums.cast<float>();
}

struct Nearest {
  float squared_l2 = std::numeric_limits<float>::infinity();
  int cluster = -1;
  int other = -1;
};

/// Of each cluster the nearest one that it may merge with, nearest pairs
/// first; clusters that may merge with none are left out.
std::vector<Nearest> nearest_centres(MatrixView data,
                                     const Partition& partition) {
  const std::vector<int> ids = partition.clusters();
  const Matrix points = centres(data, partition, ids);
  const Vector origin = mean_row(points);
  const PointDistances distances(points, origin);
  const Vector norms = squared_norms(points, origin);
  const Eigen::Index block_rows = std::clamp<Eigen::Index>(
      kBlockValues / points.rows(), 1, PointDistances::kBlockRows);
  std::vector<Nearest> all;
  for (Eigen::Index start = 0; start < points.rows(); start += block_rows) {
    const Eigen::Index count = std::min(block_rows, points.rows() - start);
    Matrix block(count, points.rows());
    distances.measure(points.middleRows(start, count),
                      norms.segment(start, count), block);
    for (Eigen::Index i = 0; i < count; ++i) {
      Nearest nearest;
      Eigen::Index found = -1;
      nearest.cluster = ids[static_cast<std::size_t>(start + i)];
      for (Eigen::Index j = 0; j < points.rows(); ++j) {
        const int other = ids[static_cast<std::size_t>(j)];
        if (block(i, j) >= nearest.squared_l2 || other == nearest.cluster ||
            !partition.may_merge(nearest.cluster, other)) {
          continue;
        }
        nearest.squared_l2 = block(i, j);
        nearest.other = other;
        found = j;
      }
      if (found < 0) continue;
      nearest.squared_l2 =
          (points.row(start + i) - points.row(found)).squaredNorm();
      all.push_back(nearest);
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Nearest& a, const Nearest& b) {
                     return a.squared_l2 < b.squared_l2;
                   });
  return all;
}

/// Merges the nearest clusters, equal centres all at once.
void merge_nearest_centres(MatrixView data, int target, Partition& partition,
                           ClusterGraph& graph) {
  int left = std::max(1, partition.count() / kCentreShare);
  for (const Nearest& pair : nearest_centres(data, partition)) {
    if (partition.count() <= target) return;
    if (pair.squared_l2 > 0 && left == 0) return;
    const int a = partition.cluster_of(pair.cluster);
    const int b = partition.cluster_of(pair.other);
    if (a == b || !partition.may_merge(a, b)) continue;
    graph.merge(a, b);
    if (pair.squared_l2 > 0) --left;
  }
}

}  // namespace

AffinityGraph affinity_graph(const NeighbourGraph& graph) {
  AffinityGraph affinities{graph.neighbours, graph.index, {}};
  const double sum =
      std::accumulate(graph.squared_l2.begin(), graph.squared_l2.end(), 0.0);
  const double sigma2 =
      sum > 0 ? sum / static_cast<double>(graph.squared_l2.size()) : 1;
  affinities.weight.reserve(graph.squared_l2.size());
  for (const float squared_l2 : graph.squared_l2) {
    affinities.weight.push_back(
        static_cast<float>(std::exp(-squared_l2 / sigma2)));
  }
  return affinities;
}

void join_chains(const NeighbourGraph& graph, Partition& partition) {
  if (graph.neighbours == 0) return;
  const int rows = static_cast<int>(partition.rows());
  std::vector<bool> placed(partition.rows(), false);
  for (int row = 0; row < rows; ++row) {
    placed[at(row)] = partition.group(partition.cluster_of(row)) >= 0;
  }
  for (int start = 0; start < rows; ++start) {
    int row = start;
    for (int length = 1; !placed[at(row)] && length <= kChainRows; ++length) {
      placed[at(row)] = true;
      const int next = graph.index[at(row) * at(graph.neighbours)];
      const int a = partition.cluster_of(row);
      const int b = partition.cluster_of(next);
      const bool room = placed[at(next)] || length < kChainRows;
      if (a == b || !room || !partition.may_merge(a, b)) break;
      partition.merge(a, b);
      row = next;
    }
  }
}

Result<void> agglomerate(const AffinityGraph& graph, MatrixView data,
                         const AgglomerationOptions& options,
                         Partition& partition) {
  if (partition.count() <= options.target) return ok();
  ClusterGraph clusters(graph, options, partition);
  for (int step = 0; partition.count() > options.target; ++step) {
    if (step % kMergesPerLook == 0 && options.cancelled &&
        options.cancelled()) {
      return Error{ErrorCode::kCancelled, "the agglomeration was cancelled"};
    }
    if (clusters.has_pair()) {
      clusters.merge_best();
    } else {
      merge_nearest_centres(data, options.target, partition, clusters);
    }
  }
  return ok();
}

}  // namespace shoal
