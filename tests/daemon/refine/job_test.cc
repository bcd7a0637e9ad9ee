#include "daemon/refine/job.h"

#include <gtest/gtest.h>

#include "common/file.h"

namespace shoal {
namespace {

TEST(Job, IsReadBackAsWritten) {
  auto folder = TemporaryFolder::create("shoal-job-test").value();
  RefineJob job;
  job.checkpoint = "/a/b";
  job.output = "/c";
  job.method = "km";
  job.views = {"hog@none@1@8", "rp@none@2@4"};
  job.options.clusters = 7;
  job.options.max_train_images = 123;
  job.options.novelty_quantile = 0.9;
  job.options.seed = 18446744073709551615ULL;
  job.options.transfer.net = 1;
  job.options.transfer.rounds = 4;
  job.options.transfer.cluster_net = false;
  job.options.max_churn = 0.25;
  job.options.budget = std::chrono::duration<double>(90);
  job.max_memory = 5ULL << 32;
  job.threads = 3;
  job.nice = 5;
  ASSERT_TRUE(write_job(folder.path() / "job", job).has_value());
  const RefineJob read = read_job(folder.path() / "job").value();
  EXPECT_EQ(read.checkpoint, job.checkpoint);
  EXPECT_EQ(read.output, job.output);
  EXPECT_EQ(read.method, job.method);
  EXPECT_EQ(read.views, job.views);
  EXPECT_EQ(read.options.clusters, 7);
  EXPECT_EQ(read.options.max_train_images, 123);
  EXPECT_EQ(read.options.novelty_quantile, 0.9);
  EXPECT_EQ(read.options.seed, job.options.seed);
  EXPECT_EQ(read.options.transfer.net, 1U);
  EXPECT_EQ(read.options.transfer.rounds, 4);
  EXPECT_FALSE(read.options.transfer.cluster_net);
  EXPECT_EQ(read.options.max_churn, 0.25);
  EXPECT_EQ(read.options.budget.count(), 90);
  EXPECT_EQ(read.max_memory, job.max_memory);
  EXPECT_EQ(read.threads, 3);
  EXPECT_EQ(read.nice, 5);
}

TEST(Job, TheSameWorkIsThatWithEqualResults) {
  RefineJob job;
  job.method = "km";
  job.version = "1";
  job.views = {"hog@none@1@8"};
  RefineJob other = job;
  other.output = "/elsewhere";
  other.nice = 7;
  other.options.budget = std::chrono::duration<double>(5);
  EXPECT_TRUE(same_work(job, other));
  other.version = "2";
  EXPECT_FALSE(same_work(job, other));
  other = job;
  other.options.seed = 1;
  EXPECT_FALSE(same_work(job, other));
  other = job;
  other.views.emplace_back("rp@none@2@4");
  EXPECT_FALSE(same_work(job, other));
}

TEST(Job, MissingAndWrongKeysAreNamed) {
  auto folder = TemporaryFolder::create("shoal-job-test").value();
  const auto file = folder.path() / "job";
  EXPECT_EQ(read_job(file).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_file_atomically(file, "{}").has_value());
  EXPECT_NE(read_job(file).error().message.find("checkpoint"),
            std::string::npos);
  ASSERT_TRUE(write_file_atomically(file, "not json").has_value());
  EXPECT_EQ(read_job(file).error().code, ErrorCode::kInvalidArgument);
}

TEST(Job, EveryOptionIsThatOfTheSettings) {
  RefineConfig config = default_config().refine;
  config.clusters = 17;
  config.max_clusters = 18;
  config.embedding_dim = 19;
  config.max_train_images = 20;
  config.novelty_quantile = 0.75;
  config.novelty_slack = 2.5;
  config.confirm_share = 0.5;
  config.confirm_agreement = 0.25;
  config.confirm_min_members = 21;
  config.seed = 22;
  const RefinementOptions options = refinement_options(config);
  EXPECT_EQ(options.clusters, 17);
  EXPECT_EQ(options.max_clusters, 18);
  EXPECT_EQ(options.embedding_dim, 19);
  EXPECT_EQ(options.max_train_images, 20);
  EXPECT_EQ(options.novelty_quantile, 0.75);
  EXPECT_EQ(options.novelty_slack, 2.5);
  EXPECT_EQ(options.confirmation.share, 0.5);
  EXPECT_EQ(options.confirmation.min_agreement, 0.25);
  EXPECT_EQ(options.confirmation.min_members, 21);
  EXPECT_EQ(options.seed, 22U);
}

}  // namespace
}  // namespace shoal
