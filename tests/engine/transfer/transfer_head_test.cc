#include "engine/transfer/transfer_head.h"

#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;

TEST(TransferHead, IsWhatTheHeadLearnerLearns) {
  const auto blobs = make_blobs(200, 12, 4, 1, 3);
  const TransferHead head =
      fit_transfer_head(blobs.data, blobs.truth, 4, {}).value();
  std::vector<std::size_t> rows(200);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  HeadFeatures features;
  features.variants.push_back(blobs.data);
  const auto learner = make_head_learner(std::move(features), {}).value();
  ASSERT_TRUE(learner->fit(rows, blobs.truth, 4));
  const Prediction prediction = learner->predict(rows).value();
  const Matrix evidence = head.evidence(blobs.data);
  for (Eigen::Index i = 0; i < 200; ++i) {
    Eigen::Index best = 0;
    evidence.row(i).maxCoeff(&best);
    EXPECT_EQ(best, prediction.labels[static_cast<std::size_t>(i)]);
    EXPECT_NEAR(evidence.row(i).sum(), 0, 1e-4);
    const Vector shares = evidence.row(i).array().exp().transpose();
    EXPECT_TRUE(
        (shares / shares.sum())
            .isApprox(prediction.probabilities.row(i).transpose(), 1e-4F));
  }
}

TEST(TransferHead, ARowOfZerosIsAsTheBiasSays) {
  const auto blobs = make_blobs(60, 5, 3, 2, 4);
  const TransferHead head =
      fit_transfer_head(blobs.data, blobs.truth, 3, {}).value();
  const Matrix evidence = head.evidence(Matrix::Zero(1, 5));
  EXPECT_TRUE(evidence.allFinite());
  EXPECT_NEAR(evidence(0, 0) - evidence(0, 1), head.bias[0] - head.bias[1],
              1e-5);
}

TEST(TransferHead, RefusesWhatCannotBeLearned) {
  const auto blobs = make_blobs(60, 5, 3, 2, 4);
  const auto code = [](const Matrix& rows, const std::vector<int>& labels,
                       int classes) {
    const auto made = fit_transfer_head(rows, labels, classes, {});
    return made ? ErrorCode::kInternal : made.error().code;
  };
  EXPECT_EQ(code(blobs.data, blobs.truth, 4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(blobs.data, blobs.truth, 2), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(blobs.data, {0, 1, 2}, 3), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(Matrix(0, 5), {}, 0), ErrorCode::kInvalidArgument);
  Matrix broken = blobs.data;
  broken(7, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(broken, blobs.truth, 3), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
