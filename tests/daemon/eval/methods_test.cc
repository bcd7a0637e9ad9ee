#include "daemon/eval/methods.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/daemon/eval/clear_clusters.h"

namespace shoal::eval {
namespace {

using test::clear_clusters;
using test::small_methods;
using testing::HasSubstr;

class EveryMethod : public testing::TestWithParam<std::string> {};

TEST_P(EveryMethod, FindsClearClusters) {
  const ExperimentData data = clear_clusters(40);
  MethodOptions options = small_methods();
  options.transfer.net = &data.views[1];
  MethodRunner runner(data.views, options);
  const auto run = runner.run(GetParam(), 0, 0);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_GT(nmi(data.truth, run.value().labels).value(), 0.95);
  EXPECT_EQ(run.value().representation.rows(),
            static_cast<Eigen::Index>(data.truth.size()));
  EXPECT_GT(run.value().seconds, 0);
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const MethodInfo& info : known_methods()) all.emplace_back(info.name);
  return all;
}

std::string as_identifier(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(Methods, EveryMethod, testing::ValuesIn(names()),
                         as_identifier);

TEST(MethodRunner, RefusesAMethodThatIsNotKnown) {
  const ExperimentData data = clear_clusters(5);
  MethodRunner runner(data.views, small_methods());
  for (const char* name : {"kmeans", "cc-", "mvec-tl-km", "dmvc-fix", ""}) {
    const auto run = runner.run(name, 0, 0);
    ASSERT_FALSE(run) << name;
    EXPECT_EQ(run.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(run.error().message, HasSubstr("dmvc-fix-jule"));
  }
}

TEST(MethodRunner, TransferNeedsANet) {
  const ExperimentData data = clear_clusters(5);
  MethodRunner runner(data.views, small_methods());
  const auto run = runner.run("tl-km", 0, 0);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(run.error().message, HasSubstr("--transfer-net"));
}

TEST(MethodRunner, FewerImagesThanClustersNameTheView) {
  const ExperimentData data = clear_clusters(5);
  MethodOptions options = small_methods();
  options.clusters = 21;
  MethodRunner runner(data.views, options);
  for (const char* name : {"km", "ac", "jule", "idec"}) {
    const auto run = runner.run(name, 1, 0);
    ASSERT_FALSE(run) << name;
    EXPECT_EQ(run.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(run.error().message, HasSubstr("view two")) << name;
  }
}

TEST(MethodRunner, TransferStartsFromItsBootViewAndTellsTheWay) {
  const ExperimentData data = clear_clusters(20);
  MethodOptions options = small_methods();
  options.transfer.net = &data.views[1];
  MethodRunner runner(data.views, options);
  const auto boot = runner.run("km", 0, 3).value();
  const auto run = runner.run("tl-km", 0, 3).value();
  EXPECT_EQ(run.boot_labels, boot.labels);
  ASSERT_GT(run.steps.size(), 2U);
  EXPECT_EQ(run.steps.front().labels, run.boot_labels);
  EXPECT_EQ(run.steps.front().confirmed, 0);
  EXPECT_EQ(run.steps.back().confirmed, 1);
}

TEST(MethodRunner, WhatMethodsShareIsTheSameDoneOnceOrAgain) {
  const ExperimentData data = clear_clusters(20);
  MethodRunner together(data.views, small_methods());
  const auto jule = together.run("jule", 1, 5).value();
  ASSERT_TRUE(together.run("jule", 0, 5));
  const auto shared = together.run("dmvc-fix-jule", 0, 5).value();
  MethodRunner alone(data.views, small_methods());
  const auto again = alone.run("dmvc-fix-jule", 0, 5).value();
  EXPECT_EQ(shared.labels, again.labels);
  EXPECT_EQ(shared.representation, again.representation);
  // As if it had done the view's own clustering, too.
  EXPECT_GT(shared.seconds, jule.seconds);
}

TEST(MethodRunner, KeptWorkIsOfOneSeed) {
  const ExperimentData data = clear_clusters(20);
  MethodRunner runner(data.views, small_methods());
  ASSERT_TRUE(runner.run("dmvc-fix-jule", 0, 1));
  const auto second = runner.run("dmvc-fix-jule", 0, 2).value();
  MethodRunner fresh(data.views, small_methods());
  EXPECT_EQ(second.representation,
            fresh.run("dmvc-fix-jule", 0, 2).value().representation);
}

TEST(MethodRunner, TheBoundOfUpdatesEndsTheSecondPhase) {
  const ExperimentData data = clear_clusters(20);
  MethodOptions options = small_methods();
  options.embedded.target_interval = 1;
  options.embedded.tolerance = 0;
  const auto steps_with = [&](int max_updates) {
    options.embedded.max_updates = max_updates;
    MethodRunner runner(data.views, options);
    return runner.run("idec", 0, 0).value().steps.size();
  };
  const std::size_t few = steps_with(3);
  EXPECT_EQ(steps_with(8), few + 5);
}

TEST(MethodRunner, StopsWhenAsked) {
  const ExperimentData data = clear_clusters(20);
  MethodOptions options = small_methods();
  options.cancelled = [] { return true; };
  MethodRunner runner(data.views, options);
  for (const char* name : {"km", "jule", "idec", "mvec-km", "dmvc"}) {
    const auto run = runner.run(name, 0, 0);
    ASSERT_FALSE(run) << name;
    EXPECT_EQ(run.error().code, ErrorCode::kCancelled) << name;
  }
}

TEST(MethodRunner, SettingsNameWhatDecides) {
  const ExperimentData data = clear_clusters(5);
  MethodOptions options = small_methods();
  options.transfer.net = &data.views[1];
  options.transfer.initial_share = 0.3;
  options.transfer.distance = RowDistance::kCityBlock;
  const MethodRunner runner(data.views, options);
  EXPECT_EQ(runner.settings("km"), "");
  EXPECT_EQ(runner.settings("dmvc"), "views=one,two");
  EXPECT_EQ(runner.settings("mvec-jule"), "views=one,two");
  for (const char* name : {"dec", "idec", "dcn"}) {
    EXPECT_EQ(runner.settings(name), "max_updates=300") << name;
  }
  for (const char* name : {"cc-idec", "mvec-idec", "dmvc-fix-idec"}) {
    EXPECT_EQ(runner.settings(name), "views=one,two max_updates=300") << name;
  }
  EXPECT_EQ(runner.settings("tl-km"),
            "net=two layers=head Delta=0.3 delta=0.1 k_max=20 city-block");
}

}  // namespace
}  // namespace shoal::eval
