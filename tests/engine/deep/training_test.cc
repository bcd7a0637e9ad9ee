#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "engine/deep/internal/mlp_trainer.h"
#include "engine/deep/internal/triplets.h"
#include "tests/engine/random_data.h"
#include "tests/golden/jule_golden.h"

namespace shoal {
namespace {

namespace golden = golden::jule;
using test::golden_matrix;
using test::normal_matrix;

std::vector<Triplet> golden_triplets() {
  std::vector<Triplet> triplets;
  for (int i = 0; i < golden::kTripletCount; ++i) {
    const int* t = golden::kTriplets + 3 * i;
    triplets.push_back({t[0], t[1], t[2]});
  }
  return triplets;
}

Mlp golden_mlp(const double* w0, const double* b0, const double* w1,
               const double* b1) {
  Mlp mlp;
  mlp.normalise = true;
  mlp.layers = {{golden_matrix(w0, 5, 6), golden_matrix(b0, 5, 1).col(0)},
                {golden_matrix(w1, 4, 5), golden_matrix(b1, 4, 1).col(0)}};
  return mlp;
}

TEST(TripletLoss, IsTorchsInValueAndGradient) {
  const TripletLoss loss =
      triplet_loss(golden_matrix(golden::kZ, golden::kRows, 3),
                   golden_triplets(), golden::kGamma, golden::kMargin);
  EXPECT_NEAR(loss.value, golden::kLoss, 1e-5);
  const Matrix expected = golden_matrix(golden::kGradient, golden::kRows, 3);
  EXPECT_LT((loss.gradient - expected).cwiseAbs().maxCoeff(), 1e-5);
}

TEST(TripletLoss, IsZeroWithoutGradientWhenEveryNegativeIsFar) {
  Matrix z(3, 2);
  z << 1, 0, 1, 0, -1, 0;
  const TripletLoss loss = triplet_loss(z, {{0, 1, 2}}, 1, 0.2);
  EXPECT_EQ(loss.value, 0);
  EXPECT_EQ(loss.gradient, Matrix::Zero(3, 2));
}

TEST(MlpTrainer, StepsAsTorchDoes) {
  MlpTrainer trainer(golden_mlp(golden::kStart0, golden::kStart1,
                                golden::kStart2, golden::kStart3),
                     {golden::kMomentum, golden::kDecay, golden::kLimit});
  const Matrix input = golden_matrix(golden::kInput, golden::kRows, 6);
  for (const double expected : golden::kLosses) {
    const TripletLoss loss =
        triplet_loss(trainer.forward(input), golden_triplets(), golden::kGamma,
                     golden::kMargin);
    EXPECT_NEAR(loss.value, expected, 1e-5);
    trainer.step(loss.gradient, golden::kRate);
  }
  const Mlp expected =
      golden_mlp(golden::kEnd0, golden::kEnd1, golden::kEnd2, golden::kEnd3);
  for (std::size_t l = 0; l < 2; ++l) {
    const auto& got = trainer.mlp().layers[l];
    EXPECT_LT((got.weight - expected.layers[l].weight).cwiseAbs().maxCoeff(),
              1e-5);
    EXPECT_LT((got.bias - expected.layers[l].bias).cwiseAbs().maxCoeff(), 1e-5);
  }
}

TEST(MlpTrainer, ForwardIsTheNetsRun) {
  Mlp mlp = golden_mlp(golden::kStart0, golden::kStart1, golden::kStart2,
                       golden::kStart3);
  MlpTrainer trainer(mlp, {});
  Matrix input = normal_matrix(20, 6, 2);
  input.row(3).setZero();
  EXPECT_LT((trainer.forward(input) - mlp.run(input)).cwiseAbs().maxCoeff(),
            1e-6);
}

TEST(TripletSampler, EveryRowThatIsNotAloneIsAnAnchorOnceAnEpoch) {
  // Clusters of 1, 2, 3 ... 9 rows, mixed.
  std::vector<int> labels;
  for (int label = 0; label < 9; ++label) {
    labels.insert(labels.end(), static_cast<std::size_t>(label + 1), label);
  }
  std::mt19937_64 random(3);
  std::shuffle(labels.begin(), labels.end(), random);
  TripletSampler sampler(labels, 10);
  for (int epoch = 0; epoch < 5; ++epoch) {
    sampler.shuffle(random);
    ASSERT_EQ(sampler.batches(), 9);  // 44 anchors, 5 a batch
    std::vector<int> seen(labels.size(), 0);
    for (int number = 0; number < sampler.batches(); ++number) {
      const auto rows = sampler.batch(number, random);
      EXPECT_LE(rows.size(), 10U);
      for (const int row : rows) ++seen[static_cast<std::size_t>(row)];
      const auto triplets = sampler.triplets(rows, 3, random);
      std::set<std::pair<int, int>> pairs;
      for (const auto& [anchor, positive, negative] : triplets) {
        const auto label = [&](int place) {
          return labels[static_cast<std::size_t>(
              rows[static_cast<std::size_t>(place)])];
        };
        EXPECT_LT(anchor, positive);
        EXPECT_EQ(label(anchor), label(positive));
        EXPECT_NE(label(anchor), label(negative));
        pairs.emplace(anchor, positive);
      }
      EXPECT_EQ(triplets.size(), 3 * pairs.size());
      EXPECT_GE(2 * pairs.size(), rows.size());
    }
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == 0) {
        EXPECT_EQ(seen[i], 0) << "alone in its cluster";
      } else {
        EXPECT_GE(seen[i], 1);
      }
    }
  }
}

TEST(TripletSampler, OneClusterGivesNoTriplets) {
  const std::vector<int> labels(20, 0);
  TripletSampler sampler(labels, 8);
  std::mt19937_64 random(1);
  EXPECT_TRUE(sampler.triplets(sampler.batch(0, random), 5, random).empty());
}

}  // namespace
}  // namespace shoal
