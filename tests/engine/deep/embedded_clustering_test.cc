#include "engine/deep/embedded_clustering.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/cluster/kmeans.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::normal_matrix;

constexpr EmbeddedMethod kMethods[] = {
    EmbeddedMethod::kDec, EmbeddedMethod::kIdec, EmbeddedMethod::kDcn};

/// Options for small data: seconds become milliseconds.
EmbeddedOptions small(int clusters, EmbeddedMethod method) {
  EmbeddedOptions options;
  options.method = method;
  options.clusters = clusters;
  options.hidden = {32};
  options.batch = 64;
  options.pretrain_epochs = 20;
  options.target_interval = 10;
  options.max_updates = 60;
  return options;
}

Error error_of(const Matrix& data, const ClusterConstraints& constraints,
               const EmbeddedOptions& options) {
  const auto result = embedded_clustering(data, constraints, options);
  return result ? Error{ErrorCode::kUnsupported, "no error"} : result.error();
}

/// Blobs of values about 1.
test::Blobs unit_blobs(int n, int d, int k, std::uint64_t seed) {
  test::Blobs blobs = make_blobs(n, d, k, 4, seed);
  blobs.data *= 0.25F;
  return blobs;
}

TEST(EmbeddedClustering, EveryMethodFindsSeparatedBlobs) {
  const auto blobs = unit_blobs(600, 20, 5, 1);
  for (const EmbeddedMethod method : kMethods) {
    const auto result =
        embedded_clustering(blobs.data, {}, small(5, method)).value();
    EXPECT_GT(nmi(blobs.truth, result.labels).value(), 0.98)
        << static_cast<int>(method);
  }
}

TEST(EmbeddedClustering, TheResultsPartsBelongTogether) {
  const auto blobs = unit_blobs(500, 12, 4, 2);
  for (const EmbeddedMethod method : kMethods) {
    EmbeddedOptions options = small(4, method);
    options.hidden = {24, 16};
    options.code = 7;
    const auto result = embedded_clustering(blobs.data, {}, options).value();
    ASSERT_EQ(result.embeddings.rows(), 500);
    ASSERT_EQ(result.embeddings.cols(), 7);
    ASSERT_EQ(result.centroids.rows(), 4);
    EXPECT_EQ(result.encoder.layers.size(), 3U);
    EXPECT_TRUE(
        result.encoder.run(blobs.data).isApprox(result.embeddings, 1e-4F));
    EXPECT_EQ(nearest_centroids(result.embeddings, result.centroids).index,
              result.labels);
  }
}

TEST(EmbeddedClustering, TheReconstructionIsBetterThanTheMean) {
  const auto blobs = unit_blobs(500, 12, 4, 3);
  const double variance =
      (blobs.data.rowwise() - blobs.data.colwise().mean()).squaredNorm() /
      static_cast<double>(blobs.data.size());
  for (const auto method : {EmbeddedMethod::kIdec, EmbeddedMethod::kDcn}) {
    const auto result =
        embedded_clustering(blobs.data, {}, small(4, method)).value();
    EXPECT_GT(result.reconstruction, 0);
    EXPECT_LT(result.reconstruction, 0.5 * variance);
  }
}

TEST(EmbeddedClustering, NetsWithoutAndWithOneHiddenLayerAreFine) {
  const auto blobs = unit_blobs(300, 10, 3, 4);
  EmbeddedOptions options = small(3, EmbeddedMethod::kIdec);
  for (const auto& hidden : {std::vector<int>{}, std::vector<int>{160}}) {
    options.hidden = hidden;
    options.code = 160;
    const auto result = embedded_clustering(blobs.data, {}, options).value();
    EXPECT_EQ(result.embeddings.cols(), 160);
    EXPECT_EQ(result.encoder.layers.size(), hidden.size() + 1);
    EXPECT_GT(nmi(blobs.truth, result.labels).value(), 0.98);
  }
}

/// Random groups against the blobs, and forbidden pairs, of `n` rows.
ClusterConstraints random_constraints(int n, int groups, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  ClusterConstraints constraints;
  constraints.groups = groups;
  constraints.must_link.assign(static_cast<std::size_t>(n), -1);
  std::uniform_int_distribution<int> row(groups, n - 1);
  std::uniform_int_distribution<int> group(0, groups - 1);
  for (int g = 0; g < groups; ++g) {
    constraints.must_link[static_cast<std::size_t>(g)] = g;
  }
  for (int i = 0; i < n / 5; ++i) {
    constraints.must_link[static_cast<std::size_t>(row(random))] =
        group(random);
  }
  for (int i = 0; i < n / 2; ++i) {
    const int at = row(random);
    if (constraints.must_link[static_cast<std::size_t>(at)] < 0) {
      constraints.forbidden.emplace_back(at, group(random));
    }
  }
  return constraints;
}

void expect_kept(const ClusterConstraints& constraints,
                 const std::vector<int>& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const int group = constraints.group_of(i);
    if (group < 0) continue;
    EXPECT_EQ(labels[i], group) << "row " << i;
  }
  for (const auto& [row, group] : constraints.forbidden) {
    EXPECT_NE(labels[static_cast<std::size_t>(row)], group) << "row " << row;
  }
}

TEST(EmbeddedClustering, ConstraintsAreNeverBroken) {
  const auto blobs = unit_blobs(200, 8, 5, 5);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const ClusterConstraints constraints = random_constraints(200, 3, seed);
    for (const EmbeddedMethod method : kMethods) {
      EmbeddedOptions options = small(5, method);
      options.seed = seed;
      options.tolerance = 0;
      int renewals = 0;
      options.target_renewed = [&](const Matrix& codes,
                                   const std::vector<int>& labels) {
        ++renewals;
        EXPECT_EQ(codes.rows(), 200);
        expect_kept(constraints, labels);
      };
      const auto result =
          embedded_clustering(blobs.data, constraints, options).value();
      EXPECT_GE(renewals, 1);
      expect_kept(constraints, result.labels);
    }
  }
}

TEST(EmbeddedClustering, AGroupDrawsItsLikesToItsLabel) {
  const auto blobs = unit_blobs(400, 10, 4, 6);
  ClusterConstraints constraints;
  constraints.groups = 4;
  constraints.must_link.assign(400, -1);
  // Ten rows of blob b are group 3 - b.
  for (std::size_t i = 0; i < 40; ++i) {
    constraints.must_link[i] = 3 - blobs.truth[i];
  }
  for (const EmbeddedMethod method : kMethods) {
    const auto result =
        embedded_clustering(blobs.data, constraints, small(4, method)).value();
    int wrong = 0;
    for (std::size_t i = 0; i < 400; ++i) {
      wrong += result.labels[i] != 3 - blobs.truth[i] ? 1 : 0;
    }
    EXPECT_LE(wrong, 4) << static_cast<int>(method);
  }
}

TEST(EmbeddedClustering, IsDeterministicForASeed) {
  const Matrix data = normal_matrix(300, 16, 7);
  for (const EmbeddedMethod method : kMethods) {
    EmbeddedOptions options = small(6, method);
    options.seed = 3;
    const auto a = embedded_clustering(data, {}, options).value();
    const auto b = embedded_clustering(data, {}, options).value();
    EXPECT_EQ(a.labels, b.labels);
    EXPECT_EQ(a.embeddings, b.embeddings);
    EXPECT_EQ(a.centroids, b.centroids);
    options.seed = 4;
    EXPECT_NE(embedded_clustering(data, {}, options).value().embeddings,
              a.embeddings);
  }
}

TEST(EmbeddedClustering, LayersOfFullWidthAreDeterministicToo) {
  const Matrix data = normal_matrix(300, 784, 8);
  EmbeddedOptions options = small(5, EmbeddedMethod::kIdec);
  options.hidden = {500, 500, 2000};
  options.batch = 256;
  options.pretrain_epochs = 4;
  options.max_updates = 4;
  const auto a = embedded_clustering(data, {}, options).value();
  const auto b = embedded_clustering(data, {}, options).value();
  EXPECT_EQ(a.embeddings, b.embeddings);
}

TEST(EmbeddedClustering, OrderOfTheRowsDoesNotMatterOnClearData) {
  const auto blobs = unit_blobs(400, 10, 4, 8);
  const Matrix reversed = blobs.data.colwise().reverse();
  const EmbeddedOptions options = small(4, EmbeddedMethod::kIdec);
  const auto forward = embedded_clustering(blobs.data, {}, options).value();
  auto backward = embedded_clustering(reversed, {}, options).value();
  std::reverse(backward.labels.begin(), backward.labels.end());
  EXPECT_DOUBLE_EQ(nmi(forward.labels, backward.labels).value(), 1.0);
}

TEST(EmbeddedClustering, TheScaleOfTheDataDoesNotMatter) {
  const auto blobs = unit_blobs(300, 10, 3, 14);
  const EmbeddedOptions options = small(3, EmbeddedMethod::kIdec);
  // Powers of two: nothing is rounded differently.
  const Matrix large = blobs.data * 1024.0F;
  const auto plain = embedded_clustering(blobs.data, {}, options).value();
  const auto scaled = embedded_clustering(large, {}, options).value();
  EXPECT_EQ(plain.labels, scaled.labels);
  EXPECT_EQ(plain.embeddings, scaled.embeddings);
  EXPECT_TRUE(scaled.encoder.run(large).isApprox(plain.embeddings, 1e-4F));
  EXPECT_NEAR(scaled.reconstruction, plain.reconstruction * 1024 * 1024,
              1e-5 * scaled.reconstruction);
}

TEST(EmbeddedClustering, WithoutUpdatesItIsKMeansOnTheAutoencodersCodes) {
  const auto blobs = unit_blobs(300, 10, 3, 9);
  EmbeddedOptions options = small(3, EmbeddedMethod::kIdec);
  options.max_updates = 0;
  const auto result = embedded_clustering(blobs.data, {}, options).value();
  EXPECT_EQ(result.updates, 0);
  KMeansOptions kmeans_options;
  kmeans_options.clusters = 3;
  const auto expected = kmeans(result.embeddings, kmeans_options).value();
  EXPECT_DOUBLE_EQ(nmi(expected.labels, result.labels).value(), 1.0);
}

TEST(EmbeddedClustering, EndsWhenFewLabelsChangeAndElseAtTheLimit) {
  const auto blobs = unit_blobs(400, 10, 4, 10);
  EmbeddedOptions options = small(4, EmbeddedMethod::kIdec);
  options.max_updates = 1000;
  const auto early = embedded_clustering(blobs.data, {}, options).value();
  EXPECT_LT(early.updates, 1000);
  EXPECT_EQ(early.updates % options.target_interval, 0);
  options.max_updates = 15;
  options.target_interval = 100;
  EXPECT_EQ(embedded_clustering(blobs.data, {}, options).value().updates, 15);
}

TEST(EmbeddedClustering, DuplicatesAndConstantFeaturesAreFine) {
  Matrix data = Matrix::Constant(90, 6, 0.5F);
  data.block(30, 0, 30, 2).setConstant(1);
  data.block(60, 2, 30, 2).setConstant(-1);
  std::vector<int> truth(90);
  for (std::size_t i = 0; i < 90; ++i) truth[i] = static_cast<int>(i / 30);
  for (const EmbeddedMethod method : kMethods) {
    EmbeddedOptions options = small(3, method);
    const auto three = embedded_clustering(data, {}, options).value();
    EXPECT_DOUBLE_EQ(nmi(truth, three.labels).value(), 1.0);
    options.clusters = 5;  // more than there are different rows
    const auto five = embedded_clustering(data, {}, options).value();
    EXPECT_TRUE(five.embeddings.allFinite());
    EXPECT_TRUE(five.centroids.allFinite());
    for (std::size_t i = 0; i < 90; ++i) {
      EXPECT_EQ(five.labels[i], five.labels[i / 30 * 30]);
    }
  }
}

TEST(EmbeddedClustering, AsManyRowsAsClustersAndOneClusterAreFine) {
  const Matrix data = normal_matrix(5, 4, 11);
  for (const EmbeddedMethod method : kMethods) {
    const auto all = embedded_clustering(data, {}, small(5, method)).value();
    EXPECT_EQ(all.labels.size(), 5U);
    const auto one = embedded_clustering(data, {}, small(1, method)).value();
    EXPECT_EQ(one.labels, std::vector<int>(5, 0));
  }
}

TEST(EmbeddedClustering, RefusesWhatCannotBeClustered) {
  const EmbeddedOptions options = small(4, EmbeddedMethod::kIdec);
  EXPECT_EQ(error_of(normal_matrix(3, 4, 1), {}, options).code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(Matrix(10, 0), {}, options).code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(Matrix(0, 4), {}, options).code,
            ErrorCode::kInvalidArgument);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    Matrix data = normal_matrix(10, 4, 1);
    data(7, 2) = bad;
    const Error error = error_of(data, {}, options);
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_NE(error.message.find("row 7"), std::string::npos) << error.message;
  }
}

TEST(EmbeddedClustering, RefusesConstraintsThatCannotBeKept) {
  const Matrix data = normal_matrix(6, 4, 1);
  const EmbeddedOptions options = small(4, EmbeddedMethod::kIdec);
  const ClusterConstraints bad[] = {
      {{0, 1, -1}, 2, {}},                     // another length
      {{0, 1, 5, -1, -1, -1}, 2, {}},          // no such group
      {{0, -1, -1, -1, -1, -1}, 1, {{0, 0}}},  // forbidden in its own
      {{0, 0, 0, 0, 0, -1}, 1, {}},            // one free row, 3 clusters
      {{0, 1, 2, 3, -1, -1}, 4, {{5, 0}, {5, 1}, {5, 2}, {5, 3}}},
  };
  for (const ClusterConstraints& constraints : bad) {
    EXPECT_EQ(error_of(data, constraints, options).code,
              ErrorCode::kInvalidArgument);
  }
}

TEST(EmbeddedClustering, RefusesOptionsOutOfRange) {
  const Matrix data = normal_matrix(50, 4, 1);
  using Change = void (*)(EmbeddedOptions&);
  const Change changes[] = {
      [](EmbeddedOptions& o) { o.clusters = 0; },
      [](EmbeddedOptions& o) {
        o.hidden = {8, 0};
      },
      [](EmbeddedOptions& o) { o.hidden = {1 << 30}; },
      [](EmbeddedOptions& o) { o.code = -1; },
      [](EmbeddedOptions& o) { o.batch = 0; },
      [](EmbeddedOptions& o) { o.target_interval = 0; },
      [](EmbeddedOptions& o) { o.max_updates = -1; },
      [](EmbeddedOptions& o) { o.pretrain_epochs = -1; },
      [](EmbeddedOptions& o) { o.learning_rate = 0; },
      [](EmbeddedOptions& o) { o.weight = -1; },
      [](EmbeddedOptions& o) { o.tolerance = std::nan(""); },
  };
  for (const Change change : changes) {
    EmbeddedOptions options = small(3, EmbeddedMethod::kDcn);
    change(options);
    EXPECT_EQ(error_of(data, {}, options).code, ErrorCode::kInvalidArgument);
  }
}

TEST(EmbeddedClustering, ALossThatIsNotFiniteIsAnError) {
  EmbeddedOptions options = small(3, EmbeddedMethod::kIdec);
  options.learning_rate = 1e30;
  const Error error = error_of(normal_matrix(100, 4, 1), {}, options);
  EXPECT_EQ(error.code, ErrorCode::kInternal);
  EXPECT_NE(error.message.find("learning rate"), std::string::npos);
}

TEST(EmbeddedClustering, CanBeCancelledInEveryStage) {
  const auto blobs = unit_blobs(200, 8, 3, 12);
  EmbeddedOptions options = small(3, EmbeddedMethod::kIdec);
  options.tolerance = 0;
  for (const std::string wanted : {"pretraining", "centres", "clustering"}) {
    bool reached = false;
    options.progress = [&](std::string_view stage, double) {
      reached = reached || stage == wanted;
    };
    options.cancelled = [&] { return reached; };
    EXPECT_EQ(error_of(blobs.data, {}, options).code, ErrorCode::kCancelled)
        << wanted;
  }
}

TEST(EmbeddedClustering, ProgressRisesToOne) {
  const auto blobs = unit_blobs(200, 8, 3, 13);
  EmbeddedOptions options = small(3, EmbeddedMethod::kDcn);
  std::set<std::string> stages;
  double last = 0;
  options.progress = [&](std::string_view stage, double fraction) {
    stages.emplace(stage);
    EXPECT_GE(fraction, last);
    EXPECT_LE(fraction, 1);
    last = fraction;
  };
  ASSERT_TRUE(embedded_clustering(blobs.data, {}, options));
  EXPECT_EQ(last, 1);
  EXPECT_EQ(stages, (std::set<std::string>{"centres", "clustering", "done",
                                           "pretraining"}));
}

}  // namespace
}  // namespace shoal
