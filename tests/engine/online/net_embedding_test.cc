#include "engine/online/net_embedding.h"

#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "common/bytes.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::normal_matrix;

const std::vector<EmbeddingInput> kInputs = {{"a@1@2@6", 6}, {"b@1@2@4", 4}};

Mlp net(int in, int out, std::uint64_t seed) {
  Mlp made;
  made.layers.push_back({normal_matrix(5, in, seed),
                         normal_matrix(1, 5, seed + 1).row(0).transpose()});
  made.layers.push_back({normal_matrix(out, 5, seed + 2),
                         normal_matrix(1, out, seed + 3).row(0).transpose()});
  return made;
}

MultiViewNet multi_view_net() {
  MultiViewNet made;
  made.branches = {net(6, 3, 1), Mlp{}};  // the second passes its view on
  made.out = net(3 + 4, 2, 9);
  made.out.normalise = true;
  return made;
}

std::unique_ptr<EmbeddingModel> model() {
  return make_net_embedding(kInputs, multi_view_net()).value();
}

std::vector<Matrix> features(int n) {
  return {3.0F * normal_matrix(n, 6, 21), normal_matrix(n, 4, 22)};
}

TEST(NetEmbedding, IsTheNetOnViewsOfLength1) {
  const auto input = features(7);
  std::vector<Matrix> unit = input;
  for (Matrix& view : unit) view.rowwise().normalize();
  const auto embedding = model();
  EXPECT_EQ(embedding->dim(), 2);
  EXPECT_TRUE(
      embedding->embed(input).isApprox(multi_view_net().run(unit), 1e-5F));
  EXPECT_TRUE(embedding->scaled(2.5F)->embed(input).isApprox(
      2.5F * embedding->embed(input), 1e-5F));
}

TEST(NetEmbedding, BytesGiveAnEqualModelAndEqualBytes) {
  const auto embedding = model()->scaled(0.5F);
  const std::string bytes = embedding->serialize();
  const auto loaded = load_embedding_model(bytes).value();
  EXPECT_EQ(loaded->serialize(), bytes);
  EXPECT_EQ(loaded->embed(features(5)), embedding->embed(features(5)));
  EXPECT_EQ(loaded->inputs()[0].view, "a@1@2@6");
}

TEST(NetEmbedding, RefusesEveryTruncationAndLeftOverBytes) {
  const std::string bytes = model()->serialize();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto loaded = load_embedding_model(bytes.substr(0, size));
    ASSERT_FALSE(loaded.has_value()) << size;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorruption) << size;
  }
  EXPECT_EQ(load_embedding_model(bytes + "x").error().code,
            ErrorCode::kCorruption);
}

TEST(NetEmbedding, SurvivesMutatedBytes) {
  const std::string bytes = model()->serialize();
  std::mt19937_64 random(1);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string broken = bytes;
    broken[random() % broken.size()] = static_cast<char>(random() % 256);
    const auto loaded = load_embedding_model(broken);
    if (!loaded) {
      ++refused;
      continue;
    }
    std::vector<Matrix> input;
    for (const EmbeddingInput& view : loaded.value()->inputs()) {
      input.push_back(Matrix::Ones(2, view.dim));
    }
    EXPECT_EQ(loaded.value()->embed(input).cols(), loaded.value()->dim());
  }
  EXPECT_GT(refused, 100);
}

TEST(NetEmbedding, RefusesWhatDoesNotFit) {
  const auto error = [](std::vector<EmbeddingInput> inputs, MultiViewNet net) {
    const auto made = make_net_embedding(std::move(inputs), std::move(net));
    return made ? ErrorCode::kInternal : made.error().code;
  };
  EXPECT_EQ(error({}, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error({kInputs[0]}, multi_view_net()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error({kInputs[1], kInputs[0]}, multi_view_net()),
            ErrorCode::kInvalidArgument);
  MultiViewNet narrow = multi_view_net();
  narrow.out = net(6, 2, 3);
  EXPECT_EQ(error(kInputs, narrow), ErrorCode::kInvalidArgument);
  MultiViewNet broken = multi_view_net();
  broken.out.layers[1].bias[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error(kInputs, broken), ErrorCode::kInvalidArgument);
}

TEST(NetEmbedding, ALayerOfHugeSizeIsRefusedBeforeItIsAllocated) {
  ByteWriter huge;
  huge.string("multi_view_net").number(std::uint32_t{1});
  huge.number(std::uint32_t{1}).string("v").number(std::uint32_t{4});
  huge.number(1.0F).number(std::uint8_t{0}).number(std::uint8_t{0});
  huge.number(std::uint32_t{1});
  huge.number(std::uint32_t{1} << 20).number(std::uint32_t{1} << 20);
  EXPECT_EQ(load_embedding_model(huge.bytes()).error().code,
            ErrorCode::kCorruption);
}

}  // namespace
}  // namespace shoal
