#include "engine/refine/cluster_identity.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace shoal {
namespace {

constexpr ClusterId kNone;

std::vector<ClusterId> ids(const std::vector<std::uint64_t>& values) {
  std::vector<ClusterId> result;
  for (const auto value : values) result.emplace_back(value);
  return result;
}

IdentityResult match(const std::vector<int>& labels, int k,
                     const std::vector<ClusterId>& previous) {
  return match_clusters(labels, k, previous,
                        std::vector<ClusterId>(labels.size()));
}

TEST(ClusterIdentity, AnEqualPartitionKeepsAllIdsWhateverItsOrder) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    const int k = 1 + round % 9;
    std::vector<int> names(static_cast<std::size_t>(k));
    std::iota(names.begin(), names.end(), 0);
    std::shuffle(names.begin(), names.end(), random);
    std::uniform_int_distribution<int> any(0, k - 1);
    std::vector<int> labels(names);
    std::vector<ClusterId> previous;
    for (int i = 0; i < 100; ++i) {
      labels.push_back(names[static_cast<std::size_t>(any(random))]);
    }
    for (const int label : labels) {
      previous.emplace_back(static_cast<std::uint64_t>(100 + 3 * label));
    }
    const IdentityResult result = match(labels, k, previous);
    for (int c = 0; c < k; ++c) {
      const ClusterId id(static_cast<std::uint64_t>(100 + 3 * c));
      EXPECT_EQ(result.continues[static_cast<std::size_t>(c)], id);
      EXPECT_EQ(result.parents[static_cast<std::size_t>(c)],
                std::vector<ClusterId>{id});
    }
    EXPECT_TRUE(result.ended.empty());
  }
}

TEST(ClusterIdentity, ASplitKeepsTheIdOnTheLargerPart) {
  const IdentityResult result = match({0, 0, 1, 1, 1}, 2, ids({7, 7, 7, 7, 7}));
  EXPECT_EQ(result.continues, ids({0, 7}));
  EXPECT_EQ(result.parents[0], ids({7}));
  EXPECT_TRUE(result.ended.empty());
}

TEST(ClusterIdentity, AMergeKeepsTheLargerIdAndEndsTheOther) {
  const IdentityResult result = match({0, 0, 0, 0, 0}, 1, ids({4, 4, 9, 9, 9}));
  EXPECT_EQ(result.continues, ids({9}));
  EXPECT_EQ(result.parents[0], ids({9, 4}));
  ASSERT_EQ(result.ended.size(), 1U);
  EXPECT_EQ(result.ended.at(ClusterId(4)), (std::vector<std::size_t>{0}));
}

TEST(ClusterIdentity, AClusterOfNewImagesIsBorn) {
  const IdentityResult result = match({0, 0, 1, 1}, 2, ids({3, 3, 0, 0}));
  EXPECT_EQ(result.continues, ids({3, 0}));
  EXPECT_TRUE(result.parents[1].empty());
}

TEST(ClusterIdentity, TheTotalOverlapDecidesNotTheOrder) {
  // Cluster 0 overlaps 5 most, but 5 fits cluster 1 nearly as well and 6 fits
  // only cluster 0.
  const std::vector<int> labels = {0, 0, 0, 1, 1, 0, 0};
  const IdentityResult result = match(labels, 2, ids({5, 5, 5, 5, 5, 6, 6}));
  EXPECT_EQ(result.continues, ids({6, 5}));
}

TEST(ClusterIdentity, FixedImagesDecideAgainstTheMajority) {
  const std::vector<int> labels = {0, 0, 0, 1, 1, 1};
  const std::vector<ClusterId> previous = ids({1, 1, 1, 2, 2, 2});
  // A person put an image of the first three into 2.
  std::vector<ClusterId> fixed(6);
  fixed[0] = ClusterId(2);
  const IdentityResult result = match_clusters(labels, 2, previous, fixed);
  EXPECT_EQ(result.continues[0], ClusterId(2));
  EXPECT_NE(result.continues[1], ClusterId(2));
}

TEST(ClusterIdentity, FixedImagesWorkWithoutPreviousLabels) {
  const IdentityResult result =
      match_clusters({0, 1, 1}, 2, std::vector<ClusterId>(3), ids({0, 0, 8}));
  EXPECT_EQ(result.continues, ids({0, 8}));
  EXPECT_TRUE(result.ended.empty());
}

TEST(ClusterIdentity, OnlyATenthMakesAParentOrAnHeir) {
  std::vector<int> labels(100, 0);
  std::vector<ClusterId> previous(100, ClusterId(1));
  for (std::size_t i = 0; i < 9; ++i) previous[i] = ClusterId(2);
  IdentityResult result = match(labels, 1, previous);
  EXPECT_EQ(result.parents[0], ids({1}));
  EXPECT_EQ(result.ended.at(ClusterId(2)), (std::vector<std::size_t>{0}));
  previous[9] = ClusterId(2);
  result = match(labels, 1, previous);
  EXPECT_EQ(result.parents[0], ids({1, 2}));
}

TEST(ClusterIdentity, ImagesInThePoolBelongToNoCluster) {
  const IdentityResult result = match({-1, -1, 0}, 1, ids({1, 1, 2}));
  EXPECT_EQ(result.continues, ids({2}));
  EXPECT_TRUE(result.ended.at(ClusterId(1)).empty());
}

TEST(ClusterIdentity, NoIdIsContinuedTwiceAndEveryPairSharesAnImage) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    std::uniform_int_distribution<int> count(1, 8);
    const int k = count(random);
    const int earlier = count(random);
    std::uniform_int_distribution<int> label(-1, k - 1);
    std::uniform_int_distribution<std::uint64_t> id(
        0, static_cast<std::uint64_t>(earlier));
    std::vector<int> labels;
    std::vector<ClusterId> previous;
    std::vector<ClusterId> fixed;
    for (int i = 0; i < 40; ++i) {
      labels.push_back(label(random));
      previous.emplace_back(id(random));
      // Wilder than any run: ids torn apart and mixed.
      fixed.push_back(i % 5 == 0 ? ClusterId(id(random)) : kNone);
    }
    const IdentityResult result = match_clusters(labels, k, previous, fixed);
    std::set<ClusterId> seen;
    for (std::size_t c = 0; c < result.continues.size(); ++c) {
      const ClusterId continued = result.continues[c];
      if (!continued.valid()) continue;
      ASSERT_TRUE(seen.insert(continued).second);
      bool shares = false;
      for (std::size_t i = 0; i < labels.size(); ++i) {
        shares =
            shares || (labels[i] == static_cast<int>(c) &&
                       (previous[i] == continued || fixed[i] == continued));
      }
      ASSERT_TRUE(shares);
      ASSERT_EQ(result.ended.count(continued), 0U);
    }
    for (const ClusterId earlier_id : previous) {
      if (!earlier_id.valid()) continue;
      ASSERT_TRUE(seen.count(earlier_id) == 1 ||
                  result.ended.count(earlier_id) == 1);
    }
  }
}

}  // namespace
}  // namespace shoal
