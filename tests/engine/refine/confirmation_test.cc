#include "engine/refine/confirmation.h"

#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

/// Two clusters of 20: distances grow with the position in the cluster.
struct Found {
  std::vector<int> labels;
  std::vector<float> distances;
  std::vector<float> agreement;
  std::vector<bool> settled;
  Matrix embeddings = normal_matrix(40, 8, 1);

  Found() {
    for (int i = 0; i < 40; ++i) {
      labels.push_back(i % 2);
      distances.push_back(static_cast<float>(i / 2));
      agreement.push_back(1);
      settled.push_back(false);
    }
  }

  /// Positions in their cluster of those confirmed, cluster 0's first.
  [[nodiscard]] std::vector<std::vector<int>> confirm(
      const ConfirmationOptions& options) const {
    const auto chosen = choose_confirmed(
        {labels, distances, agreement, settled, embeddings, 2}, options);
    std::vector<std::vector<int>> found(2);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (chosen[i] != 0) {
        found[i % 2].push_back(static_cast<int>(i / 2));
      }
    }
    return found;
  }
};

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
  found.agreement[0] = 0.79F;
  found.agreement[2] = kUnknown;
  EXPECT_EQ(found.confirm({0.2, 0.8, 10}), (Positions{{2, 3}, {0, 1, 2, 3}}));
  EXPECT_EQ(found.confirm({0.2, 0, 10})[0], (std::vector<int>{0, 1, 2, 3}));
}

TEST(ChooseConfirmed, WithoutViewsThatAgreeNothingIsConfirmedButAtZero) {
  Found found;
  found.agreement.clear();
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

TEST(LooksLikeTwo, TellsTwoHeapsFromOne) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const int n : {60, 100, 1000}) {
      Matrix rows = normal_matrix(n, 16, seed);
      EXPECT_FALSE(looks_like_two(rows)) << seed << " " << n;
      // A long cloud is one heap.
      rows.col(3) *= 8;
      EXPECT_FALSE(looks_like_two(rows)) << seed << " " << n;
      rows.col(3) /= 8;
      for (int i = 0; i < n; i += 3) rows.row(i).array() += 3;
      EXPECT_TRUE(looks_like_two(rows)) << seed << " " << n;
    }
  }
}

TEST(LooksLikeTwo, AFewOddRowsAreNoSecondHeap) {
  Matrix rows = normal_matrix(100, 16, 3);
  for (int i = 0; i < 4; ++i) rows.row(i).array() += 3;
  EXPECT_FALSE(looks_like_two(rows));
}

TEST(LooksLikeTwo, HandlesFewAndEqualRows) {
  EXPECT_FALSE(looks_like_two(Matrix(0, 4)));
  EXPECT_FALSE(looks_like_two(Matrix::Ones(1, 4)));
  EXPECT_FALSE(looks_like_two(Matrix::Ones(50, 4)));
  Matrix heaps = Matrix::Ones(50, 4);
  heaps.topRows(20).setZero();
  EXPECT_TRUE(looks_like_two(heaps));
  // At the least size that may confirm.
  Matrix ten = normal_matrix(10, 4, 5);
  ten.topRows(5).array() += 8;
  EXPECT_TRUE(looks_like_two(ten));
}

}  // namespace
}  // namespace shoal
