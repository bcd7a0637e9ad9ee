#include "engine/cluster/ensemble.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "engine/cluster/agglomerative.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

/// The truth with a share of the labels drawn anew, and renamed.
std::vector<int> noisy(const std::vector<int>& truth, double share, int k,
                       std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> any(0, k - 1);
  std::bernoulli_distribution flip(share);
  std::vector<int> labels;
  for (const int label : truth) {
    labels.push_back(100 - 3 * (flip(random) ? any(random) : label));
  }
  return labels;
}

std::vector<int> counting(int n, int k) {
  std::vector<int> labels;
  for (int i = 0; i < n; ++i) labels.push_back(i % k);
  return labels;
}

/// Mean over the pairs of the share of partitions that keep them together.
double together(const std::vector<std::vector<int>>& partitions, std::size_t i,
                std::size_t j) {
  double sum = 0;
  for (const auto& partition : partitions) sum += partition[i] == partition[j];
  return sum / static_cast<double>(partitions.size());
}

TEST(ConcatenateViews, NormalisesEachViewAndPutsThemSideBySide) {
  Matrix a = 50.0F * normal_matrix(20, 3, 1);
  const Matrix b = normal_matrix(20, 5, 2);
  a.row(4).setZero();
  const Matrix joined = concatenate_views({a, b}).value();
  ASSERT_EQ(joined.cols(), 8);
  for (Eigen::Index i = 0; i < 20; ++i) {
    EXPECT_TRUE(joined.row(i).tail(5).isApprox(b.row(i).normalized(), 1e-6F));
    if (i == 4) continue;
    EXPECT_TRUE(joined.row(i).head(3).isApprox(a.row(i).normalized(), 1e-6F));
  }
  EXPECT_EQ(joined.row(4).head(3).norm(), 0);
}

TEST(ConcatenateViews, RefusesWhatDoesNotFit) {
  const auto error_of = [](const std::vector<Matrix>& views) {
    const auto joined = concatenate_views(views);
    return joined ? ErrorCode::kInternal : joined.error().code;
  };
  EXPECT_EQ(error_of({}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({Matrix::Ones(3, 2), Matrix::Ones(4, 2)}),
            ErrorCode::kInvalidArgument);
  Matrix broken = Matrix::Ones(3, 2);
  broken(1, 1) = std::nanf("");
  EXPECT_EQ(error_of({broken}), ErrorCode::kInvalidArgument);
}

TEST(Ensemble, MendsTheErrorsOfSinglePartitions) {
  const std::vector<int> truth = counting(600, 6);
  std::vector<std::vector<int>> partitions;
  double best = 0;
  for (std::uint64_t seed = 0; seed < 7; ++seed) {
    partitions.push_back(noisy(truth, 0.3, 6, seed));
    best = std::max(best, adjusted_rand(truth, partitions.back()).value());
  }
  const auto labels = ensemble_clusters(partitions, 6).value();
  EXPECT_GT(adjusted_rand(truth, labels).value(), best + 0.25);
}

TEST(Ensemble, CollapsingEqualRowsIsAverageLinkageOnAllRows) {
  // Shares of 1/11 to 11/11 with few ties above the leaves.
  for (std::uint64_t round = 0; round < 5; ++round) {
    const std::vector<int> truth = counting(150, 5);
    std::vector<std::vector<int>> partitions;
    for (std::uint64_t seed = 0; seed < 11; ++seed) {
      partitions.push_back(noisy(truth, 0.1, 5, 20 * round + seed));
    }
    Matrix distances(150, 150);
    for (std::size_t i = 0; i < 150; ++i) {
      for (std::size_t j = 0; j < 150; ++j) {
        distances(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) =
            static_cast<float>(1 - together(partitions, i, j));
      }
    }
    AgglomerativeOptions options;
    options.clusters = 5;
    options.linkage = Linkage::kAverage;
    EXPECT_EQ(ensemble_clusters(partitions, 5).value(),
              agglomerative_on_distances(distances, options).value().labels);
  }
}

TEST(Ensemble, WeighsRowsAndNotCombinations) {
  // 0 and 1 meet in one partition of three, and so do 1 and 2. The mean of 1
  // and many equal rows near 2 is far from 0 only by the weight of those.
  const std::vector<int> labels =
      ensemble_clusters(
          {{0, 0, 1, 1, 1, 1}, {0, 1, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1}}, 2)
          .value();
  EXPECT_EQ(labels, (std::vector<int>{0, 0, 1, 1, 1, 1}));
}

TEST(Ensemble, OneHundredThousandRowsOfFewCombinationsFit) {
  const std::vector<int> truth = counting(100000, 20);
  std::vector<std::vector<int>> partitions;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    partitions.push_back(noisy(truth, 0.002, 20, seed));
  }
  const auto labels = ensemble_clusters(partitions, 20).value();
  EXPECT_GT(adjusted_rand(truth, labels).value(), 0.999);
}

TEST(Ensemble, PermutedRowsHaveThePermutedPartition) {
  const std::vector<int> truth = counting(300, 4);
  std::vector<std::vector<int>> partitions;
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    partitions.push_back(noisy(truth, 0.2, 4, seed));
  }
  const auto plain = ensemble_clusters(partitions, 4).value();
  for (auto& partition : partitions) {
    std::reverse(partition.begin(), partition.end());
  }
  auto turned = ensemble_clusters(partitions, 4).value();
  std::reverse(turned.begin(), turned.end());
  EXPECT_DOUBLE_EQ(adjusted_rand(plain, turned).value(), 1);
}

TEST(Ensemble, WhatAllPartitionsKeepTogetherStaysTogether) {
  EXPECT_EQ(ensemble_clusters({{3, 3, 3, 3}}, 2).value(),
            (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(ensemble_clusters({{7, 5, 7, 6}}, 4).value(),
            (std::vector<int>{0, 1, 0, 2}));
  EXPECT_EQ(ensemble_clusters({{7, 5, 7, 6}}, 1).value(),
            (std::vector<int>{0, 0, 0, 0}));
}

TEST(Ensemble, RefusesWhatDoesNotFitAndCanBeCancelled) {
  const auto error_of = [](const std::vector<std::vector<int>>& partitions,
                           int clusters) {
    const auto labels = ensemble_clusters(partitions, clusters);
    return labels ? ErrorCode::kInternal : labels.error().code;
  };
  EXPECT_EQ(error_of({}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({{}}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({{1, 2}, {1}}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({{1, 2}}, 3), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of({{1, 2}}, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(ensemble_clusters({{1, 2, 3}}, 2, [] { return true; }).error().code,
            ErrorCode::kCancelled);
}

TEST(Agreement, IsTheMeanCoAssociationWithTheOtherMembers) {
  const std::vector<int> labels = counting(60, 4);
  std::vector<std::vector<int>> partitions;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    partitions.push_back(noisy(labels, 0.3, 4, seed));
  }
  const auto shares = agreement_with_cluster(partitions, labels).value();
  for (std::size_t i = 0; i < 60; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 60; ++j) {
      if (i != j && labels[i] == labels[j]) sum += together(partitions, i, j);
    }
    EXPECT_NEAR(shares[i], sum / 14, 1e-6);
  }
}

TEST(Agreement, IsOneWhereAllAgreeAndZeroForALoneRow) {
  const auto shares =
      agreement_with_cluster({{1, 1, 2, 3}, {5, 5, 6, 6}}, {0, 0, 1, 2})
          .value();
  EXPECT_EQ(shares, (std::vector<float>{1, 1, 0, 0}));
  EXPECT_EQ(agreement_with_cluster({{1, 1}}, {0}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(agreement_with_cluster({}, {0}).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
