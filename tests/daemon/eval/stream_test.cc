#include "daemon/eval/stream.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/daemon/eval/clear_clusters.h"

namespace shoal::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// 240 images of 4 far classes.
class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    options_.orders = {StreamOrder::kRandom};
    options_.refine_every = 80;
    options_.method = "mvec-km";
    options_.refinement.clusters = test::kClearClusters;
    options_.messages = &messages_;
  }
  Result<StreamReport> run() {
    return run_stream_experiment(data_, options_,
                                 [this](const StreamReport& report) {
                                   written_.push_back(report);
                                   return added_();
                                 });
  }

  ExperimentData data_ = test::clear_clusters(60);
  StreamOptions options_;
  std::ostringstream messages_;
  std::vector<StreamReport> written_;
  std::function<Result<void>()> added_ = [] { return ok(); };
};

TEST_F(StreamTest, ClearClassesInRandomOrderAreToldApart) {
  const auto report = run();
  ASSERT_TRUE(report) << report.error().message;
  const auto& runs = report.value().runs;
  ASSERT_EQ(runs.size(), 3U);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const StreamRun& run = runs[i];
    EXPECT_EQ(run.run, static_cast<int>(i) + 1);
    EXPECT_EQ(run.images, 80 * (i + 1));
    EXPECT_EQ(run.status, "published") << run.reason;
    EXPECT_EQ(run.labels.images, run.images);
    EXPECT_EQ(run.labels.unassigned, 0U);
    EXPECT_DOUBLE_EQ(run.labels.all->nmi, 1);
    EXPECT_DOUBLE_EQ(run.labels.all->acc, 1);
    EXPECT_EQ(run.clusters, 4U);
    EXPECT_GT(run.confirmed, i > 0 ? runs[i - 1].confirmed : 0);
    EXPECT_EQ(run.purity.value(), 1);
    EXPECT_EQ(run.confirmed_changed, 0U);
  }
  // Before the first epoch nothing is known.
  EXPECT_FALSE(runs[0].online.all);
  EXPECT_EQ(runs[0].online.unassigned, 80U);
  EXPECT_EQ(runs[0].unseen.images, 80U);
  EXPECT_FALSE(runs[0].unseen.confidence);
  EXPECT_FALSE(runs[0].kept);
  EXPECT_FALSE(runs[0].churn);
  EXPECT_EQ(runs[0].born, 4U);
  // After it arrivals get the right cluster at once, and clusters stay.
  for (const StreamRun& run : {runs[1], runs[2]}) {
    EXPECT_EQ(run.seen.images, 80U);
    EXPECT_EQ(run.unseen.images, 0U);
    EXPECT_GT(run.seen.confidence.value(), 0.5);
    EXPECT_LT(run.online.unassigned, 20U);
    EXPECT_DOUBLE_EQ(run.online.assigned->nmi, 1);
    EXPECT_EQ(run.kept.value(), 1);
    EXPECT_EQ(run.born, 0U);
    EXPECT_EQ(run.ended, 0U);
    EXPECT_EQ(run.churn.value(), 0);
  }
  ASSERT_EQ(report.value().ends.size(), 1U);
  const StreamEnd& end = report.value().ends[0];
  EXPECT_DOUBLE_EQ(end.labels.all->nmi, 1);
  EXPECT_DOUBLE_EQ(end.batch.nmi, 1);
  EXPECT_DOUBLE_EQ(end.batch.acc, 1);
  EXPECT_EQ(end.clusters, 4U);
  EXPECT_EQ(end.batch_clusters, 4U);
  EXPECT_TRUE(report.value().agreements.empty());
  EXPECT_EQ(report.value().confirmed_changed(), 0U);
}

TEST_F(StreamTest, ClassByClassEveryClassIsFound) {
  options_.orders = {StreamOrder::kClasses};
  options_.refine_every = 120;
  options_.refinement.clusters = 0;
  const auto report = run();
  ASSERT_TRUE(report) << report.error().message;
  const auto& runs = report.value().runs;
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].clusters, 2U);
  // Two classes that nobody has seen come and are not taken for others.
  EXPECT_EQ(runs[1].seen.images, 0U);
  EXPECT_EQ(runs[1].unseen.images, 120U);
  EXPECT_EQ(runs[1].unseen.unassigned, 120U);
  EXPECT_FALSE(runs[1].online.assigned);
  EXPECT_EQ(runs[1].online.all->nmi, 0);
  EXPECT_EQ(runs[1].clusters, 4U);
  EXPECT_EQ(runs[1].born, 2U);
  EXPECT_EQ(runs[1].kept.value(), 1);
  EXPECT_DOUBLE_EQ(runs[1].labels.all->nmi, 1);
  EXPECT_EQ(runs[1].confirmed_changed, 0U);
  EXPECT_THAT(runs[1].note, HasSubstr("4"));
}

TEST_F(StreamTest, TheOrdersAreCompared) {
  options_.orders = {StreamOrder::kRandom, StreamOrder::kClasses};
  options_.refine_every = 240;
  options_.seeds = 2;
  const auto report = run();
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report.value().ends.size(), 4U);
  ASSERT_EQ(report.value().agreements.size(), 2U);
  for (std::size_t seed = 0; seed < 2; ++seed) {
    EXPECT_EQ(report.value().agreements[seed].seed, seed);
    EXPECT_DOUBLE_EQ(report.value().agreements[seed].ari, 1);
  }
  EXPECT_THAT(messages_.str(), HasSubstr("all at once, seed 1: NMI 1.0000"));
  EXPECT_THAT(messages_.str(),
              HasSubstr("classes order, seed 1, 240/240 images: published"));
  EXPECT_THAT(messages_.str(), HasSubstr("left for all"));
}

TEST_F(StreamTest, ThisManyImagesAreTooFewForTheFirstRun) {
  options_.refine_every = 3;
  data_ = test::clear_clusters(2);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().message;
  const auto& runs = report.value().runs;
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[0].status, "failed");
  EXPECT_THAT(runs[0].reason, HasSubstr("3 images are too few"));
  EXPECT_EQ(runs[0].labels.unassigned, 3U);
  EXPECT_FALSE(runs[0].churn);
  EXPECT_EQ(runs[1].status, "published");
  // The failed run has learned no class: all that come are new.
  EXPECT_EQ(runs[1].unseen.images, 3U);
  EXPECT_EQ(runs[2].images, 8U);
}

TEST_F(StreamTest, StoppedItHasWhatWasFinished) {
  std::atomic<bool> stop{false};
  options_.stop = &stop;
  added_ = [&] {
    stop = written_.back().runs.size() == 2;
    return ok();
  };
  const auto report = run();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
  ASSERT_EQ(written_.size(), 3U);
  EXPECT_TRUE(written_.front().runs.empty());
  EXPECT_EQ(written_.back().runs.size(), 2U);
  EXPECT_EQ(written_.back().dataset, "clouds");
  EXPECT_THAT(written_.back().views, ElementsAre("one", "two"));
}

TEST_F(StreamTest, WhatCannotBeWrittenEndsIt) {
  added_ = [&]() -> Result<void> {
    if (written_.back().runs.empty()) return ok();
    return storage_full("no room");
  };
  const auto report = run();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kStorageFull);
  EXPECT_EQ(written_.size(), 2U);
}

TEST_F(StreamTest, WhatCannotWorkIsSaidBeforeAnythingRuns) {
  const auto error = [this] {
    const auto report = run();
    EXPECT_FALSE(report);
    return report ? Error{} : report.error();
  };
  options_.method = "kmeans";
  EXPECT_EQ(error().code, ErrorCode::kNotFound);
  options_.method = "km";
  options_.refinement.clusters = 241;
  EXPECT_THAT(error().message, HasSubstr("241 clusters of 240 images"));
  options_.refinement.clusters = 4;
  options_.refine_every = 0;
  EXPECT_EQ(error().code, ErrorCode::kInvalidArgument);
  options_.refine_every = 80;
  data_.truth.pop_back();
  EXPECT_THAT(error().message, HasSubstr("view one has 240 rows of 239"));
  data_.views.clear();
  EXPECT_EQ(error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(written_.empty());

  data_ = test::clear_clusters(60);
  data_.views[1].name = "Two";  // not a name for the store
  EXPECT_THAT(error().message, HasSubstr("view Two"));
}

TEST(StreamOrder, IsAPermutationByTheSeed) {
  const std::vector<int> truth = {2, 0, 1, 1, 0, 2, 0, 2, 1, 0};
  for (const auto order : {StreamOrder::kRandom, StreamOrder::kClasses}) {
    auto rows = stream_order(truth, order, 4);
    EXPECT_EQ(stream_order(truth, order, 4), rows);
    EXPECT_NE(stream_order(truth, order, 5), rows);
    std::vector<std::size_t> all(truth.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    EXPECT_NE(rows, all);
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, all);
  }
}

TEST(StreamOrder, ClassesComeOneAfterTheOther) {
  std::vector<int> truth;
  for (int i = 0; i < 60; ++i) truth.push_back(i % 6);
  std::vector<int> classes;
  for (const std::size_t row : stream_order(truth, StreamOrder::kClasses, 1)) {
    if (classes.empty() || classes.back() != truth[row]) {
      classes.push_back(truth[row]);
    }
  }
  EXPECT_EQ(classes.size(), 6U);
  EXPECT_FALSE(std::is_sorted(classes.begin(), classes.end()));
}

}  // namespace
}  // namespace shoal::eval
