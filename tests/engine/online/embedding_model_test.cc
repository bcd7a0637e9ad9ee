#include "engine/online/embedding_model.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "common/bytes.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

const std::vector<EmbeddingInput> kInputs = {{"a@1@2@6", 6}, {"b@1@2@4", 4}};

std::vector<Matrix> features(int n, std::uint64_t seed) {
  return {normal_matrix(n, 6, seed), 5.0F * normal_matrix(n, 4, seed + 1)};
}

std::unique_ptr<EmbeddingModel> fitted(int max_dim = 5) {
  return fit_whitened_pca(kInputs, features(80, 1), max_dim).value();
}

TEST(EmbeddingModel, KnowsItsInputsAndDimension) {
  const auto model = fitted(5);
  EXPECT_EQ(model->dim(), 5);
  ASSERT_EQ(model->inputs().size(), 2U);
  EXPECT_EQ(model->inputs()[1].view, "b@1@2@4");
  EXPECT_EQ(model->inputs()[1].dim, 4);
  EXPECT_EQ(model->embed(features(7, 5)).rows(), 7);
}

TEST(EmbeddingModel, KeepsNoMoreComponentsThanTheRowsHave) {
  EXPECT_LE(fit_whitened_pca(kInputs, features(4, 1), 64).value()->dim(), 3);
}

TEST(EmbeddingModel, TrainingRowsAreCentredAndWhitenedWithShrinkage) {
  const auto input = features(80, 1);
  const Matrix z = fitted(10)->embed(input);
  EXPECT_LT(z.colwise().mean().cwiseAbs().maxCoeff(), 1e-4F);
  const Matrix covariance = z.transpose() * z / 79.0F;
  const auto first = static_cast<double>(covariance(0, 0));
  // variance / (variance + s * largest variance), so 1 / (1 + s) at most.
  EXPECT_NEAR(first, 1 / (1 + kWhiteningShrinkage), 1e-3);
  for (int c = 1; c < z.cols(); ++c) {
    EXPECT_LE(covariance(c, c), covariance(c - 1, c - 1) + 1e-4F);
    EXPECT_NEAR(covariance(c, c - 1), 0, 1e-4);
  }
}

TEST(EmbeddingModel, TheLengthOfAViewsRowDoesNotMatter) {
  const auto model = fitted();
  auto input = features(6, 7);
  const Matrix z = model->embed(input);
  input[0] *= 1000.0F;
  input[1].row(2) *= 1e-20F;
  input[1].row(3) *= 1e25F;  // Its square is no float any more.
  EXPECT_TRUE(model->embed(input).isApprox(z, 1e-4F));
}

TEST(EmbeddingModel, ARowOfZerosIsEmbedded) {
  auto input = features(3, 8);
  input[0].row(1).setZero();
  input[1].row(1).setZero();
  EXPECT_TRUE(fitted()->embed(input).allFinite());
}

TEST(EmbeddingModel, RowsAreEmbeddedAloneAsTheyAreTogether) {
  const auto model = fitted();
  const auto input = features(33, 9);
  const Matrix together = model->embed(input);
  for (Eigen::Index i = 0; i < 33; ++i) {
    const Matrix alone = model->embed({input[0].row(i), input[1].row(i)});
    EXPECT_TRUE(alone.isApprox(together.row(i), 1e-4F));
  }
}

TEST(EmbeddingModel, ScalingScales) {
  const auto model = fitted();
  const auto input = features(9, 10);
  EXPECT_TRUE(model->scaled(2.5F)->embed(input).isApprox(
      2.5F * model->embed(input), 1e-4F));
}

TEST(EmbeddingModel, BytesGiveAnEqualModelAndEqualBytes) {
  const auto model = fitted();
  const std::string bytes = model->serialize();
  const auto loaded = load_embedding_model(bytes).value();
  EXPECT_EQ(loaded->serialize(), bytes);
  const auto input = features(9, 11);
  EXPECT_EQ(loaded->embed(input), model->embed(input));
  EXPECT_EQ(loaded->inputs()[0].view, model->inputs()[0].view);
}

TEST(EmbeddingModel, RefusesEveryTruncationAndLeftOverBytes) {
  const std::string bytes = fitted()->serialize();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto loaded = load_embedding_model(bytes.substr(0, size));
    ASSERT_FALSE(loaded.has_value()) << size;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorruption) << size;
  }
  EXPECT_EQ(load_embedding_model(bytes + "x").error().code,
            ErrorCode::kCorruption);
}

TEST(EmbeddingModel, SurvivesMutatedBytes) {
  const std::string bytes = fitted()->serialize();
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::size_t> place(0, bytes.size() - 1);
  std::uniform_int_distribution<int> value(0, 255);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string broken = bytes;
    // The first rounds go for the counts and sizes at the front.
    const std::size_t at = round < 2500 ? place(random) % 80 : place(random);
    broken[at] = static_cast<char>(value(random));
    const auto loaded = load_embedding_model(broken);
    if (!loaded) {
      ++refused;
      continue;
    }
    // What is accepted is a model that works.
    std::vector<Matrix> input;
    for (const EmbeddingInput& view : loaded.value()->inputs()) {
      input.push_back(Matrix::Ones(2, view.dim));
    }
    EXPECT_EQ(loaded.value()->embed(input).cols(), loaded.value()->dim());
  }
  EXPECT_GT(refused, 500);
}

TEST(EmbeddingModel, RefusesOtherKindsVersionsAndValues) {
  ByteWriter unknown;
  unknown.string("mvnet");
  EXPECT_EQ(load_embedding_model(unknown.bytes()).error().code,
            ErrorCode::kUnsupported);
  std::string bytes = fitted()->serialize();
  const std::string kind = "normalized_affine";
  bytes[sizeof(std::uint32_t) + kind.size()] = 9;
  EXPECT_EQ(load_embedding_model(bytes).error().code, ErrorCode::kUnsupported);
  bytes = fitted()->serialize();
  const float nan = std::nanf("");
  std::memcpy(&bytes[bytes.size() - sizeof nan], &nan, sizeof nan);
  EXPECT_EQ(load_embedding_model(bytes).error().code, ErrorCode::kCorruption);
  ByteWriter huge;
  huge.string(kind).number(std::uint32_t{1}).number(std::uint32_t{1});
  huge.string("v").number(std::uint32_t{1} << 20);
  huge.number(std::uint32_t{1} << 20);
  EXPECT_EQ(load_embedding_model(huge.bytes()).error().code,
            ErrorCode::kCorruption);
}

TEST(FitWhitenedPca, RefusesWhatCannotBe) {
  const auto error = [](const std::vector<EmbeddingInput>& inputs,
                        const std::vector<Matrix>& rows, int dim) {
    const auto result = fit_whitened_pca(inputs, rows, dim);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  const auto good = features(10, 1);
  EXPECT_EQ(error({}, {}, 4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(kInputs, {good[0]}, 4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(kInputs, {good[1], good[0]}, 4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(kInputs, {good[0], good[1].topRows(5)}, 4),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(kInputs, good, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(kInputs, {good[0].topRows(1), good[1].topRows(1)}, 4),
            ErrorCode::kInvalidArgument);
  auto broken = good;
  broken[1](3, 3) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(error(kInputs, broken, 4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(kInputs, {Matrix::Ones(9, 6), Matrix::Ones(9, 4)}, 4),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
