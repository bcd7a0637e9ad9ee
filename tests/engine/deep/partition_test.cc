#include "engine/deep/internal/partition.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Partition, NumbersGroupsFirstAndTheOthersByLowestRow) {
  ClusterConstraints constraints;
  constraints.groups = 2;
  constraints.must_link = {-1, 1, -1, 0, 1, -1};
  Partition partition(6, constraints, 4);
  EXPECT_EQ(partition.count(), 5);
  EXPECT_EQ(partition.labels(), (std::vector<int>{2, 1, 3, 0, 1, 4}));
  EXPECT_EQ(partition.merge(5, 2), 2);
  EXPECT_EQ(partition.merge(0, 3), 0);
  EXPECT_EQ(partition.clusters(), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(partition.labels(), (std::vector<int>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(partition.size(2), 2);
  EXPECT_EQ(partition.group(0), 0);
  EXPECT_EQ(partition.group(2), -1);
}

TEST(Partition, GroupsStayApartAndForbiddenRowsStayOut) {
  ClusterConstraints constraints;
  constraints.groups = 2;
  constraints.must_link = {0, 1, -1, -1, -1};
  constraints.forbidden = {{2, 0}};
  Partition partition(5, constraints, 3);
  EXPECT_FALSE(partition.may_merge(0, 1));
  EXPECT_FALSE(partition.may_merge(0, 2));
  EXPECT_FALSE(partition.may_merge(2, 0));
  EXPECT_TRUE(partition.may_merge(1, 2));
  EXPECT_TRUE(partition.may_merge(0, 3));
  partition.merge(2, 3);
  EXPECT_FALSE(partition.may_merge(0, 2)) << "row 2 is in it";
  partition.merge(1, 2);
  EXPECT_FALSE(partition.may_merge(0, 1));
}

TEST(Partition, NoClusterIsShutOutOfAllGroupsWhenThereAreNoOthers) {
  ClusterConstraints constraints;
  constraints.groups = 2;
  constraints.must_link = {0, 1, -1, -1};
  constraints.forbidden = {{2, 0}, {3, 1}};
  EXPECT_FALSE(Partition(4, constraints, 2).may_merge(2, 3));
  EXPECT_TRUE(Partition(4, constraints, 3).may_merge(2, 3));
}

TEST(Partition, RandomMergesAlwaysReachTheClustersAndBreakNothing) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int count) {
      return static_cast<int>(random() % static_cast<unsigned>(count));
    };
    const int rows = 30;
    ClusterConstraints constraints;
    constraints.groups = 1 + draw(4);
    const int clusters = constraints.groups + draw(3);
    for (int i = 0; i < rows; ++i) {
      const int group = i < constraints.groups ? i : draw(8);
      constraints.must_link.push_back(group < constraints.groups ? group : -1);
    }
    std::vector<int> left(30, clusters - 1);
    for (int i = 0; i < 40; ++i) {
      const int row = draw(rows);
      const int group = draw(constraints.groups);
      if (constraints.group_of(static_cast<std::size_t>(row)) < 0 &&
          left[static_cast<std::size_t>(row)]-- > 0) {
        constraints.forbidden.emplace_back(row, group);
      }
    }
    ASSERT_TRUE(check_constraints(constraints, rows, clusters));
    Partition partition(rows, constraints, clusters);
    while (partition.count() > clusters) {
      const auto ids = partition.clusters();
      std::vector<std::pair<int, int>> allowed;
      for (const int a : ids) {
        for (const int b : ids) {
          ASSERT_TRUE(a == b ||
                      partition.may_merge(a, b) == partition.may_merge(b, a));
          if (a < b && partition.may_merge(a, b)) allowed.emplace_back(a, b);
        }
      }
      ASSERT_FALSE(allowed.empty()) << "seed " << seed;
      const auto [a, b] = allowed[static_cast<std::size_t>(
          draw(static_cast<int>(allowed.size())))];
      partition.merge(a, b);
    }
    const auto labels = partition.labels();
    for (int i = 0; i < rows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      const int group = constraints.group_of(row);
      if (group >= 0) {
        EXPECT_EQ(labels[row], group);
      }
    }
    for (const auto& [row, group] : constraints.forbidden) {
      EXPECT_NE(labels[static_cast<std::size_t>(row)], group);
    }
  }
}

}  // namespace
}  // namespace shoal
