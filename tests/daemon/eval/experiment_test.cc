#include "daemon/eval/experiment.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "tests/daemon/eval/clear_clusters.h"

namespace shoal::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ExperimentTest : public testing::Test {
 protected:
  ExperimentTest() {
    options_.messages = &messages_;
    options_.map_rows = 0;
  }
  Result<std::size_t> run() {
    return run_experiment(data_, methods_, options_, results_);
  }
  [[nodiscard]] std::vector<std::string> done() const {
    std::vector<std::string> names;
    for (const ResultRow& row : results_.rows()) {
      names.push_back(row.key.method + " " + row.key.view + " " +
                      std::to_string(row.key.seed));
    }
    return names;
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-experiment").value();
  ResultFolder results_ = ResultFolder::open(folder_.path()).value();
  ExperimentData data_ = test::clear_clusters(20);
  MethodOptions methods_ = test::small_methods();
  std::ostringstream messages_;
  ExperimentOptions options_;
};

TEST_F(ExperimentTest, RunsEveryMethodOnItsViewsWithEverySeed) {
  options_.methods = {"mvec-km", "km"};
  options_.seeds = 2;
  const auto failed = run();
  ASSERT_TRUE(failed) << failed.error().message;
  EXPECT_EQ(failed.value(), 0U);
  EXPECT_THAT(done(), ElementsAre("km one 0", "km two 0", "mvec-km all 0",
                                  "km one 1", "km two 1", "mvec-km all 1"));
  for (const ResultRow& row : results_.rows()) {
    EXPECT_EQ(row.key.dataset, "clouds");
    EXPECT_EQ(row.key.n, 80U);
    EXPECT_EQ(row.key.k, 4);
    EXPECT_EQ(row.nmi, 1);
    EXPECT_EQ(row.acc, 1);
    EXPECT_EQ(row.ari, 1);
    EXPECT_GT(row.dbi, 0);
    EXPECT_GT(row.seconds, 0);
    EXPECT_GT(row.peak_mib, 1);
  }
  EXPECT_THAT(messages_.str(), HasSubstr("6/6 mvec-km on all, seed 1: NMI 1"));
  EXPECT_THAT(messages_.str(), HasSubstr("left for all"));
}

TEST_F(ExperimentTest, KeepsWhatTheReportShows) {
  options_.methods = {"jule", "tl-km"};
  options_.map_rows = 50;
  methods_.transfer.net = &data_.views[1];
  ASSERT_TRUE(run());
  ASSERT_THAT(done(), ElementsAre("jule one 0", "jule two 0", "tl-km one 0",
                                  "tl-km two 0"));
  EXPECT_GT(results_.rows()[0].km_nmi.value(), 0.9);
  EXPECT_FALSE(results_.rows()[0].dbi_ratio);
  EXPECT_FALSE(results_.rows()[2].km_nmi);
  EXPECT_GT(results_.rows()[2].dbi_ratio.value(), 0);
  const RunDetail detail = results_.detail(2).value();
  EXPECT_EQ(detail.labels.size(), data_.truth.size());
  EXPECT_EQ(detail.map.rows(), 50);
  EXPECT_EQ(detail.map_rows.size(), 50U);
  ASSERT_GT(detail.curve.size(), 2U);
  EXPECT_EQ(detail.curve.front().confirmed, 0);
  EXPECT_EQ(detail.curve.back().confirmed, 1);
}

TEST_F(ExperimentTest, AnInterruptedOneGoesOnWhereItWas) {
  options_.methods = {"km", "jule"};
  options_.seeds = 2;
  std::atomic<bool> stop{false};
  options_.stop = &stop;
  // Stopped as soon as the first jule is told of.
  struct Buffer : std::stringbuf {
    std::atomic<bool>* stop = nullptr;
    int sync() override {
      if (str().find("jule on one, seed 0: NMI") != std::string::npos) {
        *stop = true;
      }
      return 0;
    }
  } buffer;
  buffer.stop = &stop;
  std::ostream messages(&buffer);
  options_.messages = &messages;
  const auto first = run();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kCancelled);
  EXPECT_THAT(done(), ElementsAre("km one 0", "km two 0", "jule one 0"));

  stop = false;
  options_.messages = &messages_;
  const auto second = run();
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_THAT(messages_.str(), HasSubstr("3 of 8 runs are there already"));
  EXPECT_THAT(messages_.str(), HasSubstr("1/5 jule on two, seed 0"));
  EXPECT_EQ(results_.rows().size(), 8U);
  const auto third = run();
  ASSERT_TRUE(third);
  EXPECT_EQ(results_.rows().size(), 8U);
}

TEST_F(ExperimentTest, OtherFeaturesAreAnotherExperiment) {
  options_.methods = {"km", "mvec-km"};
  ASSERT_TRUE(run());
  data_.views[1].rows(0, 0) += 0.5F;
  ASSERT_TRUE(run());
  EXPECT_THAT(done(), ElementsAre("km one 0", "km two 0", "mvec-km all 0",
                                  "km two 0", "mvec-km all 0"));
}

TEST_F(ExperimentTest, AMethodThatFailsDoesNotStopTheOthers) {
  options_.methods = {"jule", "km"};
  methods_.jule.batch = -1;
  const auto failed = run();
  ASSERT_TRUE(failed) << failed.error().message;
  EXPECT_EQ(failed.value(), 2U);
  EXPECT_THAT(done(), ElementsAre("km one 0", "km two 0"));
  EXPECT_THAT(messages_.str(), HasSubstr("jule on two, seed 0: FAILED: "));
}

TEST_F(ExperimentTest, WhatCannotWorkIsSaidBeforeAnythingRuns) {
  options_.methods = {"km", "kmeans"};
  auto failed = run();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(failed.error().message, HasSubstr("no method kmeans"));

  options_.methods = {"km", "tl-gmm"};
  failed = run();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(failed.error().message, HasSubstr("--transfer-net"));

  options_.methods = {"km"};
  for (const int clusters : {0, 81}) {
    methods_.clusters = clusters;
    failed = run();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(failed.error().message,
                HasSubstr(std::to_string(clusters) + " clusters of 80 images"));
  }
  methods_.clusters = 4;
  data_.truth.pop_back();
  EXPECT_EQ(run().error().code, ErrorCode::kInvalidArgument);
  data_.views.clear();
  EXPECT_EQ(run().error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(done(), testing::IsEmpty());
}

}  // namespace
}  // namespace shoal::eval
