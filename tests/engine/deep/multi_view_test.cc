#include "engine/deep/multi_view.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "engine/deep/internal/multi_view_trainer.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

/// Two views of the same classes, each of which confuses half of them: view v
/// shows class c as blob c / 2 when the bit v of its pair says so.
struct TwoViews {
  std::vector<Matrix> views;
  std::vector<int> truth;
};

TwoViews complementary_views(int per_class) {
  constexpr int kClasses = 6;
  const int n = per_class * kClasses;
  TwoViews data;
  for (int view = 0; view < 2; ++view) {
    const Matrix centres = 3 * test::normal_matrix(kClasses, 12, 40 + view);
    Matrix rows = 0.4F * test::normal_matrix(n, 12, 50 + view);
    for (int i = 0; i < n; ++i) {
      const int label = i % kClasses;
      const bool confused = (label / 2) % 3 == view;
      rows.row(i) += centres.row(confused ? label / 2 * 2 : label);
    }
    data.views.push_back(std::move(rows));
  }
  for (int i = 0; i < n; ++i) data.truth.push_back(i % kClasses);
  return data;
}

MultiViewOptions small_options() {
  MultiViewOptions options;
  options.clusters = 6;
  options.jule.hidden = {24, 24};
  options.embedded.hidden = {24};
  options.embedded.code = 8;
  options.embedded.max_updates = 300;
  options.embedded.pretrain_epochs = 5;
  return options;
}

TEST(MultiViewClustering, FindsTogetherWhatEachViewConfuses) {
  const TwoViews data = complementary_views(40);
  for (const bool joint : {false, true}) {
    MultiViewOptions options = small_options();
    options.joint = joint;
    const auto result = multi_view_clustering(data.views, {}, options);
    ASSERT_TRUE(result) << result.error().message;
    const double together = nmi(data.truth, result.value().labels).value();
    EXPECT_GT(together, 0.97) << "joint " << joint;
    for (const PretrainedView& view : result.value().views) {
      EXPECT_GT(together, nmi(data.truth, view.labels).value());
    }
  }
}

TEST(MultiViewClustering, ItsNetGivesItsEmbeddings) {
  const TwoViews data = complementary_views(20);
  for (const DeepClusterer clusterer :
       {DeepClusterer::kJule, DeepClusterer::kIdec}) {
    MultiViewOptions options = small_options();
    options.clusterer = clusterer;
    options.joint = clusterer == DeepClusterer::kJule;
    const auto result = multi_view_clustering(data.views, {}, options);
    ASSERT_TRUE(result) << result.error().message;
    const Matrix again = result.value().net.run(data.views);
    EXPECT_LT((again - result.value().embeddings).cwiseAbs().maxCoeff(), 1e-4);
  }
}

TEST(MultiViewClustering, PretrainedViewsGiveWhatPretrainingHereDoes) {
  const TwoViews data = complementary_views(20);
  MultiViewOptions options = small_options();
  options.joint = false;
  auto first = multi_view_clustering(data.views, {}, options).value();
  options.pretrained = first.views;
  const auto second = multi_view_clustering(data.views, {}, options);
  ASSERT_TRUE(second);
  EXPECT_EQ(second.value().labels, first.labels);
  EXPECT_EQ(second.value().embeddings, first.embeddings);
}

TEST(MultiViewClustering, TakesPretrainedViewsFromTheClustererItself) {
  const TwoViews data = complementary_views(20);
  MultiViewOptions options = small_options();
  options.clusterer = DeepClusterer::kIdec;
  options.joint = false;
  const auto expected = multi_view_clustering(data.views, {}, options).value();
  EmbeddedOptions embedded = options.embedded;
  embedded.clusters = options.clusters;
  for (std::size_t view = 0; view < data.views.size(); ++view) {
    embedded.seed = view;  // as the call above drew them
    auto own = embedded_clustering(data.views[view], {}, embedded).value();
    options.pretrained.push_back({std::move(own.encoder),
                                  std::move(own.embeddings),
                                  std::move(own.labels)});
  }
  const auto result = multi_view_clustering(data.views, {}, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result.value().labels, expected.labels);
  EXPECT_EQ(result.value().embeddings, expected.embeddings);
}

TEST(MultiViewClustering, IsTheSameForASeed) {
  const TwoViews data = complementary_views(15);
  const auto first =
      multi_view_clustering(data.views, {}, small_options()).value();
  const auto second =
      multi_view_clustering(data.views, {}, small_options()).value();
  EXPECT_EQ(first.labels, second.labels);
  EXPECT_EQ(first.embeddings, second.embeddings);
}

TEST(MultiViewClustering, KeepsWhatIsSettled) {
  const TwoViews data = complementary_views(20);
  ClusterConstraints constraints;
  constraints.groups = 3;
  constraints.must_link.assign(data.truth.size(), -1);
  std::mt19937_64 random(4);
  for (int& group : constraints.must_link) {
    if (random() % 10 == 0) group = static_cast<int>(random() % 3);
  }
  for (std::size_t row = 0; row < data.truth.size(); row += 7) {
    if (constraints.must_link[row] != 1) {
      constraints.forbidden.emplace_back(static_cast<int>(row), 1);
    }
  }
  const auto result =
      multi_view_clustering(data.views, constraints, small_options());
  ASSERT_TRUE(result) << result.error().message;
  const auto& labels = result.value().labels;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const int group = constraints.must_link[row];
    if (group >= 0) {
      EXPECT_EQ(labels[row], group);
    }
  }
  for (const auto& [row, group] : constraints.forbidden) {
    EXPECT_NE(labels[static_cast<std::size_t>(row)], group);
  }
}

TEST(MultiViewClustering, RefusesViewsThatDoNotFit) {
  const Matrix rows = test::normal_matrix(30, 4, 1);
  const MultiViewOptions options = small_options();
  EXPECT_EQ(multi_view_clustering({}, {}, options).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      multi_view_clustering({rows, test::normal_matrix(29, 4, 1)}, {}, options)
          .error()
          .code,
      ErrorCode::kInvalidArgument);
  Matrix broken = rows;
  broken(3, 2) = std::numeric_limits<float>::infinity();
  const auto infinite = multi_view_clustering({rows, broken}, {}, options);
  ASSERT_FALSE(infinite);
  EXPECT_NE(infinite.error().message.find("view 2"), std::string::npos);
  MultiViewOptions joint_idec = options;
  joint_idec.clusterer = DeepClusterer::kIdec;
  EXPECT_EQ(multi_view_clustering({rows}, {}, joint_idec).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(MultiViewClustering, StopsWhenAsked) {
  MultiViewOptions options = small_options();
  options.cancelled = [] { return true; };
  const auto result =
      multi_view_clustering({test::normal_matrix(200, 4, 1)}, {}, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
}

/// The trainer's step, of rate 1 without momentum and decay, is the gradient
/// of a linear function of z: compared with differences of that function.
TEST(MultiViewTrainer, GradientIsThatOfTheWholeNet) {
  const std::vector<Matrix> views = {test::normal_matrix(8, 5, 1),
                                     test::normal_matrix(8, 3, 2)};
  const auto random_net = [](int in, int hidden, int out, int seed) {
    Mlp net;
    net.limit_input = true;
    net.normalise = true;
    net.layers = {{test::normal_matrix(hidden, in, seed),
                   0.1F * test::normal_matrix(hidden, 1, seed + 1).col(0)},
                  {test::normal_matrix(out, hidden, seed + 2),
                   0.1F * test::normal_matrix(out, 1, seed + 3).col(0)}};
    return net;
  };
  MultiViewNet net;
  net.branches = {random_net(5, 7, 4, 10), random_net(3, 6, 4, 20)};
  net.out = random_net(8, 6, 3, 30);
  const Matrix direction = test::normal_matrix(8, 3, 40);
  const auto value = [&](const MultiViewNet& of) {
    return of.run(views)
        .cast<double>()
        .cwiseProduct(direction.cast<double>())
        .sum();
  };
  MultiViewTrainer trainer(views, net,
                           {0, 0, std::numeric_limits<double>::infinity()});
  EXPECT_LT((trainer.forward({0, 1, 2, 3, 4, 5, 6, 7}) - net.run(views))
                .cwiseAbs()
                .maxCoeff(),
            1e-6);
  trainer.step(direction, 1);
  const MultiViewNet moved = trainer.net();
  constexpr float kStep = 2e-4F;
  const auto expect_gradient = [&](auto weight_of) {
    MultiViewNet up = net;
    MultiViewNet down = net;
    weight_of(up) += kStep;
    weight_of(down) -= kStep;
    const double difference = (value(up) - value(down)) / (2 * kStep);
    MultiViewNet before = net;
    MultiViewNet after = moved;
    EXPECT_NEAR(weight_of(before) - weight_of(after), difference,
                0.02 * std::max(1.0, std::abs(difference)));
  };
  for (int i = 0; i < 4; ++i) {
    expect_gradient([&](MultiViewNet& n) -> float& {
      return n.branches[0].layers[0].weight(i, i);
    });
    expect_gradient([&](MultiViewNet& n) -> float& {
      return n.branches[1].layers[1].weight(i, i + 1);
    });
    expect_gradient([&](MultiViewNet& n) -> float& {
      return n.out.layers[0].weight(i, 2 * i);
    });
    expect_gradient([&](MultiViewNet& n) -> float& {
      return n.branches[1].layers[0].bias(i);
    });
  }
}

}  // namespace
}  // namespace shoal
