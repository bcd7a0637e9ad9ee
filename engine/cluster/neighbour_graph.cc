#include "engine/cluster/neighbour_graph.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "engine/score/distances.h"

namespace shoal {
namespace {

using RowArray = Eigen::Array<float, 1, Eigen::Dynamic>;

/// Rows per block: a block of distances (4 MiB) stays near the cores.
constexpr Eigen::Index kBlockRows = 1024;
/// Candidates kept beyond the neighbours asked for, since the products order
/// near ones only up to float32's rounding.
constexpr std::size_t kSpareCandidates = 8;

/// Equal rows stand for one: products of equal rows may differ in their last
/// bits with the place in the block, which would order ties at random.
struct DistinctRows {
  std::vector<int> first;          // (u) the lowest of each set of equal rows
  std::vector<int> set_of;         // (n) 0..u-1
  std::vector<std::size_t> start;  // (u + 1) into `members`
  std::vector<int> members;        // (n) by set, ascending in each
};

DistinctRows distinct_rows(MatrixView data) {
  const auto n = static_cast<std::size_t>(data.rows());
  const auto compare = [&](int a, int b) {
    const float* x = data.row(a).data();
    const float* y = data.row(b).data();
    const auto [p, q] = std::mismatch(x, x + data.cols(), y);
    return p == x + data.cols() ? 0 : (*p < *q ? -1 : 1);
  };
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    const int sign = compare(a, b);
    return sign != 0 ? sign < 0 : a < b;
  });
  DistinctRows rows;
  std::vector<int> first_of(n);
  for (std::size_t i = 0; i < n; ++i) {
    const bool same = i > 0 && compare(order[i - 1], order[i]) == 0;
    first_of[static_cast<std::size_t>(order[i])] =
        same ? first_of[static_cast<std::size_t>(order[i - 1])] : order[i];
  }
  rows.set_of.resize(n);
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < n; ++i) {
    const auto first = static_cast<std::size_t>(first_of[i]);
    if (first == i) {
      rows.set_of[i] = static_cast<int>(sizes.size());
      rows.first.push_back(static_cast<int>(i));
      sizes.push_back(0);
    } else {
      rows.set_of[i] = rows.set_of[first];
    }
    ++sizes[static_cast<std::size_t>(rows.set_of[i])];
  }
  rows.start.assign(1, 0);
  for (const std::size_t size : sizes) {
    rows.start.push_back(rows.start.back() + size);
  }
  rows.members.resize(n);
  std::vector<std::size_t> next(rows.start.begin(), rows.start.end() - 1);
  for (std::size_t i = 0; i < n; ++i) {
    rows.members[next[static_cast<std::size_t>(rows.set_of[i])]++] =
        static_cast<int>(i);
  }
  return rows;
}

/// The best few (squared_l2, row) of every row seen so far.
class Candidates {
 public:
  Candidates(std::size_t rows, std::size_t each)
      : each_(each),
        index_(rows * each, -1),
        distance_(rows * each, std::numeric_limits<float>::infinity()),
        worst_(
            Eigen::ArrayXf::Constant(static_cast<Eigen::Index>(rows),
                                     std::numeric_limits<float>::infinity())) {}

  /// Offers the rows first.. to `row`. Rows must be offered in ascending
  /// order: the earlier of equals stays ahead.
  void offer(Eigen::Index row, const Eigen::Ref<const RowArray>& distances,
             Eigen::Index first) {
    for_chunks(distances.size(), [&](Eigen::Index start, Eigen::Index count) {
      if (distances.segment(start, count).minCoeff() >= worst_[row]) return;
      for (Eigen::Index j = start; j < start + count; ++j) {
        insert(row, distances[j], first + j);
      }
    });
  }
  /// Offers `row` to the rows first..
  void offer_to(Eigen::Index first, const Eigen::Ref<const RowArray>& distances,
                Eigen::Index row) {
    for_chunks(distances.size(), [&](Eigen::Index start, Eigen::Index count) {
      const auto worst = worst_.segment(first + start, count).transpose();
      if ((distances.segment(start, count) - worst).minCoeff() >= 0) return;
      for (Eigen::Index j = start; j < start + count; ++j) {
        insert(first + j, distances[j], row);
      }
    });
  }
  [[nodiscard]] const int* of(Eigen::Index row) const {
    return index_.data() + static_cast<std::size_t>(row) * each_;
  }
  [[nodiscard]] std::size_t each() const { return each_; }

 private:
  /// Most pairs are too far for either list: a chunk is refused at once.
  template <typename Use>
  static void for_chunks(Eigen::Index size, Use use) {
    constexpr Eigen::Index kChunk = 16;
    for (Eigen::Index start = 0; start < size; start += kChunk) {
      use(start, std::min(kChunk, size - start));
    }
  }
  void insert(Eigen::Index row, float distance, Eigen::Index candidate) {
    if (!(distance < worst_[row])) return;
    float* best = distance_.data() + static_cast<std::size_t>(row) * each_;
    int* index = index_.data() + static_cast<std::size_t>(row) * each_;
    std::size_t at = each_ - 1;
    for (; at > 0 && distance < best[at - 1]; --at) {
      best[at] = best[at - 1];
      index[at] = index[at - 1];
    }
    best[at] = distance;
    index[at] = static_cast<int>(candidate);
    worst_[row] = best[each_ - 1];
  }

  std::size_t each_;
  std::vector<int> index_;
  std::vector<float> distance_;
  Eigen::ArrayXf worst_;  // of each row's
};

struct Block {
  Eigen::Index first = 0;
  Matrix rows;   // centred
  Vector norms;  // squared
};

Block make_block(MatrixView data, const DistinctRows& distinct,
                 const Vector& mean, Eigen::Index first) {
  const auto all = static_cast<Eigen::Index>(distinct.first.size());
  Block block;
  block.first = first;
  block.rows.resize(std::min(kBlockRows, all - first), data.cols());
  for (Eigen::Index i = 0; i < block.rows.rows(); ++i) {
    block.rows.row(i) =
        data.row(distinct.first[static_cast<std::size_t>(first + i)]) -
        mean.transpose();
  }
  block.norms = block.rows.rowwise().squaredNorm();
  return block;
}

/// (a's rows, b's rows) squared_l2, up to rounding.
Matrix distances_between(const Block& a, const Block& b) {
  Matrix distances(a.rows.rows(), b.rows.rows());
  multiply_transposed(a.rows, b.rows, distances);
  for (Eigen::Index i = 0; i < distances.rows(); ++i) {
    distances.row(i) = (a.norms[i] + b.norms.transpose().array() -
                        2 * distances.row(i).array())
                           .matrix();
  }
  return distances;
}

void offer_to_each_other(const Block& a, const Block& b,
                         Candidates& candidates) {
  const Matrix distances = distances_between(a, b);
  for (Eigen::Index i = 0; i < distances.rows(); ++i) {
    candidates.offer(a.first + i, distances.row(i).array(), b.first);
    candidates.offer_to(b.first, distances.row(i).array(), a.first + i);
  }
}

void offer_within(const Block& a, Candidates& candidates) {
  Matrix distances = distances_between(a, a);
  distances.diagonal().setConstant(std::numeric_limits<float>::infinity());
  for (Eigen::Index i = 0; i < distances.rows(); ++i) {
    candidates.offer(a.first + i, distances.row(i).array(), a.first);
  }
}

/// The candidates of all distinct rows.
Result<Candidates> find_candidates(MatrixView data,
                                   const DistinctRows& distinct,
                                   std::size_t each,
                                   const std::function<bool()>& cancelled) {
  const Vector mean = mean_row(data);
  const auto n = static_cast<Eigen::Index>(distinct.first.size());
  Candidates candidates(distinct.first.size(), each);
  if (each == 0) return candidates;  // All rows are equal.
  for (Eigen::Index first = 0; first < n; first += kBlockRows) {
    const Block a = make_block(data, distinct, mean, first);
    for (Eigen::Index other = first; other < n; other += kBlockRows) {
      if (cancelled && cancelled()) {
        return Error{ErrorCode::kCancelled, "nearest neighbours: cancelled"};
      }
      if (other == first) {
        offer_within(a, candidates);
      } else {
        offer_to_each_other(a, make_block(data, distinct, mean, other),
                            candidates);
      }
    }
  }
  return candidates;
}

/// Orders each row's candidates by the distance computed from differences and
/// lets the rows equal to them follow.
NeighbourGraph exact_graph(MatrixView data, const DistinctRows& distinct,
                           int neighbours, const Candidates& candidates) {
  NeighbourGraph graph;
  graph.neighbours = neighbours;
  const auto kept = static_cast<std::size_t>(neighbours);
  graph.index.resize(distinct.set_of.size() * kept);
  graph.squared_l2.resize(graph.index.size());
  // (squared_l2, row), one more than kept: the row itself is among them.
  std::vector<std::pair<double, int>> order;
  for (std::size_t set = 0; set < distinct.first.size(); ++set) {
    order.clear();
    const auto add = [&](std::size_t other, double distance) {
      const std::size_t last =
          std::min(distinct.start[other + 1], distinct.start[other] + kept + 1);
      for (std::size_t m = distinct.start[other]; m < last; ++m) {
        order.emplace_back(distance, distinct.members[m]);
      }
    };
    add(set, 0.0);
    const int* candidate = candidates.of(static_cast<Eigen::Index>(set));
    for (std::size_t c = 0; c < candidates.each(); ++c) {
      const auto other = static_cast<std::size_t>(candidate[c]);
      const auto difference = data.row(distinct.first[set]).cast<double>() -
                              data.row(distinct.first[other]).cast<double>();
      add(other, difference.squaredNorm());
    }
    std::sort(order.begin(), order.end());
    for (std::size_t m = distinct.start[set]; m < distinct.start[set + 1];
         ++m) {
      const int row = distinct.members[m];
      std::size_t to = static_cast<std::size_t>(row) * kept;
      const std::size_t end = to + kept;
      for (auto next = order.begin(); to < end; ++next) {
        if (next->second == row) continue;
        graph.index[to] = next->second;
        graph.squared_l2[to] = static_cast<float>(next->first);
        ++to;
      }
    }
  }
  return graph;
}

}  // namespace

Result<NeighbourGraph> nearest_neighbours(
    MatrixView data, int neighbours, const std::function<bool()>& cancelled) {
  const Eigen::Index n = data.rows();
  if (neighbours < 1 || neighbours >= n) {
    return invalid_argument(
        "nearest neighbours: " + std::to_string(neighbours) + " of " +
        std::to_string(n) + " rows; 1 to n - 1 are there");
  }
  if (!data.allFinite()) {
    return invalid_argument(
        "nearest neighbours: the data hold a value that is not finite");
  }
  const DistinctRows distinct = distinct_rows(data);
  const std::size_t each =
      std::min(distinct.first.size() - 1,
               static_cast<std::size_t>(neighbours) + kSpareCandidates);
  SHOAL_TRY(candidates, find_candidates(data, distinct, each, cancelled));
  return exact_graph(data, distinct, neighbours, candidates);
}

}  // namespace shoal
