#include "daemon/eval/stream_report.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "tests/daemon/eval/clear_clusters.h"

namespace shoal::eval {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class StreamReportTest : public testing::Test {
 protected:
  StreamReport make() {
    StreamOptions options;
    options.refine_every = 50;
    options.method = "mvec-km";
    options.refinement.clusters = test::kClearClusters;
    return run_stream_experiment(test::clear_clusters(20), options,
                                 [](const StreamReport&) { return ok(); })
        .value();
  }
  json rows(const StreamReport& report) {
    const auto file = folder_.path() / "stream.json";
    EXPECT_TRUE(write_stream_rows(file, report));
    return json::parse(read_file(file, 1 << 20).value());
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-stream").value();
};

TEST_F(StreamReportTest, TheSameSeedGivesTheSameRows) {
  json first = rows(make());
  json second = rows(make());
  for (json* list : {&first, &second}) {
    for (json& row : *list) row.erase("seconds");
  }
  EXPECT_EQ(first, second);
}

TEST_F(StreamReportTest, RowsHaveSettingsAndScores) {
  const json list = rows(make());
  ASSERT_EQ(list.size(), 7U);  // 2 runs and an end of each order, and both
  for (const json& row : list) {
    EXPECT_EQ(row.at("dataset"), "clouds");
    EXPECT_EQ(row.at("views"), json({"one", "two"}));
    EXPECT_EQ(row.at("method"), "mvec-km");
    EXPECT_EQ(row.at("k"), 4);
    EXPECT_EQ(row.at("refine_every"), 50);
    EXPECT_EQ(row.at("confirm_share"), 0.2);
    EXPECT_EQ(row.at("confirm_agreement"), 0.8);
    EXPECT_EQ(row.at("seed"), 0);
  }
  const json& first = list[0];
  EXPECT_EQ(first.at("row"), "run");
  EXPECT_EQ(first.at("order"), "random");
  EXPECT_EQ(first.at("run"), 1);
  EXPECT_EQ(first.at("images"), 50);
  EXPECT_EQ(first.at("status"), "published");
  EXPECT_DOUBLE_EQ(first.at("nmi"), 1);
  EXPECT_DOUBLE_EQ(first.at("acc_assigned"), 1);
  EXPECT_EQ(first.at("online_images"), 50);
  EXPECT_EQ(first.at("online_nmi"), nullptr);
  EXPECT_EQ(first.at("online_acc_assigned"), nullptr);
  EXPECT_EQ(first.at("unseen_unassigned"), 50);
  EXPECT_EQ(first.at("unseen_confidence"), nullptr);
  EXPECT_EQ(first.at("kept"), nullptr);
  EXPECT_EQ(first.at("confirmed_changed"), 0);
  EXPECT_EQ(list[1].at("images"), 80);
  EXPECT_EQ(list[1].at("seen_images"), 30);
  EXPECT_EQ(list[1].at("kept"), 1);
  EXPECT_EQ(list[2].at("order"), "classes");
  EXPECT_EQ(list[4].at("row"), "end");
  EXPECT_DOUBLE_EQ(list[4].at("batch_nmi"), 1);
  EXPECT_NEAR(list[4].at("gap_nmi"), 0, 1e-9);
  EXPECT_EQ(list[6].at("row"), "orders");
  EXPECT_GT(list[6].at("ari").get<double>(), 0.5);
}

TEST_F(StreamReportTest, WhatIsThereSoFarIsWrittenToo) {
  EXPECT_EQ(rows(StreamReport{}), json::array());
  StreamReport report = make();
  report.clusters = 0;
  report.ends.clear();
  report.runs.resize(1);
  const json list = rows(report);
  EXPECT_EQ(list[0].at("k"), "auto");
  EXPECT_EQ(write_stream_rows(folder_.path() / "no" / "stream.json", report)
                .error()
                .code,
            ErrorCode::kIo);
}

TEST_F(StreamReportTest, TheTablesShowEveryStream) {
  StreamReport report = make();
  report.runs[0].status = "failed";
  report.runs[0].reason = "no luck";
  const std::string table = stream_table(report);
  EXPECT_THAT(table, HasSubstr("clouds, random order, seed 0: mvec-km, K 4, a "
                               "run every 50 images"));
  EXPECT_THAT(table, HasSubstr("clouds, classes order, seed 0"));
  EXPECT_THAT(table, HasSubstr("failed: no luck"));
  EXPECT_THAT(table, HasSubstr("ARI of the two orders, seed 0: "));
  EXPECT_THAT(table, HasSubstr("batch NMI"));
}

}  // namespace
}  // namespace shoal::eval
