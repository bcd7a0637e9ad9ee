// One step of each method and the distributions against PyTorch; the whole is
// tested in embedded_clustering_test.cc.

#include "engine/deep/internal/embedded_step.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"
#include "tests/golden/embedded_golden.h"

namespace shoal::internal {
namespace {

namespace golden = golden::embedded;
using test::golden_matrix;
using test::normal_matrix;

constexpr double kTolerance = 1e-5;

/// Two layers in-hidden-out from PyTorch's order: weight, bias, weight, bias.
DenseNet golden_net(const double* values, int in, int hidden, int out) {
  DenseNet net;
  const auto add = [&](int from, int to, bool relu) {
    Mlp::Layer layer;
    layer.weight = golden_matrix(values, to, from);
    values += to * from;
    layer.bias = golden_matrix(values, to, 1);
    values += to;
    net.layers.emplace_back(std::move(layer), relu);
  };
  add(in, hidden, true);
  add(hidden, out, false);
  return net;
}

Matrix golden_data() {
  return golden_matrix(golden::kData, golden::kRows, golden::kIn);
}
Matrix golden_centroids() {
  return golden_matrix(golden::kCentroids, golden::kClusters, golden::kCode);
}
Matrix golden_target() {
  return golden_matrix(golden::kP, golden::kRows, golden::kClusters);
}

EmbeddedState golden_state() {
  return {Autoencoder(golden_net(golden::kEncoder, golden::kIn, golden::kHidden,
                                 golden::kCode),
                      golden_net(golden::kDecoder, golden::kCode,
                                 golden::kHidden, golden::kIn)),
          golden_centroids(),
          {std::begin(golden::kCounts), std::end(golden::kCounts)}};
}

AdamStep golden_step() {
  AdamStep step;
  step.learning_rate = golden::kRate;
  return step;
}

void expect_near(const Matrix& found, const Matrix& expected) {
  ASSERT_EQ(found.rows(), expected.rows());
  ASSERT_EQ(found.cols(), expected.cols());
  EXPECT_LT((found - expected).cwiseAbs().maxCoeff(), kTolerance)
      << found << "\nexpected\n"
      << expected;
}

void expect_net(const DenseNet& net, const double* values, int in, int hidden,
                int out) {
  const Mlp expected = golden_net(values, in, hidden, out).mlp();
  const Mlp found = net.mlp();
  for (std::size_t i = 0; i < expected.layers.size(); ++i) {
    expect_near(found.layers[i].weight, expected.layers[i].weight);
    expect_near(found.layers[i].bias, expected.layers[i].bias);
  }
}

void expect_state(EmbeddedState& state, const double* encoder,
                  const double* decoder, const double* centroids) {
  expect_net(state.net().encoder(), encoder, golden::kIn, golden::kHidden,
             golden::kCode);
  expect_net(state.net().decoder(), decoder, golden::kCode, golden::kHidden,
             golden::kIn);
  expect_near(state.centroids(),
              golden_matrix(centroids, golden::kClusters, golden::kCode));
}

void expect_loss(const EmbeddedLoss& loss, const double* expected) {
  EXPECT_NEAR(loss.reconstruction, expected[0], kTolerance);
  EXPECT_NEAR(loss.clustering, expected[1], kTolerance);
}

TEST(EmbeddedStep, DistributionsAreThoseOfPyTorch) {
  EmbeddedState state = golden_state();
  const Matrix codes = state.net().begin(golden_data());
  expect_near(codes,
              golden_matrix(golden::kCodes, golden::kRows, golden::kCode));
  const Matrix q = soft_assignment(codes, golden_centroids());
  expect_near(q, golden_matrix(golden::kQ, golden::kRows, golden::kClusters));
  expect_near(target_distribution(q, AllowedClusters({})), golden_target());
}

TEST(EmbeddedStep, DecMovesAsInPyTorch) {
  EmbeddedState state = golden_state();
  for (int i = 0; i < golden::kSteps; ++i) {
    expect_loss(state.step_dec(golden_data(), golden_target(), golden_step()),
                golden::kDecLosses + 2 * i);
  }
  expect_state(state, golden::kDecEncoder, golden::kDecDecoder,
               golden::kDecCentroids);
}

TEST(EmbeddedStep, IdecMovesAsInPyTorch) {
  EmbeddedState state = golden_state();
  for (int i = 0; i < golden::kSteps; ++i) {
    expect_loss(state.step_idec(golden_data(), golden_target(), golden::kWeight,
                                golden_step()),
                golden::kIdecLosses + 2 * i);
  }
  expect_state(state, golden::kIdecEncoder, golden::kIdecDecoder,
               golden::kIdecCentroids);
}

TEST(EmbeddedStep, DcnMovesAsInPyTorch) {
  EmbeddedState state = golden_state();
  std::vector<int> labels(std::begin(golden::kLabels),
                          std::end(golden::kLabels));
  std::vector<int> rows(golden::kRows);
  std::iota(rows.begin(), rows.end(), 0);
  for (int i = 0; i < golden::kSteps; ++i) {
    expect_loss(state.step_dcn(golden_data(), rows, AllowedClusters({}), labels,
                               golden::kWeight, golden_step()),
                golden::kDcnLosses + 2 * i);
  }
  expect_state(state, golden::kDcnEncoder, golden::kDcnDecoder,
               golden::kDcnCentroids);
  EXPECT_EQ(labels, std::vector<int>(std::begin(golden::kDcnLabels),
                                     std::end(golden::kDcnLabels)));
}

TEST(EmbeddedStep, TheDivergenceFallsOnAFixedTarget) {
  const Matrix data = normal_matrix(200, 8, 1);
  std::mt19937_64 random(2);
  Autoencoder net({8, 16, 3}, random);
  const Matrix codes = net.begin(data);
  const Matrix centroids = codes.topRows(5);
  EmbeddedState state(std::move(net), centroids, {});
  const Matrix target = target_distribution(soft_assignment(codes, centroids),
                                            AllowedClusters({}));
  AdamStep step;
  step.learning_rate = 1e-4;
  double before = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 50; ++i) {
    const double loss = state.step_dec(data, target, step).clustering;
    EXPECT_LT(loss, before) << i;
    before = loss;
  }
}

TEST(EmbeddedStep, TheTargetHonoursConstraints) {
  ClusterConstraints constraints;
  constraints.must_link = {-1, 1, -1, 0};
  constraints.groups = 2;
  constraints.forbidden = {{2, 1}, {0, 0}, {2, 0}};
  Matrix q(4, 3);
  q << 0.8F, 0.1F, 0.1F, 0.9F, 0.05F, 0.05F, 0.5F, 0.5F, 1e-30F, 0.2F, 0.3F,
      0.5F;
  const AllowedClusters allowed(constraints);
  const Matrix p = target_distribution(q, allowed);
  EXPECT_EQ(p(0, 0), 0);
  EXPECT_EQ(p.row(1), Eigen::RowVector3f(0, 1, 0));
  EXPECT_EQ(p.row(2), Eigen::RowVector3f(0, 0, 1));
  EXPECT_EQ(p.row(3), Eigen::RowVector3f(1, 0, 0));
  EXPECT_TRUE(p.rowwise().sum().isApproxToConstant(1));
  EXPECT_EQ(allowed.labels(q), (std::vector<int>{1, 1, 2, 0}));
}

TEST(EmbeddedStep, FarCodesAndCentroidsStayFinite) {
  Matrix codes = normal_matrix(20, 3, 4) * 1e6F;
  Matrix centroids = normal_matrix(4, 3, 5);
  centroids.row(3).setConstant(1e18F);
  const Matrix q = soft_assignment(codes, centroids);
  const Matrix p = target_distribution(q, AllowedClusters({}));
  EXPECT_TRUE(p.allFinite());
  EXPECT_TRUE(p.rowwise().sum().isApproxToConstant(1));
  const Divergence kl = divergence(codes, centroids, p);
  EXPECT_TRUE(std::isfinite(kl.loss));
  EXPECT_TRUE(kl.codes.allFinite() && kl.centroids.allFinite());
}

}  // namespace
}  // namespace shoal::internal
