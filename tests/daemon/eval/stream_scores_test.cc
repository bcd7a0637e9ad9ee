#include "daemon/eval/internal/stream_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::eval {
namespace {

Label in(std::uint64_t cluster, LabelState state = LabelState::kAssigned) {
  Label label;
  label.cluster = ClusterId(cluster);
  label.state = cluster == 0 ? LabelState::kUnassigned : state;
  label.confidence = 0.5F;
  return label;
}

TEST(StreamScores, UnassignedImagesAreOneMoreCluster) {
  const std::vector<int> truth = {0, 0, 0, 1, 1, 1};
  const auto scores =
      score_labels(truth, {in(7), in(7), in(0), in(9), in(9), in(9)}).value();
  EXPECT_EQ(scores.images, 6U);
  EXPECT_EQ(scores.unassigned, 1U);
  EXPECT_DOUBLE_EQ(scores.all->acc, 5.0 / 6);
  EXPECT_LT(scores.all->nmi, 1);
  EXPECT_DOUBLE_EQ(scores.assigned->nmi, 1);
  EXPECT_DOUBLE_EQ(scores.assigned->acc, 1);

  const auto none = score_labels({0, 1}, {in(0), in(0)}).value();
  EXPECT_EQ(none.unassigned, 2U);
  EXPECT_EQ(none.all->nmi, 0);
  EXPECT_FALSE(none.assigned);
  EXPECT_FALSE(score_labels({}, {}).value().all);
}

TEST(StreamScores, ArrivalsAreCountedByWhetherTheirClassWasSeen) {
  const std::vector<int> truth = {0, 1, 1, 2};
  std::vector<Label> labels = {in(1), in(0), in(1), in(0)};
  labels[1].confidence = 0.25F;
  const StreamArrivals seen = count_arrivals(truth, labels, {1}, true);
  EXPECT_EQ(seen.images, 2U);
  EXPECT_EQ(seen.unassigned, 1U);
  EXPECT_EQ(seen.confidence.value(), 0.375);
  const StreamArrivals unseen = count_arrivals(truth, labels, {1}, false);
  EXPECT_EQ(unseen.images, 2U);
  EXPECT_EQ(unseen.unassigned, 1U);
  EXPECT_EQ(unseen.confidence.value(), 0.5);
  EXPECT_FALSE(count_arrivals(truth, labels, {3}, true).confidence);
}

TEST(StreamScores, ClustersAreComparedByTheirIds) {
  // 1 keeps two of three images, 2 one of three, 3 ends, 4 is born.
  const std::vector<Label> before = {in(1), in(1), in(1), in(2),
                                     in(2), in(2), in(3), in(0)};
  const std::vector<Label> after = {in(1), in(1), in(4), in(2),
                                    in(4), in(1), in(4), in(1)};
  StreamRun run;
  compare_clusters(before, after, run);
  EXPECT_EQ(run.clusters, 3U);
  EXPECT_EQ(run.born, 1U);
  EXPECT_EQ(run.ended, 1U);
  EXPECT_EQ(run.kept.value(), 0.5);

  StreamRun first;
  compare_clusters({in(0), in(0)}, {in(1), in(0)}, first);
  EXPECT_FALSE(first.kept);
  EXPECT_EQ(first.born, 1U);
}

TEST(ConfirmedWatch, NeverForgetsALabel) {
  const auto fixed = [](std::uint64_t cluster) {
    return in(cluster, LabelState::kConfirmed);
  };
  const std::vector<int> truth = {0, 0, 1, 1};
  ConfirmedWatch watch;
  const auto look = [&](const std::vector<Label>& labels) {
    StreamRun run;
    watch.look(truth, labels, run);
    return run;
  };
  StreamRun run = look({in(1), in(1), in(2), in(2)});
  EXPECT_EQ(run.confirmed, 0U);
  EXPECT_FALSE(run.purity);
  run = look({fixed(1), fixed(1), fixed(1), in(2)});
  EXPECT_EQ(run.confirmed, 3U);
  EXPECT_DOUBLE_EQ(run.purity.value(), 2.0 / 3);
  EXPECT_EQ(run.confirmed_changed, 0U);
  // One is open again, one is confirmed elsewhere, one is new.
  run = look({in(1), fixed(2), fixed(1), fixed(2)});
  EXPECT_EQ(run.confirmed_changed, 2U);
  // The first confirmation is what counts, for ever.
  EXPECT_EQ(look({in(1), fixed(2), fixed(1), fixed(2)}).confirmed_changed, 2U);
  EXPECT_EQ(look({fixed(1), fixed(1), fixed(1), fixed(2)}).confirmed_changed,
            0U);
}

}  // namespace
}  // namespace shoal::eval
