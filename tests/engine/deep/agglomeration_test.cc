#include "engine/deep/internal/agglomeration.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::normal_matrix;

/// Graph degree linkage with dense matrices, as it is written down.
class Dense {
 public:
  Dense(const AffinityGraph& graph, const Matrix& data,
        const AgglomerationOptions& options,
        const ClusterConstraints& constraints, int clusters)
      : n_(static_cast<int>(data.rows())),
        data_(data),
        options_(options),
        constraints_(constraints),
        clusters_wanted_(clusters),
        w_(Eigen::MatrixXd::Zero(n_, n_)) {
    const auto k = static_cast<std::size_t>(graph.neighbours);
    for (std::size_t e = 0; e < graph.index.size(); ++e) {
      w_(static_cast<int>(e / k), graph.index[e]) = graph.weight[e];
    }
    labels_.resize(static_cast<std::size_t>(n_));
    std::iota(labels_.begin(), labels_.end(), 0);
    for (int i = 0; i < n_; ++i) {
      for (int j = 0; j < i; ++j) {
        if (group(i) >= 0 && group(i) == group(j)) rename(i, j);
      }
    }
    directed_ = Eigen::MatrixXd::Zero(n_, n_);
    for (const int a : ids()) {
      for (const int b : ids()) {
        if (a != b) directed_(a, b) = by_definition(a, b);
      }
    }
  }

  [[nodiscard]] std::vector<int> ids() const {
    std::vector<int> all = labels_;
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }
  [[nodiscard]] const std::vector<int>& labels() const { return labels_; }

  void merge_next() {
    int best_a = -1;
    int best_b = -1;
    double best = 0;
    const auto all = ids();
    const bool with_term =
        static_cast<int>(all.size()) > options_.lambda_above_clusters;
    for (const int a : all) {
      std::vector<std::pair<double, int>> ranked;
      for (const int b : all) {
        const double affinity = directed_(a, b) + directed_(b, a);
        if (a != b && may_merge(a, b) && affinity > 0) {
          ranked.emplace_back(-affinity, b);
        }
      }
      if (ranked.empty()) continue;
      std::sort(ranked.begin(), ranked.end());
      double score = -ranked[0].first;
      if (with_term) {
        for (int k = 1; k < options_.ranked_neighbours; ++k) {
          const auto at = static_cast<std::size_t>(k);
          const double other = at < ranked.size() ? -ranked[at].first : 0;
          score += options_.lambda / (options_.ranked_neighbours - 1) *
                   (-ranked[0].first - other);
        }
      }
      if (score > best) {
        best = score;
        best_a = a;
        best_b = ranked[0].second;
      }
    }
    if (best_a < 0) {
      double nearest = 1e300;
      for (const int a : all) {
        for (const int b : all) {
          const double distance = (centre(a) - centre(b)).squaredNorm();
          if (a < b && may_merge(a, b) && distance < nearest) {
            nearest = distance;
            best_a = a;
            best_b = b;
          }
        }
      }
    }
    merge(best_a, best_b);
  }

 private:
  [[nodiscard]] int group(int row) const {
    return constraints_.group_of(static_cast<std::size_t>(row));
  }
  [[nodiscard]] std::vector<int> members(int id) const {
    std::vector<int> rows;
    for (int i = 0; i < n_; ++i) {
      if (labels_[static_cast<std::size_t>(i)] == id) rows.push_back(i);
    }
    return rows;
  }
  [[nodiscard]] Eigen::VectorXd centre(int id) const {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(data_.cols());
    for (const int i : members(id)) {
      sum += data_.row(i).transpose().cast<double>();
    }
    return sum / static_cast<double>(members(id).size());
  }
  [[nodiscard]] double by_definition(int a, int b) const {
    const auto rows_a = members(a);
    double sum = 0;
    for (const int i : rows_a) {
      for (const int k : members(b)) {
        for (const int j : rows_a) sum += w_(i, k) * w_(k, j);
      }
    }
    return sum / static_cast<double>(rows_a.size() * rows_a.size());
  }
  [[nodiscard]] bool may_merge(int a, int b) const {
    std::vector<int> groups;
    std::vector<bool> shut(static_cast<std::size_t>(constraints_.groups));
    for (const int id : {a, b}) {
      for (const int i : members(id)) {
        if (group(i) >= 0) groups.push_back(group(i));
        for (const auto& [row, g] : constraints_.forbidden) {
          if (row == i) shut[static_cast<std::size_t>(g)] = true;
        }
      }
    }
    for (const int g : groups) {
      if (g != groups[0] || shut[static_cast<std::size_t>(g)]) return false;
    }
    return !groups.empty() || constraints_.groups < clusters_wanted_ ||
           std::count(shut.begin(), shut.end(), false) > 0;
  }
  void rename(int from, int to) {
    std::replace(labels_.begin(), labels_.end(), from, to);
  }
  void merge(int a, int b) {
    const int kept = std::min(a, b);
    const double size_a = static_cast<double>(members(a).size());
    const double size_b = static_cast<double>(members(b).size());
    rename(std::max(a, b), kept);
    for (const int c : ids()) {
      if (c == kept) continue;
      directed_(c, kept) = directed_(c, a) + directed_(c, b);
      directed_(kept, c) =
          options_.exact_affinity
              ? by_definition(kept, c)
              : (size_a * directed_(a, c) + size_b * directed_(b, c)) /
                    (size_a + size_b);
      EXPECT_NEAR(
          directed_(c, kept),
          options_.exact_affinity ? by_definition(c, kept) : directed_(c, kept),
          1e-12);
    }
  }

  int n_;
  Matrix data_;
  AgglomerationOptions options_;
  ClusterConstraints constraints_;
  int clusters_wanted_;
  Eigen::MatrixXd w_;
  Eigen::MatrixXd directed_;  // A(a -> b), valid at ids
  std::vector<int> labels_;   // the lowest row of each row's cluster
};

std::vector<int> lowest_rows(const Partition& partition) {
  std::vector<int> labels;
  for (std::size_t i = 0; i < partition.rows(); ++i) {
    labels.push_back(partition.cluster_of(static_cast<int>(i)));
  }
  return labels;
}

/// Compares with Dense at every count of clusters down to `clusters`.
void expect_as_dense(const Matrix& data, int neighbours,
                     AgglomerationOptions options,
                     const ClusterConstraints& constraints, int clusters) {
  const auto graph =
      affinity_graph(nearest_neighbours(data, neighbours).value());
  const auto rows = static_cast<std::size_t>(data.rows());
  Dense dense(graph, data, options, constraints, clusters);
  while (static_cast<int>(dense.ids().size()) > clusters) {
    dense.merge_next();
    options.target = static_cast<int>(dense.ids().size());
    Partition partition(rows, constraints, clusters);
    ASSERT_TRUE(agglomerate(graph, data, options, partition));
    ASSERT_EQ(partition.count(), options.target);
    ASSERT_EQ(lowest_rows(partition), dense.labels()) << options.target;
  }
}

TEST(Agglomeration, MergesInTheOrderOfTheDenseReference) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (const bool exact : {false, true}) {
      for (const int above : {0, 8, 100}) {
        AgglomerationOptions options;
        options.exact_affinity = exact;
        options.lambda_above_clusters = above;
        options.ranked_neighbours = 3;
        options.lambda = 0.7;
        expect_as_dense(normal_matrix(19, 3, seed), 4, options, {}, 1);
      }
    }
  }
}

TEST(Agglomeration, KeepsToConstraintsAsTheDenseReferenceDoes) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (const int clusters : {3, 5}) {
      ClusterConstraints constraints;
      constraints.groups = 3;
      constraints.must_link.assign(18, -1);
      for (const auto& [row, group] :
           {std::pair{0, 0}, {7, 0}, {3, 1}, {4, 2}, {9, 2}, {11, 2}}) {
        constraints.must_link[static_cast<std::size_t>(row)] = group;
      }
      constraints.forbidden = {{1, 0}, {1, 1}, {2, 2}, {5, 0}, {6, 1}, {8, 2}};
      AgglomerationOptions options;
      options.exact_affinity = seed % 2 == 0;
      expect_as_dense(normal_matrix(18, 2, seed), 4, options, constraints,
                      clusters);
    }
  }
}

/// Four rows with two neighbours each:
///   W = [ 0  1  .9  0 ; 1  0  .5  0 ; 0  .4  0  .4 ; 0  .2  .4  0 ].
AffinityGraph four_rows() {
  return {
      2, {1, 2, 0, 2, 3, 1, 2, 1}, {1, 0.9F, 1, 0.5F, 0.4F, 0.4F, 0.4F, 0.2F}};
}

/// By hand. Alone: A(0,1) = 1 + 1 = 2, A(1,2) = 2 * .5 * .4 = .4, A(2,3) = 2 *
/// .4 * .4 = .32, the others 0 for lack of an edge back. So 0 and 1 merge to a.
/// A(2->a) = A(2->0) + A(2->1) = 0 + .2. By sizes A(a->2) = (0 + .2) / 2 = .1,
/// so A(a,2) = .3 < A(2,3). By definition A(a->2) = 1/4 (.9 + .5) (.4) = .14,
/// so A(a,2) = .34 > A(2,3).
TEST(Agglomeration, MergesFourRowsAsWorkedOutByHand) {
  const Matrix data = Matrix::Zero(4, 1);
  AgglomerationOptions options;
  options.lambda_above_clusters = 4;
  options.target = 3;
  Partition first(4, {}, 1);
  ASSERT_TRUE(agglomerate(four_rows(), data, options, first));
  EXPECT_EQ(first.labels(), (std::vector<int>{0, 0, 1, 2}));
  options.target = 2;
  Partition by_sizes(4, {}, 1);
  ASSERT_TRUE(agglomerate(four_rows(), data, options, by_sizes));
  EXPECT_EQ(by_sizes.labels(), (std::vector<int>{0, 0, 1, 1}));
  options.exact_affinity = true;
  Partition exact(4, {}, 1);
  ASSERT_TRUE(agglomerate(four_rows(), data, options, exact));
  EXPECT_EQ(exact.labels(), (std::vector<int>{0, 0, 0, 1}));
}

TEST(Agglomeration, WeighsEdgesByTheMeanSquaredDistance) {
  // Squared distances 1, 4, 1, 3: the mean is 9 / 4.
  const NeighbourGraph graph{2, {1, 2, 0, 2}, {1, 4, 1, 3}};
  const AffinityGraph affinities = affinity_graph(graph);
  EXPECT_EQ(affinities.index, graph.index);
  for (std::size_t e = 0; e < 4; ++e) {
    EXPECT_NEAR(affinities.weight[e], std::exp(-graph.squared_l2[e] / 2.25),
                1e-6);
  }
  EXPECT_EQ(affinity_graph({1, {1, 0}, {0, 0}}).weight,
            (std::vector<float>{1, 1}));
}

TEST(Agglomeration, ChainsFollowFirstNeighbours) {
  // First neighbours 0-1, 2->1, 3-4, 5->3.
  const NeighbourGraph graph{1, {1, 0, 1, 4, 3, 3}, {1, 1, 1, 1, 1, 1}};
  Partition partition(6, {}, 1);
  join_chains(graph, partition);
  EXPECT_EQ(partition.labels(), (std::vector<int>{0, 0, 0, 1, 1, 1}));
}

TEST(Agglomeration, AChainIsCutAtItsLength) {
  // 0 -> 1 -> 2 ... -> 119 -> 118.
  NeighbourGraph graph{1, {}, std::vector<float>(120, 1)};
  for (int i = 0; i < 120; ++i) graph.index.push_back(i < 119 ? i + 1 : 118);
  Partition partition(120, {}, 1);
  join_chains(graph, partition);
  const auto labels = partition.labels();
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 0), kChainRows);
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 1), kChainRows);
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 2), 120 - 2 * kChainRows);
}

TEST(Agglomeration, ChainsStopWhereConstraintsStand) {
  const NeighbourGraph graph{1, {1, 2, 1, 2, 3}, {1, 1, 1, 1, 1}};
  ClusterConstraints constraints;
  constraints.groups = 1;
  constraints.must_link = {-1, -1, 0, -1, -1};
  constraints.forbidden = {{4, 0}};
  Partition partition(5, constraints, 2);
  join_chains(graph, partition);
  EXPECT_EQ(partition.labels(), (std::vector<int>{0, 0, 0, 0, 1}));
}

TEST(Agglomeration, PermutingTheRowsPermutesThePartition) {
  const auto blobs = make_blobs(400, 4, 12, 2, 3);
  const int n = 400;
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random(1);
  std::shuffle(order.begin(), order.end(), random);
  Matrix moved(n, blobs.data.cols());
  for (int i = 0; i < n; ++i) {
    moved.row(i) = blobs.data.row(order[static_cast<std::size_t>(i)]);
  }
  const auto run = [&](const Matrix& data) {
    const auto graph = nearest_neighbours(data, 10).value();
    Partition partition(static_cast<std::size_t>(n), {}, 12);
    join_chains(graph, partition);
    AgglomerationOptions options;
    options.target = 12;
    EXPECT_TRUE(agglomerate(affinity_graph(graph), data, options, partition));
    return partition.labels();
  };
  const auto labels = run(blobs.data);
  std::vector<int> expected;
  for (const int i : order) {
    expected.push_back(labels[static_cast<std::size_t>(i)]);
  }
  EXPECT_DOUBLE_EQ(adjusted_rand(expected, run(moved)).value(), 1.0);
}

TEST(Agglomeration, WithoutAffinityTheNearestCentresMerge) {
  // Three rows far from each other whose neighbours do not look back.
  const AffinityGraph graph{1, {1, 2, 0}, {0.5F, 0.5F, 0.5F}};
  Matrix data(3, 1);
  data << 0, 10, 13;
  Partition partition(3, {}, 2);
  AgglomerationOptions options;
  options.target = 2;
  ASSERT_TRUE(agglomerate(graph, data, options, partition));
  EXPECT_EQ(partition.labels(), (std::vector<int>{0, 1, 1}));
}

TEST(Agglomeration, IsCancelled) {
  const Matrix data = normal_matrix(50, 3, 1);
  const auto graph = affinity_graph(nearest_neighbours(data, 5).value());
  Partition partition(50, {}, 2);
  AgglomerationOptions options;
  options.target = 2;
  options.cancelled = [] { return true; };
  EXPECT_EQ(agglomerate(graph, data, options, partition).error().code,
            ErrorCode::kCancelled);
}

}  // namespace
}  // namespace shoal
