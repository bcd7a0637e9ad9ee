#include "engine/transfer/head_learner.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "engine/transfer/internal/lbfgs.h"
#include "engine/transfer/internal/softmax_head.h"
#include "engine/transfer/internal/split.h"
#include "tests/engine/random_data.h"
#include "tests/golden/softmax_golden.h"

namespace shoal {
namespace {

using internal::LabelledRows;
using internal::SoftmaxLoss;
using test::golden_matrix;
using test::make_blobs;
using test::normal_matrix;

std::vector<std::size_t> first_rows(std::size_t count) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

TEST(Lbfgs, FindsTheMinimumOfAnIllConditionedBowl) {
  const Eigen::Index d = 20;
  Eigen::VectorXd scale(d);
  for (Eigen::Index i = 0; i < d; ++i) {
    scale[i] = std::pow(10.0, 4.0 * static_cast<double>(i) / (d - 1));
  }
  double before = std::numeric_limits<double>::infinity();
  internal::LbfgsOptions options;
  options.tolerance = 1e-10;
  options.max_iterations = 1000;
  const Eigen::VectorXd x = internal::minimize_lbfgs(
      Eigen::VectorXd::Zero(d),
      [&](const Eigen::VectorXd& at, Eigen::VectorXd& gradient) {
        const Eigen::VectorXd away = at.array() - 1;
        gradient = scale.cwiseProduct(away);
        return 0.5 * away.dot(gradient);
      },
      [&](const Eigen::VectorXd&, double value) {
        EXPECT_LT(value, before);
        before = value;
        return true;
      },
      options);
  EXPECT_LT((x.array() - 1).abs().maxCoeff(), 1e-6);
}

TEST(SoftmaxLoss, ItsGradientIsThatOfItsValue) {
  const Matrix data = normal_matrix(30, 5, 1);
  const Matrix other = normal_matrix(30, 5, 2);
  const std::vector<MatrixView> variants = {data, other};
  LabelledRows examples;
  for (std::size_t row = 0; row < 30; row += 2) {
    examples.rows.push_back(row);
    examples.labels.push_back(static_cast<int>(row / 2 % 3));
  }
  examples.weights = internal::balanced_weights(examples.labels, 3);
  const SoftmaxLoss loss(variants, examples, 3, 0.1);
  Eigen::VectorXd x = normal_matrix(1, static_cast<int>(loss.parameters()), 3)
                          .row(0)
                          .transpose()
                          .cast<double>();
  Eigen::VectorXd gradient(x.size());
  Eigen::VectorXd unused(x.size());
  (void)loss(x, gradient);
  constexpr double kStep = 1e-2;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    Eigen::VectorXd high = x;
    Eigen::VectorXd low = x;
    high[i] += kStep;
    low[i] -= kStep;
    const double slope = (loss(high, unused) - loss(low, unused)) / (2 * kStep);
    EXPECT_NEAR(gradient[i], slope, 1e-3 * (1 + std::abs(slope))) << i;
  }
}

TEST(HeadLearner, GivesScikitLearnsRegularisedRegression) {
  namespace golden = golden::softmax;
  const Matrix data = golden_matrix(golden::kData, golden::kRows, golden::kDim);
  std::vector<int> labels(golden::kLabels, golden::kLabels + golden::kRows);
  HeadOptions options;
  options.weight_decay = golden::kWeightDecay;
  options.held_out = 0;
  auto learner = make_head_learner({{data}}, options).value();
  const auto rows = first_rows(golden::kRows);
  ASSERT_TRUE(learner->fit(rows, labels, golden::kClasses));
  const auto prediction = learner->predict(rows).value();
  const Matrix expected =
      golden_matrix(golden::kProbabilities, golden::kRows, golden::kClasses);
  EXPECT_LT((prediction.probabilities - expected).cwiseAbs().maxCoeff(), 2e-3);
}

TEST(HeadLearner, LearnsBlobsFromAFewRowsAndPredictsTheRest) {
  const auto blobs = make_blobs(400, 20, 8, 3, 4);
  auto learner = make_head_learner({{blobs.data}}, {}).value();
  const auto rows = first_rows(80);
  const std::vector<int> labels(blobs.truth.begin(), blobs.truth.begin() + 80);
  const double loss = learner->fit(rows, labels, 8).value();
  EXPECT_LT(loss, std::log(8));
  const auto prediction = learner->predict(first_rows(400)).value();
  EXPECT_GT(accuracy(blobs.truth, prediction.labels).value(), 0.97);
  EXPECT_TRUE(prediction.probabilities.rowwise().sum().isOnes(1e-4F));
  EXPECT_TRUE(prediction.features.rowwise().norm().isOnes(1e-4F));
}

TEST(HeadLearner, NeverPredictsAClassWithoutRows) {
  const auto blobs = make_blobs(60, 6, 2, 3, 5);
  auto learner = make_head_learner({{blobs.data}}, {}).value();
  std::vector<int> labels = blobs.truth;
  for (int& label : labels) label = 2 * label + 1;  // 1 and 3 of 5
  ASSERT_TRUE(learner->fit(first_rows(60), labels, 5));
  const auto prediction = learner->predict(first_rows(60)).value();
  EXPECT_EQ(prediction.probabilities.cols(), 5);
  for (const int absent : {0, 2, 4}) {
    EXPECT_LT(prediction.probabilities.col(absent).maxCoeff(), 1e-30F);
  }
  EXPECT_TRUE(prediction.probabilities.allFinite());
}

TEST(HeadLearner, ARareClassWeighsAsMuchAsAFrequentOne) {
  // Two overlapping clouds, 190 rows against 10: without weights the rare one
  // would hardly ever be predicted.
  const Matrix noise = normal_matrix(400, 2, 6);
  Matrix data = noise;
  std::vector<int> truth(400);
  for (Eigen::Index row = 0; row < 400; ++row) {
    const bool rare = row % 20 == 0;
    truth[static_cast<std::size_t>(row)] = rare ? 1 : 0;
    data.row(row).array() += rare ? 1.5F : -0.5F;
  }
  auto learner = make_head_learner({{data}}, {}).value();
  ASSERT_TRUE(learner->fit(first_rows(400), truth, 2));
  const auto labels = learner->predict(first_rows(400)).value().labels;
  int found = 0;
  for (std::size_t row = 0; row < 400; row += 20) found += labels[row];
  EXPECT_GT(found, 14);
}

TEST(HeadLearner, LearnsFromChangedImagesAsWell) {
  // The variant shows blob 1 where the plain features show none of it.
  const auto blobs = make_blobs(100, 6, 2, 4, 7);
  Matrix plain = blobs.data;
  auto with = make_head_learner({{plain, -plain}}, {}).value();
  auto without = make_head_learner({{plain}}, {}).value();
  ASSERT_TRUE(with->fit(first_rows(100), blobs.truth, 2));
  ASSERT_TRUE(without->fit(first_rows(100), blobs.truth, 2));
  // Mirrored features of both classes cancel what tells them apart.
  const auto spread = [&](TransferLearner& learner) {
    const Matrix p = learner.predict(first_rows(100)).value().probabilities;
    return (p.col(0).array() - 0.5F).abs().mean();
  };
  EXPECT_LT(spread(*with), 0.5F * spread(*without));
}

TEST(HeadLearner, IsDeterministicForASeed) {
  const auto blobs = make_blobs(200, 16, 5, 1, 8);
  HeadOptions options;
  options.seed = 3;
  const auto run = [&] {
    auto learner = make_head_learner({{blobs.data}}, options).value();
    (void)learner
        ->fit(first_rows(150), {blobs.truth.begin(), blobs.truth.begin() + 150},
              5)
        .value();
    return learner->predict(first_rows(200)).value().probabilities;
  };
  EXPECT_EQ(run(), run());
}

TEST(HeadLearner, RefusesWhatItCannotUse) {
  const Matrix data = normal_matrix(10, 3, 9);
  const auto code = [](HeadFeatures features, HeadOptions options) {
    const auto made = make_head_learner(std::move(features), options);
    return made ? ErrorCode::kInternal : made.error().code;
  };
  EXPECT_EQ(code({}, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{data, normal_matrix(9, 3, 1)}}, {}),
            ErrorCode::kInvalidArgument);
  Matrix broken = data;
  broken(2, 2) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(code({{broken}}, {}), ErrorCode::kInvalidArgument);
  HeadOptions options;
  options.weight_decay = 0;
  EXPECT_EQ(code({{data}}, options), ErrorCode::kInvalidArgument);

  auto learner = make_head_learner({{data}}, {}).value();
  EXPECT_EQ(learner->predict({0}).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(learner->fit({}, {}, 2).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(learner->fit({10}, {0}, 2).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(learner->fit({1}, {2}, 2).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(HoldOut, TakesATenthOfEachClassAndKeepsTheRest) {
  std::vector<std::size_t> rows = first_rows(135);
  std::vector<int> labels;
  for (int i = 0; i < 135; ++i) labels.push_back(i < 100 ? 0 : i < 130 ? 1 : 2);
  const auto split = internal::hold_out(rows, labels, 3, 0.1, 1);
  std::vector<int> held(3, 0);
  for (const int label : split.held_out.labels) {
    ++held[static_cast<std::size_t>(label)];
  }
  EXPECT_EQ(held, (std::vector<int>{10, 3, 0}));
  std::vector<std::size_t> all = split.learned.rows;
  all.insert(all.end(), split.held_out.rows.begin(), split.held_out.rows.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, rows);
  const auto other = internal::hold_out(rows, labels, 3, 0.1, 2);
  EXPECT_NE(other.held_out.rows, split.held_out.rows);
}

}  // namespace
}  // namespace shoal
