#include "engine/online/transfer_embedding.h"

#include <limits>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

/// Three stored views: the first and the last are clustered, the head reads
/// the second.
TransferInputs parts() {
  TransferInputs inputs;
  inputs.stored = {{"a@1@2@6", 6}, {"net@1@2@5", 5}, {"b@1@2@4", 4}};
  inputs.kept = {0, 2};
  inputs.net = 1;
  inputs.head.weight = normal_matrix(3, 5, 1);
  inputs.head.bias = normal_matrix(1, 3, 2).row(0).transpose();
  return inputs;
}

std::vector<Matrix> features(int n) {
  return {normal_matrix(n, 6, 21), 3.0F * normal_matrix(n, 5, 22),
          normal_matrix(n, 4, 23)};
}

std::unique_ptr<EmbeddingModel> inner() {
  const TransferInputs inputs = parts();
  return fit_whitened_pca(inner_inputs(inputs),
                          inner_features(inputs, features(40)), 4)
      .value();
}

std::unique_ptr<EmbeddingModel> model() {
  return make_transfer_embedding(parts(), inner()).value();
}

TEST(TransferEmbedding, IsTheInnerModelOnWhatTheHeadSays) {
  const auto stored = features(7);
  const auto embedding = model();
  EXPECT_EQ(embedding->dim(), 4);
  EXPECT_EQ(embedding->inputs().size(), 3U);
  EXPECT_EQ(embedding->inputs()[1].view, "net@1@2@5");
  Matrix evidence = stored[1];
  evidence.rowwise().normalize();
  const TransferHead head = parts().head;
  evidence = (evidence * head.weight.transpose()).eval();
  evidence.rowwise() += head.bias.transpose();
  evidence.colwise() -= evidence.rowwise().mean().eval();
  EXPECT_TRUE(embedding->embed(stored).isApprox(
      inner()->embed({stored[0], stored[2], evidence}), 1e-5F));
  EXPECT_TRUE(embedding->scaled(0.5F)->embed(stored).isApprox(
      0.5F * embedding->embed(stored), 1e-5F));
}

TEST(TransferEmbedding, BytesGiveAnEqualModelAndEqualBytes) {
  const auto embedding = model();
  const std::string bytes = embedding->serialize();
  const auto loaded = load_embedding_model(bytes).value();
  EXPECT_EQ(loaded->serialize(), bytes);
  EXPECT_EQ(loaded->embed(features(5)), embedding->embed(features(5)));
}

TEST(TransferEmbedding, RefusesEveryTruncationAndLeftOverBytes) {
  const std::string bytes = model()->serialize();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(load_embedding_model(bytes.substr(0, size))) << size;
  }
  EXPECT_EQ(load_embedding_model(bytes + "x").error().code,
            ErrorCode::kCorruption);
}

TEST(TransferEmbedding, SurvivesChangedBytes) {
  const std::string bytes = model()->serialize();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x5a);
    const auto loaded = load_embedding_model(changed);
    // What loads can be used.
    if (loaded && loaded.value()->inputs().size() == 3) {
      EXPECT_EQ(loaded.value()->embed(features(2)).rows(), 2);
    }
  }
}

TEST(TransferEmbedding, HoldsNoOtherTransferEmbedding) {
  // One over {a, transfer}, so that its inputs would fit another's.
  TransferInputs first;
  first.stored = {{"a", 3}, {"transfer", 4}};
  first.kept = {0};
  first.net = 1;
  first.head.weight = normal_matrix(2, 4, 1);
  first.head.bias = Vector::Zero(2);
  const std::vector<Matrix> rows = {normal_matrix(20, 3, 2),
                                    normal_matrix(20, 4, 3)};
  auto plain =
      fit_whitened_pca(inner_inputs(first), inner_features(first, rows), 2)
          .value();
  auto inside = make_transfer_embedding(first, std::move(plain)).value();
  TransferInputs outer = first;
  outer.stored[1] = {"net", 5};
  outer.head.weight = normal_matrix(4, 5, 4);
  outer.head.bias = Vector::Zero(4);
  ASSERT_EQ(inner_inputs(outer)[1].view, inside->inputs()[1].view);
  ASSERT_EQ(inner_inputs(outer)[1].dim, inside->inputs()[1].dim);
  const auto made = make_transfer_embedding(outer, std::move(inside));
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("inside another"), std::string::npos);
}

TEST(TransferEmbedding, RefusesPartsThatDoNotFit) {
  const auto code = [](TransferInputs inputs) {
    const auto made = make_transfer_embedding(std::move(inputs), inner());
    return made ? ErrorCode::kInternal : made.error().code;
  };
  TransferInputs inputs = parts();
  inputs.net = 3;
  EXPECT_EQ(code(inputs), ErrorCode::kInvalidArgument);
  inputs = parts();
  inputs.kept = {0, 9};
  EXPECT_EQ(code(inputs), ErrorCode::kInvalidArgument);
  inputs = parts();
  inputs.kept = {0};
  EXPECT_EQ(code(inputs), ErrorCode::kInvalidArgument);
  inputs = parts();
  inputs.head.bias.conservativeResize(2);
  EXPECT_EQ(code(inputs), ErrorCode::kInvalidArgument);
  inputs = parts();
  inputs.head.weight(1, 1) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(code(inputs), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
