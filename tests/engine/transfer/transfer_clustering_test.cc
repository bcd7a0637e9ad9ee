#include "engine/transfer/transfer_clustering.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "engine/cluster/kmeans.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;
using test::normal_matrix;

/// How a FakeLearner labels rows that it is asked for.
enum class Behaviour { kRandom, kAllOne, kRotating, kTruth };

/// Answers at random, or so as to trip the loop, and keeps what it was told.
class FakeLearner final : public TransferLearner {
 public:
  FakeLearner(Behaviour behaviour, std::uint64_t seed,
              std::vector<int> truth = {})
      : behaviour_(behaviour), random_(seed), truth_(std::move(truth)) {}

  Result<double> fit(const std::vector<std::size_t>& rows,
                     const std::vector<int>& labels, int classes) override {
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    fitted.emplace_back(rows, labels);
    classes_ = classes;
    return 0.5;
  }

  Result<Prediction> predict(const std::vector<std::size_t>& rows) override {
    ++asked_;
    Prediction prediction;
    const auto n = static_cast<Eigen::Index>(rows.size());
    prediction.probabilities =
        normal_matrix(static_cast<int>(n), classes_, random_()).cwiseAbs();
    prediction.features =
        normal_matrix(static_cast<int>(n), features, random_());
    for (const std::size_t row : rows) {
      prediction.labels.push_back(label_of(row));
    }
    return prediction;
  }

  std::vector<std::pair<std::vector<std::size_t>, std::vector<int>>> fitted;
  int features = 3;

 private:
  int label_of(std::size_t row) {
    switch (behaviour_) {
      case Behaviour::kRandom:
        return static_cast<int>(random_() %
                                static_cast<std::uint64_t>(classes_));
      case Behaviour::kAllOne:
        return classes_ - 1;
      case Behaviour::kRotating:
        return (static_cast<int>(row) + asked_) % classes_;
      case Behaviour::kTruth:
        return truth_[row];
    }
    return 0;
  }

  Behaviour behaviour_;
  std::mt19937_64 random_;
  std::vector<int> truth_;
  int classes_ = 0;
  int asked_ = 0;
};

/// One random run of the whole method, for the invariants.
struct Trial {
  Matrix features;
  ClusterConstraints constraints;
  TransferOptions options;
  std::vector<bool> refused;
  Behaviour behaviour = Behaviour::kRandom;
};

Trial make_trial(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t n) { return random() % n; };
  Trial trial;
  const auto n = 20 + below(60);
  trial.features = normal_matrix(static_cast<int>(n), 4, seed);
  TransferOptions& options = trial.options;
  options.clusters = 2 + static_cast<int>(below(5));
  options.initial_share = 0.05 + 0.1 * static_cast<double>(below(9));
  options.share_step = 0.1 * static_cast<double>(below(3));
  options.max_iterations = 1 + static_cast<int>(below(40));
  options.distance = static_cast<RowDistance>(below(3));
  options.seed = seed;
  trial.behaviour = static_cast<Behaviour>(below(3));
  if (below(2) == 0) {
    ClusterConstraints& constraints = trial.constraints;
    constraints.groups = 1 + static_cast<int>(below(2));
    constraints.must_link.assign(n, -1);
    for (std::size_t row = 0; row < n / 4; ++row) {
      constraints.must_link[row] = static_cast<int>(row) % constraints.groups;
    }
    for (std::size_t row = n / 4; row < n / 2; ++row) {
      constraints.forbidden.emplace_back(
          static_cast<int>(row),
          static_cast<int>(
              below(static_cast<std::size_t>(constraints.groups))));
    }
  }
  trial.refused.assign(n, false);
  if (below(2) == 0) {
    for (std::size_t row = 0; row < n; ++row) {
      trial.refused[row] = below(3) == 0;
    }
    options.gate = [&refused = trial.refused](std::size_t row) {
      return !refused[row];
    };
  }
  return trial;
}

void check_invariants(const Trial& trial, const TransferResult& result,
                      const FakeLearner& learner) {
  const std::size_t n = result.labels.size();
  const ClusterConstraints& constraints = trial.constraints;
  std::size_t before = 0;
  for (std::size_t row = 0; row < n; ++row) {
    before += constraints.group_of(row) >= 0 ? 1 : 0;
  }
  std::vector<int> final_label(n, -1);
  for (std::size_t k = 0; k < result.iterations.size(); ++k) {
    const TransferIteration& iteration = result.iterations[k];
    const auto& [rows, labels] = learner.fitted[k];
    // (b)
    EXPECT_GT(iteration.confirmed, before);
    before = iteration.confirmed;
    // (a): the fitted set has each row once and holds the one before; (c).
    EXPECT_EQ(rows.size(), iteration.confirmed);
    EXPECT_EQ(std::set<std::size_t>(rows.begin(), rows.end()).size(),
              rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      int& known = final_label[rows[i]];
      if (known < 0) known = labels[i];
      EXPECT_EQ(known, labels[i]);
      EXPECT_EQ(iteration.labels[rows[i]], known);
    }
    for (std::size_t row = 0; row < n; ++row) {
      const bool is_in = std::binary_search(rows.begin(), rows.end(), row);
      const int in = result.confirmed_in[row];
      EXPECT_EQ(is_in, constraints.group_of(row) >= 0 ||
                           (in >= 0 && in <= static_cast<int>(k)));
    }
  }
  for (std::size_t row = 0; row < n; ++row) {
    // (d)
    EXPECT_GE(result.labels[row], 0);
    EXPECT_LT(result.labels[row], trial.options.clusters);
    if (final_label[row] >= 0) {
      EXPECT_EQ(result.labels[row], final_label[row]);
    }
    if (constraints.group_of(row) >= 0) {
      EXPECT_EQ(result.labels[row], constraints.group_of(row));
      EXPECT_EQ(result.confirmed_in[row], -1);
    }
    if (trial.refused[row]) {
      EXPECT_EQ(result.confirmed_in[row], -1);
    }
  }
  for (const auto& [row, group] : constraints.forbidden) {
    EXPECT_NE(result.labels[static_cast<std::size_t>(row)], group);
  }
  EXPECT_EQ(result.features.rows(), static_cast<Eigen::Index>(n));
  EXPECT_TRUE(result.features.allFinite());
}

TEST(TransferClustering, KeepsItsInvariantsWithAnyLearnerConstraintsAndGate) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const Trial trial = make_trial(seed);
    FakeLearner learner(trial.behaviour, seed);
    const auto result = transfer_clustering(trial.features, learner,
                                            trial.constraints, trial.options);
    ASSERT_TRUE(result) << result.error().message;
    check_invariants(trial, result.value(), learner);
  }
}

TEST(TransferClustering, GoesOnUntilEveryRowIsFinal) {
  for (const Behaviour behaviour :
       {Behaviour::kRandom, Behaviour::kAllOne, Behaviour::kRotating}) {
    const Matrix data = normal_matrix(90, 4, 1);
    TransferOptions options;
    options.clusters = 5;
    options.share_step = 0;
    options.max_iterations = 90;
    FakeLearner learner(behaviour, 1);
    const auto result = transfer_clustering(data, learner, {}, options).value();
    EXPECT_EQ(result.iterations.back().confirmed, 90U);
    EXPECT_EQ(
        std::count(result.confirmed_in.begin(), result.confirmed_in.end(), -1),
        0);
  }
}

TEST(TransferClustering, ConfirmsTheClosestShareOfEachClusterFirst) {
  const auto blobs = make_blobs(200, 6, 4, 8, 2);
  TransferOptions options;
  options.clusters = 4;
  options.max_iterations = 1;
  FakeLearner learner(Behaviour::kTruth, 1, blobs.truth);
  const auto result =
      transfer_clustering(blobs.data, learner, {}, options).value();
  for (int cluster = 0; cluster < 4; ++cluster) {
    Eigen::RowVectorXf centre = Eigen::RowVectorXf::Zero(6);
    std::vector<Eigen::Index> members;
    for (Eigen::Index row = 0; row < 200; ++row) {
      if (result.boot_labels[static_cast<std::size_t>(row)] != cluster) {
        continue;
      }
      members.push_back(row);
      centre += blobs.data.row(row);
    }
    centre /= static_cast<float>(members.size());
    float farthest_in = 0;
    float closest_out = std::numeric_limits<float>::infinity();
    std::size_t confirmed = 0;
    for (const Eigen::Index row : members) {
      const float distance = (blobs.data.row(row) - centre).norm();
      if (result.confirmed_in[static_cast<std::size_t>(row)] == 0) {
        ++confirmed;
        farthest_in = std::max(farthest_in, distance);
      } else {
        closest_out = std::min(closest_out, distance);
      }
    }
    EXPECT_EQ(confirmed, static_cast<std::size_t>(std::ceil(
                             0.2 * static_cast<double>(members.size()))));
    EXPECT_LT(farthest_in, closest_out);
  }
}

TEST(TransferClustering, TheDistanceDecidesWhoIsClosest) {
  // One cluster around the origin: (3, 0) is farther than (2, 2) by the sum
  // of differences no, by the largest difference yes.
  Matrix data(6, 2);
  data << 3, 0, -3, 0, 2, 2, -2, -2, 9, 9, -9, -9;
  const auto first = [&](RowDistance distance) {
    TransferOptions options;
    options.clusters = 1;
    options.initial_share = 1.0 / 3;
    options.max_iterations = 1;
    options.distance = distance;
    FakeLearner learner(Behaviour::kAllOne, 1);
    return transfer_clustering(data, learner, {}, options).value().confirmed_in;
  };
  const std::vector<int> axis = {0, 0, -1, -1, -1, -1};
  const std::vector<int> diagonal = {-1, -1, 0, 0, -1, -1};
  EXPECT_EQ(first(RowDistance::kCityBlock), axis);
  EXPECT_EQ(first(RowDistance::kChessboard), diagonal);
  EXPECT_EQ(first(RowDistance::kEuclidean), diagonal);
}

TEST(TransferClustering, DeltaIsAShareOfOpenRowsRoundedUpAndGrows) {
  const Matrix data = normal_matrix(100, 3, 3);
  TransferOptions options;
  options.clusters = 1;
  FakeLearner learner(Behaviour::kAllOne, 1);
  const auto result = transfer_clustering(data, learner, {}, options).value();
  std::vector<std::size_t> confirmed;
  for (const auto& iteration : result.iterations) {
    confirmed.push_back(iteration.confirmed);
  }
  // 0.2 of 100, 0.3 of 80, 0.4 of 56 (23), 0.5 of 33 (17), 0.6 of 16 (10),
  // 0.7 of 6 (5), 0.8 of 1.
  EXPECT_EQ(confirmed, (std::vector<std::size_t>{20, 44, 67, 84, 94, 99, 100}));
  EXPECT_DOUBLE_EQ(result.iterations[2].share, 0.4);
  EXPECT_DOUBLE_EQ(result.iterations[2].loss, 0.5);
}

TEST(TransferClustering, LaterDistancesAreInTheLearnersFeatures) {
  // The learner puts every row of an even number at the centre.
  class Parity final : public TransferLearner {
   public:
    Result<double> fit(const std::vector<std::size_t>&, const std::vector<int>&,
                       int) override {
      return 0.0;
    }
    Result<Prediction> predict(const std::vector<std::size_t>& rows) override {
      Prediction prediction;
      const auto n = static_cast<Eigen::Index>(rows.size());
      prediction.labels.assign(rows.size(), 0);
      prediction.probabilities = Matrix::Ones(n, 1);
      prediction.features = Matrix::Zero(n, 1);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const float side = rows[i] % 4 == 1 ? 1 : -1;
        prediction.features(static_cast<Eigen::Index>(i), 0) =
            rows[i] % 2 == 0 ? 0 : 10 * side;
      }
      return prediction;
    }
  } learner;
  const Matrix data = normal_matrix(80, 3, 4);
  TransferOptions options;
  options.clusters = 1;
  options.max_iterations = 2;
  const auto result = transfer_clustering(data, learner, {}, options).value();
  std::size_t even = 0;
  for (std::size_t row = 0; row < 80; row += 2) {
    even += result.confirmed_in[row] == 1 ? 1U : 0U;
  }
  EXPECT_EQ(even,
            result.iterations[1].confirmed - result.iterations[0].confirmed);
}

TEST(TransferClustering, AForbiddenPredictionFallsToTheMostProbableAllowed) {
  class Sure final : public TransferLearner {
   public:
    Result<double> fit(const std::vector<std::size_t>&, const std::vector<int>&,
                       int) override {
      return 0.0;
    }
    Result<Prediction> predict(const std::vector<std::size_t>& rows) override {
      Prediction prediction;
      const auto n = static_cast<Eigen::Index>(rows.size());
      prediction.labels.assign(rows.size(), 0);
      prediction.features = Matrix::Zero(n, 1);
      prediction.probabilities.resize(n, 3);
      prediction.probabilities.rowwise() = Eigen::RowVector3f(0.6F, 0.1F, 0.3F);
      return prediction;
    }
  } learner;
  const Matrix data = normal_matrix(30, 2, 5);
  ClusterConstraints constraints;
  constraints.groups = 1;
  constraints.must_link.assign(30, -1);
  constraints.must_link[0] = 0;
  for (int row = 10; row < 30; ++row)
    constraints.forbidden.emplace_back(row, 0);
  TransferOptions options;
  options.clusters = 3;
  options.max_iterations = 1;
  const auto result =
      transfer_clustering(data, learner, constraints, options).value();
  for (std::size_t row = 10; row < 30; ++row) {
    if (result.confirmed_in[row] < 0) {
      EXPECT_EQ(result.labels[row], 2);
    }
  }
}

TEST(TransferClustering, RowsSettledBeforeAreEnoughToLearnFrom) {
  const Matrix data = normal_matrix(12, 2, 6);
  ClusterConstraints constraints;
  constraints.groups = 2;
  for (int row = 0; row < 12; ++row) constraints.must_link.push_back(row % 2);
  TransferOptions options;
  options.clusters = 2;
  FakeLearner learner(Behaviour::kAllOne, 1);
  const auto result =
      transfer_clustering(data, learner, constraints, options).value();
  EXPECT_EQ(result.labels, constraints.must_link);
  EXPECT_TRUE(result.iterations.empty());
  EXPECT_EQ(learner.fitted.size(), 1U);
  EXPECT_EQ(result.features.cols(), 3);
}

TEST(TransferClustering, BootsFromAGaussianMixtureThatKeepsTheConstraints) {
  const auto blobs = make_blobs(240, 40, 4, 4, 7);
  ClusterConstraints constraints;
  constraints.groups = 2;
  constraints.must_link.assign(240, -1);
  // Group 0 is blob 3, group 1 blob 1.
  constraints.must_link[3] = constraints.must_link[7] = 0;
  constraints.must_link[1] = constraints.must_link[5] = 1;
  constraints.forbidden = {{11, 0}};
  TransferOptions options;
  options.clusters = 4;
  options.boot = BootMethod::kGaussianMixture;
  options.mixture_components = 8;
  FakeLearner learner(Behaviour::kTruth, 1, blobs.truth);
  const auto result =
      transfer_clustering(blobs.data, learner, constraints, options).value();
  EXPECT_GT(nmi(blobs.truth, result.boot_labels).value(), 0.95);
  EXPECT_EQ(result.boot_labels[3], 0);
  EXPECT_EQ(result.boot_labels[15], 0);
  EXPECT_EQ(result.boot_labels[1], 1);
  EXPECT_EQ(result.boot_labels[21], 1);
  EXPECT_NE(result.boot_labels[11], 0);
}

TEST(TransferClustering, RefusesWhatItCannotUse) {
  const Matrix data = normal_matrix(20, 3, 8);
  FakeLearner learner(Behaviour::kRandom, 1);
  const auto code = [&](const Matrix& features, auto change) {
    TransferOptions options;
    options.clusters = 4;
    change(options);
    const auto result = transfer_clustering(features, learner, {}, options);
    return result ? ErrorCode::kInternal : result.error().code;
  };
  const auto nothing = [](TransferOptions&) {};
  using Options = TransferOptions;
  EXPECT_EQ(code(data.topRows(3), nothing), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(data, [](Options& o) { o.initial_share = 0; }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(data, [](Options& o) { o.share_step = -0.1; }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(data, [](Options& o) { o.max_iterations = 0; }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(data, [](Options& o) { o.cancelled = [] { return true; }; }),
            ErrorCode::kCancelled);
  EXPECT_EQ(
      code(data,
           [](Options& o) { o.gate = [](std::size_t) { return false; }; }),
      ErrorCode::kFailedPrecondition);
  Matrix broken = data;
  broken(3, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(broken, nothing), ErrorCode::kInvalidArgument);
}

TEST(TransferClustering, ReportsProgressUpToTheWhole) {
  const Matrix data = normal_matrix(60, 3, 9);
  TransferOptions options;
  options.clusters = 3;
  std::vector<double> seen;
  options.progress = [&](std::string_view, double fraction) {
    seen.push_back(fraction);
  };
  FakeLearner learner(Behaviour::kRandom, 2);
  ASSERT_TRUE(transfer_clustering(data, learner, {}, options));
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_DOUBLE_EQ(seen.back(), 1);
}

TEST(TransferClustering, SaysWhenTheLearnersAnswerHasAWrongShape) {
  class Short final : public TransferLearner {
   public:
    Result<double> fit(const std::vector<std::size_t>&, const std::vector<int>&,
                       int) override {
      return 0.0;
    }
    Result<Prediction> predict(const std::vector<std::size_t>&) override {
      return Prediction{};
    }
  } learner;
  TransferOptions options;
  options.clusters = 3;
  const auto result =
      transfer_clustering(normal_matrix(20, 2, 1), learner, {}, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInternal);
  EXPECT_NE(result.error().message.find("0 labels"), std::string::npos);
}

}  // namespace
}  // namespace shoal
