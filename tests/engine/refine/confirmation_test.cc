#include "engine/refine/confirmation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "engine/score/sampling.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

/// Two clusters of 20: distances grow with the position in the cluster.
struct Found {
  std::vector<int> labels;
  std::vector<float> distances;
  /// Five views, all of the clusters' opinion.
  std::vector<std::vector<int>> partitions{5};
  std::vector<bool> settled;
  Matrix embeddings = normal_matrix(40, 8, 1);

  Found() {
    for (int i = 0; i < 40; ++i) {
      labels.push_back(i % 2);
      distances.push_back(static_cast<float>(i / 2));
      for (auto& view : partitions) view.push_back(i % 2);
      settled.push_back(false);
    }
  }

  /// Positions in their cluster of those confirmed, cluster 0's first.
  [[nodiscard]] std::vector<std::vector<int>> confirm(
      const ConfirmationOptions& options) const {
    const auto rows = [this](const std::vector<std::size_t>& wanted) {
      return Result<Matrix>(take_rows(embeddings, wanted));
    };
    const auto chosen =
        choose_confirmed({labels, distances, partitions, settled, 2, rows},
                         options)
            .value();
    std::vector<std::vector<int>> found(2);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (chosen[i] != 0) {
        found[i % 2].push_back(static_cast<int>(i / 2));
      }
    }
    return found;
  }
};

bool falls_apart(const Matrix& rows) { return loosest_cut(rows) < kLooseCut; }

using Positions = std::vector<std::vector<int>>;

TEST(ChooseConfirmed, TakesTheNearestShareOfEachCluster) {
  EXPECT_EQ(Found().confirm({0.2, 0.8, 10}),
            (Positions{{0, 1, 2, 3}, {0, 1, 2, 3}}));
  // Rounded up.
  EXPECT_EQ(Found().confirm({0.01, 0.8, 10}), (Positions{{0}, {0}}));
  EXPECT_EQ(Found().confirm({1, 0.8, 10})[0].size(), 20U);
  EXPECT_EQ(Found().confirm({0, 0.8, 10}), (Positions{{}, {}}));
}

TEST(ChooseConfirmed, TheShareIsOfWhatIsOpen) {
  Found found;
  for (int i = 0; i < 10; ++i)
    found.settled[static_cast<std::size_t>(2 * i)] = true;
  EXPECT_EQ(found.confirm({0.2, 0.8, 10}), (Positions{{10, 11}, {0, 1, 2, 3}}));
}

TEST(ChooseConfirmed, PassesOverWhatTheViewsDoNotAgreeOn) {
  Found found;
  // Row 0 is alone in two views (0.6), row 4 in one (0.8), and one view does
  // not know row 2.
  found.partitions[0][0] = found.partitions[1][0] = 7;
  found.partitions[0][4] = 8;
  found.partitions[4][2] = -1;
  EXPECT_EQ(found.confirm({0.2, 0.9, 10}), (Positions{{3}, {0, 1, 2, 3}}));
  EXPECT_EQ(found.confirm({0.2, 0.7, 10}), (Positions{{2, 3}, {0, 1, 2, 3}}));
  EXPECT_EQ(found.confirm({0.2, 0, 10})[0], (std::vector<int>{0, 1, 2, 3}));
}

TEST(ChooseConfirmed, WithoutViewsThatAgreeNothingIsConfirmedButAtZero) {
  Found found;
  found.partitions.resize(1);  // one view agrees with itself
  EXPECT_EQ(found.confirm({0.2, 0.8, 10}), (Positions{{}, {}}));
  EXPECT_EQ(found.confirm({0.2, 0, 10})[0].size(), 4U);
}

TEST(ChooseConfirmed, ASmallClusterConfirmsNothing) {
  Found found;
  for (std::size_t i = 0; i < 22; i += 2) found.labels[i] = -1;
  EXPECT_EQ(found.confirm({1, 0.8, 10})[0].size(), 0U);
  EXPECT_EQ(found.confirm({1, 0.8, 9})[0].size(), 9U);
}

TEST(ChooseConfirmed, AClusterThatLooksLikeTwoConfirmsNothing) {
  Found found;
  for (int i = 0; i < 40; i += 4) found.embeddings.row(i).array() += 6;
  const auto chosen = found.confirm({0.2, 0.8, 10});
  EXPECT_TRUE(chosen[0].empty());
  EXPECT_EQ(chosen[1].size(), 4U);
}

TEST(ChooseConfirmed, AClusterThatViewsSplitConfirmsNothing) {
  Found found;
  // A quarter of cluster 0 is elsewhere in one view of five: it may be wrong.
  for (std::size_t i = 0; i < 10; i += 2) found.partitions[0][i] = 7;
  EXPECT_EQ(found.confirm({0.2, 0.1, 10})[0].size(), 4U);
  // In two: perhaps the others are.
  for (std::size_t i = 30; i < 40; i += 2) found.partitions[1][i] = 7;
  EXPECT_TRUE(found.confirm({0.2, 0.1, 10})[0].empty());
  EXPECT_EQ(found.confirm({0.2, 0.1, 10})[1].size(), 4U);
}

TEST(ChooseConfirmed, AClusterThatIsLooserThanTheOthersConfirmsNothing) {
  // Five clusters of 40; in the last are two heaps that touch.
  Matrix rows = normal_matrix(200, 6, 9);
  for (Eigen::Index i = 160; i < 180; ++i) rows(i, 0) += 4.2F;
  std::vector<int> labels;
  for (int i = 0; i < 200; ++i) labels.push_back(i / 40);
  const double cut = loosest_cut(rows.bottomRows(40));
  EXPECT_GT(cut, kLooseCut);
  const std::vector<float> distances(200, 1.0F);
  const std::vector<bool> settled(200, false);
  const auto chosen =
      choose_confirmed({labels,
                        distances,
                        {},
                        settled,
                        5,
                        [&](const std::vector<std::size_t>& wanted) {
                          return Result<Matrix>(take_rows(rows, wanted));
                        }},
                       {0.5, 0, 10})
          .value();
  EXPECT_EQ(std::count(chosen.begin(), chosen.begin() + 160, 1), 80);
  EXPECT_EQ(std::count(chosen.begin() + 160, chosen.end(), 1), 0);
}

TEST(ViewsSplit, NeedsTwoViewsAThirdOfThemAndAQuarterOfTheRows) {
  const std::vector<int> whole(8, 1);
  const std::vector<int> quarter = {1, 1, 1, 1, 1, 1, 2, 2};
  const std::vector<int> eighth = {1, 1, 1, 1, 1, 1, 1, 2};
  const std::vector<int> unknown = {1, 1, 1, 2, -1, -1, -1, -1};
  const std::vector<std::size_t> rows = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_FALSE(views_split({}, rows));
  EXPECT_FALSE(views_split({quarter}, rows));
  EXPECT_TRUE(views_split({quarter, quarter}, rows));
  EXPECT_TRUE(views_split({quarter, unknown}, rows));
  EXPECT_FALSE(views_split({quarter, eighth, whole}, rows));
  EXPECT_TRUE(
      views_split({quarter, quarter, whole, whole, whole, whole}, rows));
  EXPECT_FALSE(
      views_split({quarter, quarter, whole, whole, whole, whole, whole}, rows));
  EXPECT_FALSE(views_split({quarter, quarter}, {0, 1, 2, 3}));
}

TEST(LoosestCut, TellsTwoHeapsFromOne) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const int n : {60, 100, 1000}) {
      Matrix rows = normal_matrix(n, 16, seed);
      EXPECT_FALSE(falls_apart(rows)) << seed << " " << n;
      // A long cloud is one heap.
      rows.col(3) *= 4;
      EXPECT_FALSE(falls_apart(rows)) << seed << " " << n;
      rows.col(3) /= 4;
      for (int i = 0; i < n; i += 3) rows.row(i).array() += 3;
      EXPECT_TRUE(falls_apart(rows)) << seed << " " << n;
    }
  }
}

TEST(LoosestCut, ARingIsOne) {
  for (const int n : {36, 72, 500}) {
    Matrix rows(n, 3);
    for (int i = 0; i < n; ++i) {
      const float angle =
          6.2832F * static_cast<float>(i) / static_cast<float>(n);
      rows.row(i) << std::cos(angle), std::sin(angle), 0;
    }
    EXPECT_FALSE(falls_apart(rows)) << n;
    // Two of them are two, also one inside the other.
    Matrix both(2 * n, 3);
    both << rows, 10 * rows;
    EXPECT_TRUE(falls_apart(both)) << n;
  }
}

TEST(LoosestCut, AFewOddRowsAreNoSecondHeap) {
  Matrix rows = normal_matrix(100, 16, 3);
  for (int i = 0; i < 4; ++i) rows.row(i).array() += 3;
  EXPECT_FALSE(falls_apart(rows));
}

TEST(LoosestCut, HandlesFewAndEqualRows) {
  EXPECT_FALSE(falls_apart(Matrix(0, 4)));
  EXPECT_FALSE(falls_apart(Matrix::Ones(1, 4)));
  EXPECT_FALSE(falls_apart(Matrix::Ones(50, 4)));
  Matrix heaps = Matrix::Ones(50, 4);
  heaps.topRows(20).setZero();
  EXPECT_TRUE(falls_apart(heaps));
  // Of heaps with fewer rows than neighbours are looked for nothing is told.
  Matrix twelve = normal_matrix(12, 4, 5);
  twelve.topRows(6).array() += 8;
  EXPECT_TRUE(falls_apart(twelve));
  EXPECT_FALSE(falls_apart(twelve.middleRows(1, 10)));
}

}  // namespace
}  // namespace shoal
