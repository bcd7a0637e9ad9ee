#include "engine/score/scores.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"
#include "tests/golden/scores_golden.h"

namespace shoal {
namespace {

namespace g = golden::scores;

constexpr double kTolerance = 1e-8;

template <std::size_t N>
std::vector<int> vector_of(const int (&values)[N]) {
  return {std::begin(values), std::end(values)};
}

struct Golden {
  const char* name;
  std::vector<int> labels;
  double geometric;
  double arithmetic;
  double ari;
  double accuracy;
  double jaccard;
  double fowlkes_mallows;
};

std::vector<Golden> golden_cases() {
  return {
      {"noisy", vector_of(g::kNoisy), g::kNoisyNmiGeometric,
       g::kNoisyNmiArithmetic, g::kNoisyAri, g::kNoisyAccuracy,
       g::kNoisyJaccard, g::kNoisyFowlkesMallows},
      {"random", vector_of(g::kRandom), g::kRandomNmiGeometric,
       g::kRandomNmiArithmetic, g::kRandomAri, g::kRandomAccuracy,
       g::kRandomJaccard, g::kRandomFowlkesMallows},
      {"coarse", vector_of(g::kCoarse), g::kCoarseNmiGeometric,
       g::kCoarseNmiArithmetic, g::kCoarseAri, g::kCoarseAccuracy,
       g::kCoarseJaccard, g::kCoarseFowlkesMallows},
      {"fine", vector_of(g::kFine), g::kFineNmiGeometric, g::kFineNmiArithmetic,
       g::kFineAri, g::kFineAccuracy, g::kFineJaccard, g::kFineFowlkesMallows},
      {"one", vector_of(g::kOne), g::kOneNmiGeometric, g::kOneNmiArithmetic,
       g::kOneAri, g::kOneAccuracy, g::kOneJaccard, g::kOneFowlkesMallows},
  };
}

TEST(Scores, AgreeWithScikitLearn) {
  const std::vector<int> truth = vector_of(g::kTruth);
  for (const Golden& golden : golden_cases()) {
    SCOPED_TRACE(golden.name);
    EXPECT_NEAR(nmi(truth, golden.labels).value(), golden.geometric,
                kTolerance);
    EXPECT_NEAR(nmi(truth, golden.labels, Mean::kArithmetic).value(),
                golden.arithmetic, kTolerance);
    EXPECT_NEAR(adjusted_rand(truth, golden.labels).value(), golden.ari,
                kTolerance);
    EXPECT_NEAR(accuracy(truth, golden.labels).value(), golden.accuracy,
                kTolerance);
    EXPECT_NEAR(jaccard(truth, golden.labels).value(), golden.jaccard,
                kTolerance);
    EXPECT_NEAR(fowlkes_mallows(truth, golden.labels).value(),
                golden.fowlkes_mallows, kTolerance);
  }
}

TEST(Scores, DaviesBouldinAgreesWithScikitLearn) {
  const Matrix data = test::golden_matrix(
      g::kData, static_cast<int>(std::size(g::kTruth)), g::kColumns);
  const auto check = [&](const std::vector<int>& labels, double expected) {
    EXPECT_NEAR(davies_bouldin(data, labels).value(), expected,
                1e-6 * expected);
  };
  check(vector_of(g::kNoisy), g::kNoisyDaviesBouldin);
  check(vector_of(g::kRandom), g::kRandomDaviesBouldin);
  check(vector_of(g::kCoarse), g::kCoarseDaviesBouldin);
  check(vector_of(g::kFine), g::kFineDaviesBouldin);
}

TEST(Scores, SilhouetteAgreesWithScikitLearn) {
  const Matrix data = test::golden_matrix(
      g::kData, static_cast<int>(std::size(g::kTruth)), g::kColumns);
  const auto check = [&](const std::vector<int>& labels, double expected) {
    EXPECT_NEAR(silhouette(data, labels, 0, 0).value(), expected, 1e-4);
  };
  check(vector_of(g::kNoisy), g::kNoisySilhouette);
  check(vector_of(g::kRandom), g::kRandomSilhouette);
  check(vector_of(g::kCoarse), g::kCoarseSilhouette);
  check(vector_of(g::kFine), g::kFineSilhouette);
}

TEST(Scores, RelabellingAndOrderDoNotMatter) {
  std::mt19937_64 random(1);
  const std::vector<int> truth = vector_of(g::kTruth);
  const std::vector<int> labels = vector_of(g::kNoisy);
  std::vector<std::size_t> order(truth.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  std::vector<int> moved_truth;
  std::vector<int> moved_labels;
  for (const std::size_t i : order) {
    moved_truth.push_back(truth[i]);
    moved_labels.push_back(1000 - 17 * labels[i]);
  }
  EXPECT_NEAR(nmi(moved_truth, moved_labels).value(),
              nmi(truth, labels).value(), 1e-12);
  EXPECT_NEAR(adjusted_rand(moved_truth, moved_labels).value(),
              adjusted_rand(truth, labels).value(), 1e-12);
  EXPECT_NEAR(accuracy(moved_truth, moved_labels).value(),
              accuracy(truth, labels).value(), 1e-12);
}

TEST(Scores, EqualPartitionsScoreOne) {
  const std::vector<int> truth = vector_of(g::kTruth);
  std::vector<int> renamed;
  for (const int label : truth) renamed.push_back(50 - label);
  EXPECT_NEAR(nmi(truth, renamed).value(), 1, 1e-12);
  EXPECT_NEAR(adjusted_rand(truth, renamed).value(), 1, 1e-12);
  EXPECT_NEAR(accuracy(truth, renamed).value(), 1, 1e-12);
  EXPECT_EQ(nmi({4, 4}, {7, 7}).value(), 1);
  EXPECT_EQ(adjusted_rand({4}, {7}).value(), 1);
  EXPECT_EQ(adjusted_rand({1, 2, 3}, {4, 5, 6}).value(), 1);
}

TEST(Scores, CountsOfAMillionItemsDoNotOverflow) {
  constexpr int kItems = 1000000;
  std::vector<int> truth(kItems);
  std::vector<int> labels(kItems);
  for (int i = 0; i < kItems; ++i) {
    truth[static_cast<std::size_t>(i)] = i % 2;
    labels[static_cast<std::size_t>(i)] = i % 2 == 0 && i % 10 != 0 ? 0 : 1;
  }
  // 400,000 of class 0 alone, 100,000 of it with class 1's 500,000: the pair
  // counts by hand.
  const auto pairs = [](double x) { return x * (x - 1) / 2; };
  const double together = pairs(4e5) + pairs(1e5) + pairs(5e5);
  const double rows = 2 * pairs(5e5);
  const double columns = pairs(4e5) + pairs(6e5);
  const double expected = rows * columns / pairs(1e6);
  EXPECT_NEAR(adjusted_rand(truth, labels).value(),
              (together - expected) / ((rows + columns) / 2 - expected), 1e-9);
  EXPECT_NEAR(accuracy(truth, labels).value(), 0.9, 1e-12);

  const PairCounts counts = pair_counts(truth, labels).value();
  EXPECT_EQ(counts.a, 79999800000 + 4999950000 + 124999750000);
  EXPECT_EQ(counts.b, 400000LL * 100000);
  EXPECT_EQ(counts.c, 100000LL * 500000);
  EXPECT_EQ(counts.a + counts.b + counts.c + counts.d, 499999500000);
  EXPECT_NEAR(jaccard(truth, labels).value(), 209999500000 / 299999500000.0,
              1e-12);
  EXPECT_NEAR(fowlkes_mallows(truth, labels).value(),
              together / std::sqrt(rows) / std::sqrt(columns), 1e-12);
  // One cluster against one cluster: the products exceed 64 bits by far.
  const std::vector<int> one(kItems, 0);
  EXPECT_EQ(jaccard(one, one).value(), 1);
  EXPECT_EQ(fowlkes_mallows(one, one).value(), 1);
}

TEST(Scores, PairCountsAreThoseOfAllPairs) {
  const std::vector<int> truth = vector_of(g::kTruth);
  const std::vector<int> labels = vector_of(g::kNoisy);
  PairCounts direct;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const bool in_truth = truth[i] == truth[j];
      const bool in_labels = labels[i] == labels[j];
      ++(in_truth ? (in_labels ? direct.a : direct.b)
                  : (in_labels ? direct.c : direct.d));
    }
  }
  const PairCounts counts = pair_counts(truth, labels).value();
  EXPECT_EQ(counts.a, direct.a);
  EXPECT_EQ(counts.b, direct.b);
  EXPECT_EQ(counts.c, direct.c);
  EXPECT_EQ(counts.d, direct.d);
}

TEST(Scores, PairScoresAreZeroWhenNoPairIsTogetherInBoth) {
  EXPECT_EQ(jaccard({1, 2, 3}, {1, 2, 3}).value(), 0);
  EXPECT_EQ(fowlkes_mallows({1, 2, 3}, {1, 2, 3}).value(), 0);
  EXPECT_EQ(jaccard({1}, {1}).value(), 0);
  EXPECT_EQ(fowlkes_mallows({1, 1, 2}, {1, 2, 2}).value(), 0);
}

TEST(DaviesBouldin, IsZeroForPointsAndRefusesOneCluster) {
  Matrix data(4, 2);
  data << 1, 1, 1, 1, 5, 5, 5, 5;
  EXPECT_EQ(davies_bouldin(data, {7, 7, -1, -1}).value(), 0);
  // All centroids at one place.
  EXPECT_EQ(davies_bouldin(data, {0, 1, 0, 1}).value(), 0);
  EXPECT_EQ(davies_bouldin(data, {3, 3, 3, 3}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(davies_bouldin(data, {3, 3}).error().code,
            ErrorCode::kInvalidArgument);
  data(2, 1) = std::nanf("");
  EXPECT_EQ(davies_bouldin(data, {0, 0, 1, 1}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(DaviesBouldin, DoesNotChangeWithTheOrderOfRowsOrNames) {
  const auto blobs = test::make_blobs(200, 5, 4, 3, 8);
  std::vector<int> names(blobs.truth.rbegin(), blobs.truth.rend());
  for (int& name : names) name = 40 - 9 * name;
  const Matrix reversed = blobs.data.colwise().reverse();
  EXPECT_NEAR(davies_bouldin(reversed, names).value(),
              davies_bouldin(blobs.data, blobs.truth).value(), 1e-9);
}

TEST(Eta, GivesTheRatesOfTheTransferLearningPaper) {
  // Table 4's JC and FMI of features #2 to #4, and Table 5's rates of them.
  EXPECT_NEAR(eta({0.09, 0.17, 0.10}).value(), 0.36, 0.005);
  EXPECT_NEAR(eta({0.17, 0.30, 0.18}).value(), 0.33, 0.005);
  EXPECT_NEAR(eta({1, 2, 3, 4}).value(), std::sqrt(5.0 / 3) / 2.5, 1e-12);
}

TEST(Eta, IsZeroForEqualValuesAndRefusesWhatHasNoDeviation) {
  EXPECT_EQ(eta({0.3, 0.3, 0.3}).value(), 0);
  EXPECT_EQ(eta({0, 0}).value(), 0);
  EXPECT_EQ(eta({0.3}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(eta({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(eta({-1, 1}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(eta({1, std::nan("")}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Scores, RefuseUnequalAndEmptyLabelings) {
  EXPECT_EQ(nmi({1, 2}, {1}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(nmi({}, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(adjusted_rand({}, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(accuracy({1}, {1, 2}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(silhouette(Matrix(2, 2), {1}, 0, 0).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(Silhouette, BlocksAndSamplesTellTheSame) {
  // More rows than a block holds, so that several are needed.
  const auto blobs = test::make_blobs(1500, 8, 5, 3, 2);
  const double all = silhouette(blobs.data, blobs.truth, 0, 0).value();
  EXPECT_GT(all, 0.4);
  const double sampled = silhouette(blobs.data, blobs.truth, 400, 3).value();
  EXPECT_NEAR(sampled, all, 0.05);
  EXPECT_EQ(sampled, silhouette(blobs.data, blobs.truth, 400, 3).value());
  EXPECT_EQ(all, silhouette(blobs.data, blobs.truth, 5000, 4).value());
}

TEST(Silhouette, IsZeroForOneClusterAndForLoneItems) {
  const Matrix data = test::normal_matrix(6, 2, 3);
  EXPECT_EQ(silhouette(data, {1, 1, 1, 1, 1, 1}, 0, 0).value(), 0);
  EXPECT_EQ(silhouette(data, {1, 2, 3, 4, 5, 6}, 0, 0).value(), 0);
  EXPECT_EQ(
      silhouette(Matrix::Constant(4, 2, 1.0F), {0, 0, 1, 1}, 0, 0).value(), 0);
}

TEST(Matching, AgreesWithScipy) {
  std::vector<std::vector<double>> weight(g::kWeightRows);
  for (int row = 0; row < g::kWeightRows; ++row) {
    for (int column = 0; column < g::kWeightColumns; ++column) {
      weight[static_cast<std::size_t>(row)].push_back(
          g::kWeight[row * g::kWeightColumns + column]);
    }
  }
  const auto match = match_rows_to_columns(weight);
  double sum = 0;
  for (std::size_t row = 0; row < match.size(); ++row) {
    sum += weight[row][static_cast<std::size_t>(match[row])];
  }
  EXPECT_EQ(sum, g::kBestWeight);
}

TEST(Matching, IsTheBestOfAllForSmallTables) {
  std::mt19937_64 random(5);
  std::uniform_int_distribution<int> any(-5, 20);
  for (int round = 0; round < 200; ++round) {
    const std::size_t rows = 1 + static_cast<std::size_t>(round) % 5;
    const std::size_t columns = 1 + static_cast<std::size_t>(round / 5) % 5;
    std::vector<std::vector<double>> weight(rows, std::vector<double>(columns));
    for (auto& row : weight) {
      for (double& value : row) value = any(random);
    }
    const auto match = match_rows_to_columns(weight);
    double sum = 0;
    std::set<int> used;
    for (std::size_t row = 0; row < rows; ++row) {
      if (match[row] < 0) continue;
      EXPECT_TRUE(used.insert(match[row]).second);
      sum += weight[row][static_cast<std::size_t>(match[row])];
    }
    ASSERT_EQ(used.size(), std::min(rows, columns));
    // Every way to give the smaller side's members different partners.
    const std::size_t larger = std::max(rows, columns);
    std::vector<std::size_t> partner(larger);
    std::iota(partner.begin(), partner.end(), std::size_t{0});
    double best = -1e9;
    do {
      double total = 0;
      for (std::size_t i = 0; i < std::min(rows, columns); ++i) {
        total +=
            rows <= columns ? weight[i][partner[i]] : weight[partner[i]][i];
      }
      best = std::max(best, total);
    } while (std::next_permutation(partner.begin(), partner.end()));
    EXPECT_EQ(sum, best);
  }
}

TEST(Matching, EmptyTablesMatchNothing) {
  EXPECT_TRUE(match_rows_to_columns({}).empty());
  EXPECT_EQ(match_rows_to_columns({{}, {}}), (std::vector<int>{-1, -1}));
}

}  // namespace
}  // namespace shoal
