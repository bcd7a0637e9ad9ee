#include "engine/deep/jule.h"

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::normal_matrix;

/// Small enough for many runs in a test.
JuleOptions quick_options(int clusters) {
  JuleOptions options;
  options.clusters = clusters;
  options.hidden = {16, 8};
  options.epochs = 3;
  options.batch = 40;
  return options;
}

ErrorCode error_of(const Matrix& data, const ClusterConstraints& constraints,
                   const JuleOptions& options) {
  const auto result = jule(data, constraints, options);
  return result ? ErrorCode::kInternal : result.error().code;
}

int distinct(const std::vector<int>& labels) {
  return static_cast<int>(std::set<int>(labels.begin(), labels.end()).size());
}

void expect_sound(const JuleResult& result, const Matrix& data, int clusters) {
  EXPECT_EQ(result.labels.size(), static_cast<std::size_t>(data.rows()));
  EXPECT_EQ(distinct(result.labels), clusters);
  EXPECT_EQ(*std::min_element(result.labels.begin(), result.labels.end()), 0);
  EXPECT_EQ(*std::max_element(result.labels.begin(), result.labels.end()),
            clusters - 1);
  EXPECT_TRUE(result.embeddings.allFinite());
  EXPECT_TRUE(result.net.run(data).isApprox(result.embeddings, 1e-4F));
}

TEST(Jule, FindsBlobsAndPullsThemTogether) {
  const auto blobs = make_blobs(500, 20, 8, 1.5F, 1);
  JuleOptions options;
  options.clusters = 8;
  const JuleResult result = jule(blobs.data, {}, options).value();
  expect_sound(result, blobs.data, 8);
  EXPECT_DOUBLE_EQ(nmi(blobs.truth, result.labels).value(), 1.0);
  const double before = silhouette(blobs.data, blobs.truth, 0, 0).value();
  const double after = silhouette(result.embeddings, blobs.truth, 0, 0).value();
  EXPECT_GT(after, before + 0.1);
}

TEST(Jule, EachPeriodMergesItsShareOfTheClusters) {
  const auto blobs = make_blobs(600, 10, 6, 2, 2);
  JuleOptions options = quick_options(6);
  options.unroll = 0.5;
  std::vector<int> counts;
  options.period_done = [&](const Matrix& z, const std::vector<int>& labels) {
    EXPECT_EQ(z.rows(), 600);
    EXPECT_EQ(z.cols(), 8);
    EXPECT_LT((z.rowwise().norm().array() - 1).abs().maxCoeff(), 1e-4);
    counts.push_back(distinct(labels));
  };
  const JuleResult result = jule(blobs.data, {}, options).value();
  ASSERT_EQ(counts.size(), static_cast<std::size_t>(result.periods));
  ASSERT_GT(counts.size(), 3U);
  EXPECT_EQ(counts.back(), 6);
  for (std::size_t i = 1; i < counts.size(); ++i) {
    EXPECT_EQ(counts[i], std::max(6, counts[i - 1] / 2));
  }
}

TEST(Jule, IsDeterministicForASeed) {
  const Matrix data = normal_matrix(300, 12, 4);
  JuleOptions options = quick_options(7);
  options.seed = 3;
  const JuleResult a = jule(data, {}, options).value();
  const JuleResult b = jule(data, {}, options).value();
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.embeddings, b.embeddings);
  options.seed = 4;
  EXPECT_NE(jule(data, {}, options).value().embeddings, a.embeddings);
}

TEST(Jule, OrderAndScaleOfTheRowsDoNotMatterOnClearData) {
  const auto blobs = make_blobs(300, 10, 5, 3, 5);
  Matrix moved = 100.0F * blobs.data.colwise().reverse();
  std::vector<int> truth(blobs.truth.rbegin(), blobs.truth.rend());
  const JuleResult result = jule(moved, {}, quick_options(5)).value();
  EXPECT_DOUBLE_EQ(nmi(truth, result.labels).value(), 1.0);
}

TEST(Jule, RandomConstraintsAreNeverBroken) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937_64 random(seed);
    const auto draw = [&](int count) {
      return static_cast<int>(random() % static_cast<unsigned>(count));
    };
    const int rows = 80;
    ClusterConstraints constraints;
    constraints.groups = 1 + draw(4);
    const int clusters = constraints.groups + draw(3);
    for (int i = 0; i < rows; ++i) {
      const int group = i < constraints.groups ? i : draw(12);
      constraints.must_link.push_back(group < constraints.groups ? group : -1);
    }
    std::vector<int> left(rows, clusters - 1);
    for (int i = 0; i < 60; ++i) {
      const int row = draw(rows);
      if (constraints.group_of(static_cast<std::size_t>(row)) < 0 &&
          left[static_cast<std::size_t>(row)]-- > 0) {
        constraints.forbidden.emplace_back(row, draw(constraints.groups));
      }
    }
    const Matrix data = normal_matrix(rows, 4, seed);
    JuleOptions options = quick_options(clusters);
    options.exact_affinity = seed % 2 == 0;
    options.unroll = 0.6;
    const auto check = [&](const std::vector<int>& labels) {
      for (std::size_t i = 0; i < labels.size(); ++i) {
        const int group = constraints.group_of(i);
        if (group >= 0) {
          EXPECT_EQ(labels[i], group);
        }
      }
      for (const auto& [row, group] : constraints.forbidden) {
        EXPECT_NE(labels[static_cast<std::size_t>(row)], group) << seed;
      }
    };
    options.period_done = [&](const Matrix&, const std::vector<int>& labels) {
      check(labels);
    };
    const auto result = jule(data, constraints, options);
    ASSERT_TRUE(result) << result.error().message;
    expect_sound(result.value(), data, clusters);
    check(result.value().labels);
  }
}

TEST(Jule, DuplicatesShareACluster) {
  const Matrix points = 3.0F * normal_matrix(6, 5, 7);
  Matrix data(600, 5);
  std::vector<int> truth;
  for (int i = 0; i < 600; ++i) {
    data.row(i) = points.row(i % 6);
    truth.push_back(i % 6);
  }
  const JuleResult result = jule(data, {}, quick_options(6)).value();
  expect_sound(result, data, 6);
  EXPECT_DOUBLE_EQ(nmi(truth, result.labels).value(), 1.0);
}

TEST(Jule, ConstantRowsAndRowsOfZerosGiveAsManyClustersAsWanted) {
  for (const float value : {0.0F, 3.0F}) {
    const Matrix data = Matrix::Constant(70, 4, value);
    expect_sound(jule(data, {}, quick_options(3)).value(), data, 3);
  }
}

TEST(Jule, OneClusterOneRowAndAsManyClustersAsRowsWork) {
  const Matrix data = normal_matrix(40, 3, 8);
  expect_sound(jule(data, {}, quick_options(1)).value(), data, 1);
  expect_sound(jule(data, {}, quick_options(40)).value(), data, 40);
  expect_sound(jule(data, {}, quick_options(39)).value(), data, 39);
  const Matrix one = normal_matrix(1, 3, 8);
  expect_sound(jule(one, {}, quick_options(1)).value(), one, 1);
}

TEST(Jule, HugeAndTinyValuesStayFinite) {
  for (const float scale : {1e-20F, 1e18F}) {
    const Matrix data = scale * make_blobs(120, 6, 3, 4, 9).data;
    expect_sound(jule(data, {}, quick_options(3)).value(), data, 3);
  }
}

TEST(Jule, RefusesWhatItCannotDo) {
  const Matrix data = normal_matrix(20, 3, 10);
  EXPECT_EQ(error_of(data, {}, quick_options(21)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(data, {}, quick_options(0)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(Matrix(20, 0), {}, quick_options(2)),
            ErrorCode::kInvalidArgument);
  Matrix broken = data;
  broken(4, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error_of(broken, {}, quick_options(2)),
            ErrorCode::kInvalidArgument);
  JuleOptions options = quick_options(2);
  options.hidden = {};
  EXPECT_EQ(error_of(data, {}, options), ErrorCode::kInvalidArgument);
  options = quick_options(2);
  options.unroll = 0;
  EXPECT_EQ(error_of(data, {}, options), ErrorCode::kInvalidArgument);
  options = quick_options(2);
  options.batch = 1;
  EXPECT_EQ(error_of(data, {}, options), ErrorCode::kInvalidArgument);
  ClusterConstraints all_in_one;
  all_in_one.groups = 1;
  all_in_one.must_link.assign(20, 0);
  EXPECT_EQ(error_of(data, all_in_one, quick_options(2)),
            ErrorCode::kInvalidArgument);
  all_in_one.must_link.pop_back();
  EXPECT_EQ(error_of(data, all_in_one, quick_options(2)),
            ErrorCode::kInvalidArgument);
}

TEST(Jule, SaysWhenTrainingRunsAway) {
  JuleOptions options = quick_options(2);
  options.learning_rate = 1e38;
  const auto result = jule(normal_matrix(60, 3, 11), {}, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(result.error().message.find("learning_rate"), std::string::npos);
}

TEST(Jule, ProgressRisesToTheEndAndCancelStopsIt) {
  const Matrix data = normal_matrix(200, 6, 12);
  JuleOptions options = quick_options(4);
  double last = 0;
  int reports = 0;
  options.progress = [&](std::string_view stage, double fraction) {
    EXPECT_FALSE(stage.empty());
    EXPECT_GE(fraction, last);
    last = fraction;
    ++reports;
  };
  ASSERT_TRUE(jule(data, {}, options));
  EXPECT_DOUBLE_EQ(last, 1.0);
  EXPECT_GT(reports, 4);

  int asked = 0;
  options.progress = nullptr;
  options.cancelled = [&] { return ++asked, false; };
  ASSERT_TRUE(jule(data, {}, options));
  const int in_all = asked;
  for (const int stop : {1, 2, in_all / 2, in_all}) {
    asked = 0;
    options.cancelled = [&] { return ++asked >= stop; };
    EXPECT_EQ(error_of(data, {}, options), ErrorCode::kCancelled) << stop;
  }
}

}  // namespace
}  // namespace shoal
