#include "daemon/book/cluster_book.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/daemon/book/toy_world.h"

namespace shoal {
namespace {

using test::ToyWorld;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ClusterBook, ArrivalsBeforeTheFirstEpochWaitInThePool) {
  ToyWorld world;
  world.add_kinds(2, 3);
  EXPECT_EQ(world.label("0-0").state, LabelState::kUnassigned);
  EXPECT_EQ(world.book().current().pool_size(), 6U);
  EXPECT_THAT(world.store().pending(ImageSeq{}, 100).value(), IsEmpty());
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AnEpochLabelsWhatIsStoredAndThenWhatArrives) {
  ToyWorld world;
  world.add_kinds(4, 10);
  const EpochId epoch = world.refine(4);
  EXPECT_EQ(world.store().current_epoch().value(), epoch);
  EXPECT_EQ(world.book().current().pool_size(), 0U);
  std::set<ClusterId> clusters;
  for (int kind = 0; kind < 4; ++kind) {
    const std::string prefix = std::to_string(kind) + "-";
    const Label arrived = world.add(prefix + "new", kind);
    EXPECT_EQ(arrived.cluster, world.label(prefix + "0").cluster);
    EXPECT_EQ(arrived.state, LabelState::kAssigned);
    EXPECT_GT(arrived.confidence, 0);
    clusters.insert(arrived.cluster);
  }
  EXPECT_THAT(clusters, SizeIs(4));
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AnArrivalUnlikeAnythingSeenStaysUnassigned) {
  ToyWorld world;
  world.add_kinds(3, 20);
  world.refine(3);
  const Label odd = world.add("odd", 9);
  EXPECT_EQ(odd.state, LabelState::kUnassigned);
  EXPECT_FALSE(odd.cluster.valid());
  EXPECT_EQ(world.book().current().pool_size(), 1U);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AFailedImageIsKeptInThePoolWithItsReason) {
  ToyWorld world;
  const ImageSeq seq = world.put("broken", 0);
  Arrival arrival;
  arrival.seq = seq;
  arrival.failure_code = "broken_image";
  arrival.failure_message = "does not decode";
  ASSERT_TRUE(world.book().arrive({arrival}).has_value());
  EXPECT_EQ(world.label("broken").state, LabelState::kUnassigned);
  EXPECT_EQ(world.store().images({seq}).value()[0]->failure_code,
            "broken_image");
  EXPECT_EQ(world.store().image_bytes(seq).value(), "bytes of broken");
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, SettlingTwiceChangesNothing) {
  ToyWorld world;
  const ImageSeq seq = world.put("a", 0);
  world.settle(seq);
  Arrival again;
  again.seq = seq;
  again.features = {world.point(0)};
  const auto settled = world.book().arrive({again, again}).value();
  EXPECT_FALSE(settled[0].changed);
  EXPECT_FALSE(settled[1].changed);
  EXPECT_EQ(world.book().totals().completed, 1U);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ImagesThatArriveDuringARunAreInTheNewEpoch) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(3, &seqs);
  world.add("1-late", 1);
  const auto ids = world.book().begin_staging(run, candidate).value();
  ASSERT_TRUE(
      world.book().stage(ToyWorld::rows_of(candidate, seqs, ids)).has_value());
  world.add("2-later", 2);
  while (!world.book().catch_up(1).value()) {
  }
  const ImageSeq still_pending = world.put("0-pending", 0);
  ASSERT_TRUE(world.book().finish_staging(true, "").has_value());
  EXPECT_EQ(world.label("1-late").cluster, world.label("1-0").cluster);
  EXPECT_EQ(world.label("2-later").cluster, world.label("2-0").cluster);
  EXPECT_EQ(world.settle(still_pending).cluster, world.label("0-0").cluster);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ImagesThatSettleOutOfOrderDuringARunAreInTheNewEpoch) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(3, &seqs);
  const auto ids = world.book().begin_staging(run, candidate).value();
  ASSERT_TRUE(
      world.book().stage(ToyWorld::rows_of(candidate, seqs, ids)).has_value());
  // Pending when catch_up comes by, settled before the flip, the later first.
  const ImageSeq early = world.put("0-early", 0);
  const ImageSeq late = world.put("1-late", 1);
  const ImageSeq never = world.put("2-never", 2);
  for (const std::size_t limit : {1U, 100U}) {
    while (!world.book().catch_up(limit).value()) {
    }
  }
  world.settle(late);
  while (!world.book().catch_up(1).value()) {
  }
  world.settle(early);
  ASSERT_TRUE(world.book().finish_staging(true, "").has_value());
  EXPECT_EQ(world.label("0-early").cluster, world.label("0-0").cluster);
  EXPECT_EQ(world.label("1-late").cluster, world.label("1-0").cluster);
  EXPECT_THAT(world.violations(), IsEmpty());
  EXPECT_EQ(world.settle(never).cluster, world.label("2-0").cluster);
}

TEST(ClusterBook, AnInterruptedRunIsFailedAndLeavesNothing) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  const auto before = world.labels();
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(2, &seqs);
  const auto ids = world.book().begin_staging(run, candidate).value();
  auto rows = ToyWorld::rows_of(candidate, seqs, ids);
  rows.resize(rows.size() / 2);
  ASSERT_TRUE(world.book().stage(rows).has_value());
  world.open();  // as after a kill
  EXPECT_EQ(world.store().current_epoch().value(), first);
  EXPECT_EQ(world.store().epoch(run).value().status, EpochStatus::kFailed);
  EXPECT_EQ(world.labels(), before);
  EXPECT_THAT(world.violations(), IsEmpty());
  EXPECT_NE(world.refine(3), run);
}

TEST(ClusterBook, ClusterIdsSurviveARunAndAreNeverReused) {
  ToyWorld world;
  world.add_kinds(4, 10);
  world.refine(4);
  std::set<ClusterId> first;
  for (const auto& [id, c] : world.book().current().clusters()) {
    first.insert(id);
  }
  world.add_kinds(4, 5, 100);
  world.refine(4);
  std::set<ClusterId> second;
  for (const auto& [id, c] : world.book().current().clusters()) {
    second.insert(id);
  }
  EXPECT_EQ(first, second);
  world.refine(2);
  world.refine(5);
  for (const auto& [id, c] : world.book().current().clusters()) {
    EXPECT_LE(id.value(), world.book().totals().last_cluster.value());
  }
  EXPECT_GT(world.book().totals().last_cluster.value(), 4U);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, RollingBackAndForwardRestoresEveryLabel) {
  ToyWorld world;
  world.add_kinds(4, 10);
  const EpochId first = world.refine(4);
  const auto labels_first = world.labels();
  const EpochId second = world.refine(2);
  const auto labels_second = world.labels();
  ASSERT_NE(labels_first, labels_second);
  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_EQ(world.labels(), labels_first);
  ASSERT_TRUE(world.activate(second).has_value());
  EXPECT_EQ(world.labels(), labels_second);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ARollbackLabelsWhatArrivedSince) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  world.refine(2);
  world.add("1-since", 1);
  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_EQ(world.label("1-since").cluster, world.label("1-0").cluster);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, CorrectionsSurviveRunsRollbacksAndRestarts) {
  ToyWorld world;
  world.add_kinds(3, 12);
  const EpochId first = world.refine(3);
  const ClusterId of_one = world.label("1-0").cluster;
  const ClusterId of_two = world.label("2-0").cluster;
  world.correct(CorrectionKind::kMove, {"0-0"}, of_one);
  world.correct(CorrectionKind::kReject, {"2-1"});
  EXPECT_NE(world.label("2-1").cluster, of_two);
  const auto check = [&](const std::string& when) {
    EXPECT_EQ(world.label("0-0").cluster, of_one) << when;
    EXPECT_EQ(world.label("0-0").state, LabelState::kConfirmed) << when;
    EXPECT_NE(world.label("2-1").cluster, of_two) << when;
    EXPECT_THAT(world.violations(), IsEmpty()) << when;
  };
  check("at once");
  world.refine(3);
  check("after a run");
  ASSERT_TRUE(world.activate(first).has_value());
  check("after a rollback");
  world.open();
  check("after a restart");
  world.refine(3);
  check("after another run");
}

TEST(ClusterBook, ACorrectionMadeLaterIsCarriedIntoAnOlderEpoch) {
  ToyWorld world;
  world.add_kinds(3, 12);
  const EpochId first = world.refine(3);
  world.refine(3);
  const ClusterId of_one = world.label("1-0").cluster;
  world.correct(CorrectionKind::kConfirm, {"0-3"}, of_one);
  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_EQ(world.label("0-3").cluster, of_one);
  EXPECT_EQ(world.label("0-3").state, LabelState::kConfirmed);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AMergeMovesAllAndUndoBringsThemBack) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  world.correct(CorrectionKind::kConfirm, {"1-1"});
  const auto before = world.labels();
  world.correct(CorrectionKind::kMerge, {}, of_zero, of_one);
  EXPECT_EQ(world.label("1-0").cluster, of_zero);
  EXPECT_EQ(world.label("1-1").state, LabelState::kConfirmed);
  EXPECT_EQ(world.book().resolve(of_one).value(), of_zero);
  // What looks like the absorbed cluster goes to the survivor.
  EXPECT_EQ(world.add("1-late", 1).cluster, of_zero);
  EXPECT_THAT(world.violations(), IsEmpty());
  world.correct(CorrectionKind::kUndo, {});
  for (const auto& [name, label] : before) {
    EXPECT_EQ(world.label(name).cluster, label.cluster) << name;
    EXPECT_EQ(world.label(name).state, label.state) << name;
  }
  EXPECT_EQ(world.add("1-later", 1).cluster, of_one);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AMergeSurvivesARollbackToBeforeIt) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  world.correct(CorrectionKind::kMerge, {}, of_zero, of_one);
  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_EQ(world.label("1-0").cluster, of_zero);
  EXPECT_FALSE(world.book().current().has_cluster(of_one));
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ASplitFoundsAClusterThatTakesArrivals) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(2);  // two of the kinds share a cluster
  ClusterId mixed;
  int lone = 0;
  for (int kind = 0; kind < 3; ++kind) {
    const ClusterId a = world.label(std::to_string(kind) + "-0").cluster;
    const ClusterId b =
        world.label(std::to_string((kind + 1) % 3) + "-0").cluster;
    if (a == b) {
      mixed = a;
      lone = kind;
    }
  }
  ASSERT_TRUE(mixed.valid());
  const std::string prefix = std::to_string(lone) + "-";
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) names.push_back(prefix + std::to_string(i));
  const auto outcome = world.correct(CorrectionKind::kSplit, names, mixed);
  EXPECT_EQ(world.label(names[0]).cluster, outcome.cluster);
  EXPECT_EQ(world.label(names[0]).state, LabelState::kConfirmed);
  EXPECT_EQ(world.add(prefix + "late", lone).cluster, outcome.cluster);
  EXPECT_THAT(world.violations(), IsEmpty());
  world.refine(3);
  EXPECT_EQ(world.label(names[0]).cluster, outcome.cluster);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, UndoRestoresAConfirmation) {
  ToyWorld world;
  world.add_kinds(2, 10);
  world.refine(2);
  const Label before = world.label("0-0");
  world.correct(CorrectionKind::kMove, {"0-0"}, world.label("1-0").cluster);
  world.correct(CorrectionKind::kUndo, {});
  EXPECT_EQ(world.label("0-0"), before);
  EXPECT_THAT(world.violations(), IsEmpty());
  const auto again =
      world.book().correct(ToyWorld::request(CorrectionKind::kUndo, {}));
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, ErrorCode::kFailedPrecondition);
}

TEST(ClusterBook, ARefusedCorrectionChangesNothing) {
  ToyWorld world;
  world.add_kinds(2, 5);
  const auto early = world.book().correct(
      ToyWorld::request(CorrectionKind::kConfirm, {"0-0"}));
  EXPECT_EQ(early.error().code, ErrorCode::kFailedPrecondition);
  world.refine(2);
  const auto before = world.labels();
  const ClusterId of_one = world.label("1-0").cluster;
  // The second image does not exist: the first must not be moved either.
  EXPECT_EQ(world.book()
                .correct(ToyWorld::request(CorrectionKind::kMove,
                                           {"0-0", "no-such"}, of_one))
                .error()
                .code,
            ErrorCode::kNotFound);
  // A rejected image cannot be confirmed there.
  world.correct(CorrectionKind::kReject, {"1-1"});
  const auto after_reject = world.labels();
  EXPECT_EQ(world.book()
                .correct(ToyWorld::request(CorrectionKind::kMove,
                                           {"0-1", "1-1"}, of_one))
                .error()
                .code,
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(world.labels(), after_reject);
  EXPECT_EQ(world.book()
                .correct(ToyWorld::request(CorrectionKind::kMerge, {}, of_one,
                                           of_one))
                .error()
                .code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(world.book()
                .correct(ToyWorld::request(CorrectionKind::kMove, {"0-0"},
                                           ClusterId(999)))
                .error()
                .code,
            ErrorCode::kNotFound);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, DeletedImagesAreGoneFromEveryEpoch) {
  ToyWorld world;
  world.add_kinds(3, 8);
  const EpochId first = world.refine(3);
  world.refine(3);
  world.put("pending", 0);
  EXPECT_EQ(world.book()
                .remove({ImageId::parse("0-0").value(),
                         ImageId::parse("pending").value(),
                         ImageId::parse("unknown").value()})
                .value(),
            2U);
  EXPECT_THAT(world.violations(), IsEmpty());
  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_FALSE(
      world.store().find(ImageId::parse("0-0").value()).value().has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AHeldEpochIsNotCurrentUntilItIsPublished) {
  ToyWorld world;
  world.add_kinds(3, 8);
  const EpochId first = world.refine(3);
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(2, &seqs);
  const auto ids = world.book().begin_staging(run, candidate).value();
  ASSERT_TRUE(
      world.book().stage(ToyWorld::rows_of(candidate, seqs, ids)).has_value());
  ASSERT_TRUE(world.book().finish_staging(false, "dry run").has_value());
  EXPECT_EQ(world.store().current_epoch().value(), first);
  EXPECT_EQ(world.store().epoch(run).value().status, EpochStatus::kHeld);
  world.add("1-late", 1);
  ASSERT_TRUE(world.activate(run).has_value());
  EXPECT_EQ(world.store().current_epoch().value(), run);
  EXPECT_TRUE(world.label("1-late").cluster.valid());
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, OfHeldEpochsTheOldestAreDropped) {
  ToyWorld world;
  world.add_kinds(3, 8);
  const EpochId current = world.refine(3);
  std::vector<EpochId> held;
  for (int i = 0; i < 6; ++i) {
    held.push_back(world.book().begin_run("km", "test").value());
    std::vector<ImageSeq> seqs;
    const Candidate candidate = world.learn(3, &seqs);
    const auto ids = world.book().begin_staging(held.back(), candidate).value();
    ASSERT_TRUE(world.book()
                    .stage(ToyWorld::rows_of(candidate, seqs, ids))
                    .has_value());
    ASSERT_TRUE(world.book().finish_staging(false, "worse").has_value());
    while (!world.book().drop_an_old_epoch().value()) {
    }
  }
  const auto most =
      static_cast<std::size_t>(ClusterBook::Options().keep_epochs);
  for (std::size_t i = 0; i < held.size(); ++i) {
    const EpochStatus status = world.store().epoch(held[i]).value().status;
    EXPECT_EQ(status, i + most < held.size() ? EpochStatus::kDropped
                                             : EpochStatus::kHeld)
        << i;
  }
  EXPECT_EQ(world.store().current_epoch().value(), current);
  EXPECT_TRUE(world.activate(held.back()).has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ARunTakesOverWhatAFailedOneHadRead) {
  ToyWorld world;
  world.add_kinds(3, 8);
  world.refine(3);
  const EpochId failed = world.book().begin_run("km", "test").value();
  const EpochRecord read = world.store().epoch(failed).value();
  ASSERT_TRUE(
      world.book().end_run(failed, EpochStatus::kFailed, "killed").has_value());
  world.add("1-late", 1);
  const EpochId next = world.book().begin_run("km", "test").value();
  ASSERT_NE(world.store().epoch(next).value().low_water, read.low_water);
  EXPECT_TRUE(world.book().continue_run(next, failed).value());
  EXPECT_EQ(world.store().epoch(next).value().low_water, read.low_water);
  EXPECT_EQ(world.store().epoch(next).value().corrections_seen,
            read.corrections_seen);
  ASSERT_TRUE(
      world.book().end_run(next, EpochStatus::kFailed, "again").has_value());
  // Under another epoch it cannot.
  world.refine(3);
  const EpochId later = world.book().begin_run("km", "test").value();
  EXPECT_FALSE(world.book().continue_run(later, failed).value());
  EXPECT_FALSE(world.book().continue_run(later, EpochId(999)).value());
  ASSERT_TRUE(
      world.book().end_run(later, EpochStatus::kFailed, "end").has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, OldEpochsAreDroppedAndCannotComeBack) {
  ToyWorld world;
  world.add_kinds(2, 8);
  const EpochId first = world.refine(2);
  for (int i = 0; i < 4; ++i) world.refine(2);
  EXPECT_EQ(world.store().epoch(first).value().status, EpochStatus::kDropped);
  const auto back = world.activate(first);
  ASSERT_FALSE(back.has_value());
  EXPECT_EQ(back.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ImagesWithoutFeaturesStayInThePoolOfEveryEpoch) {
  ToyWorld world;
  const ImageSeq seq = world.put("broken", 0);
  Arrival arrival;
  arrival.seq = seq;
  arrival.failure_code = "broken_image";
  ASSERT_TRUE(world.book().arrive({arrival}).has_value());
  world.add_kinds(3, 10);
  // As CheckpointSource does: the run learns without it.
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  world.hide("broken");
  const Candidate candidate = world.learn(3, &seqs);
  const auto ids = world.book().begin_staging(run, candidate).value();
  ASSERT_TRUE(
      world.book().stage(ToyWorld::rows_of(candidate, seqs, ids)).has_value());
  ASSERT_TRUE(world.book().finish_staging(true, "").has_value());
  EXPECT_EQ(world.label("broken").state, LabelState::kUnassigned);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, StackedCorrectionsAreUndoneOneByOne) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const Label before = world.label("0-0");
  const ClusterId of_one = world.label("1-0").cluster;
  const ClusterId of_two = world.label("2-0").cluster;
  world.correct(CorrectionKind::kConfirm, {"0-0"}, of_one);
  world.correct(CorrectionKind::kMove, {"0-0"}, of_two);
  world.correct(CorrectionKind::kUndo, {});
  EXPECT_EQ(world.label("0-0").cluster, of_one);
  EXPECT_EQ(world.label("0-0").state, LabelState::kConfirmed);
  world.correct(CorrectionKind::kUndo, {});
  EXPECT_EQ(world.label("0-0"), before);
  EXPECT_THAT(world.store().fixed({world.seq("0-0")}).value()[0],
              ::testing::Eq(std::nullopt));
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, UndoingAnEarlierCorrectionLeavesTheLaterOne) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_one = world.label("1-0").cluster;
  const ClusterId of_two = world.label("2-0").cluster;
  const auto first = world.correct(CorrectionKind::kConfirm, {"0-0"}, of_one);
  world.correct(CorrectionKind::kMove, {"0-0"}, of_two);
  auto request = ToyWorld::request(CorrectionKind::kUndo, {});
  request.correction = first.correction;
  ASSERT_TRUE(world.book().correct(request).has_value());
  EXPECT_EQ(world.label("0-0").cluster, of_two);
  EXPECT_EQ(world.label("0-0").state, LabelState::kConfirmed);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AConfirmationAfterAMergeOutlivesTheMergesUndo) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  const auto merge = world.correct(CorrectionKind::kMerge, {}, of_zero, of_one);
  world.correct(CorrectionKind::kConfirm, {"1-0"});
  auto request = ToyWorld::request(CorrectionKind::kUndo, {});
  request.correction = merge.correction;
  ASSERT_TRUE(world.book().correct(request).has_value());
  EXPECT_EQ(world.label("1-0").cluster, of_zero);
  EXPECT_EQ(world.label("1-1").cluster, of_one);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ARejectionIsNeverOverruledByAnUndo) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  const auto move = world.correct(CorrectionKind::kMove, {"0-0"}, of_one);
  world.correct(CorrectionKind::kReject, {"0-0"}, of_zero);
  auto request = ToyWorld::request(CorrectionKind::kUndo, {});
  request.correction = move.correction;
  ASSERT_TRUE(world.book().correct(request).has_value());
  EXPECT_NE(world.label("0-0").cluster, of_zero);
  EXPECT_NE(world.label("0-0").state, LabelState::kConfirmed);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AMergeThatContradictsARejectionIsRefused) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  world.correct(CorrectionKind::kMove, {"0-0"}, of_one);
  world.correct(CorrectionKind::kReject, {"0-0"}, of_zero);
  const auto before = world.labels();
  const auto refused = world.book().correct(
      ToyWorld::request(CorrectionKind::kMerge, {}, of_zero, of_one));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(world.labels(), before);
  EXPECT_THAT(world.violations(), IsEmpty());
  // The next run is none the worse for it.
  world.refine(3);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AnUndoIsNotForgottenByARollback) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  world.correct(CorrectionKind::kMerge, {}, of_zero, of_one);
  world.refine(2);
  world.correct(CorrectionKind::kUndo, {});
  EXPECT_TRUE(world.book().current().has_cluster(of_one));
  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_TRUE(world.book().current().has_cluster(of_one));
  EXPECT_EQ(world.label("1-0").cluster, of_one);
  EXPECT_EQ(world.label("0-0").cluster, of_zero);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ARejectionMadeDuringARunIsKeptByItsEpoch) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(3, &seqs);
  world.correct(CorrectionKind::kReject, {"0-0"});
  const auto ids = world.book().begin_staging(run, candidate).value();
  const auto rows = ToyWorld::rows_of(candidate, seqs, ids);
  ASSERT_TRUE(world.book().stage(rows).has_value());
  world.correct(CorrectionKind::kReject, {"0-1"});
  ASSERT_TRUE(world.book().finish_staging(true, "").has_value());
  EXPECT_NE(world.label("0-0").cluster, of_zero);
  EXPECT_NE(world.label("0-1").cluster, of_zero);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, TheEpochBeforeTheCurrentOneCanAlwaysBeRolledBackTo) {
  ToyWorld world;
  world.add_kinds(2, 8);
  const EpochId first = world.refine(2);
  world.refine(2);
  world.refine(2);
  ASSERT_TRUE(world.activate(first).has_value());
  world.refine(2);  // a bad one, say
  EXPECT_EQ(world.store().epoch(first).value().status, EpochStatus::kPublished);
  EXPECT_TRUE(world.activate(first).has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ARetiredClusterResolvesToWhereItsImagesWent) {
  ToyWorld world;
  world.add_kinds(4, 10);
  const EpochId first = world.refine(4);
  std::map<int, ClusterId> fine;
  for (int kind = 0; kind < 4; ++kind) {
    fine[kind] = world.label(std::to_string(kind) + "-0").cluster;
  }
  world.refine(2);
  for (int kind = 0; kind < 4; ++kind) {
    EXPECT_EQ(world.book().resolve(fine[kind]).value(),
              world.label(std::to_string(kind) + "-0").cluster);
  }
  std::vector<ClusterId> coarse;
  for (const auto& [id, c] : world.book().current().clusters()) {
    coarse.push_back(id);
  }
  ASSERT_TRUE(world.activate(first).has_value());
  for (const ClusterId id : coarse) {
    EXPECT_TRUE(world.book().resolve(id).has_value());
  }
}

// Random sequences of everything the book can do. After each step the store
// must be consistent, and what a person fixed must be where they put it.
/// Names of the confirmed images and their clusters.
std::map<std::string, ClusterId> confirmed(ToyWorld& world) {
  std::map<std::string, ClusterId> found;
  for (const auto& [name, label] : world.labels()) {
    if (label.state == LabelState::kConfirmed) found[name] = label.cluster;
  }
  return found;
}

TEST(ClusterBook, WhatARunConfirmsNoLaterRunChanges) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.confirm(0.3);
  world.refine(3);
  auto before = confirmed(world);
  ASSERT_EQ(before.size(), 9U);  // 3 of each 10
  for (int round = 0; round < 4; ++round) {
    // Other clusters are asked for each time: the fixed ones stay.
    world.refine(2 + round);
    const auto after = confirmed(world);
    EXPECT_GT(after.size(), before.size());
    for (const auto& [name, cluster] : before) {
      ASSERT_EQ(after.count(name), 1U) << name;
      EXPECT_EQ(after.at(name), cluster) << name;
    }
    before = after;
    EXPECT_THAT(world.violations(), IsEmpty());
    world.open();
    EXPECT_EQ(confirmed(world), before);
  }
}

TEST(ClusterBook, ARollbackWithdrawsWhatThatRunConfirmedAndNothingElse) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.confirm(0.2);
  const EpochId first = world.refine(3);
  const auto by_first = confirmed(world);
  ASSERT_FALSE(by_first.empty());
  const EpochId second = world.refine(3);
  const auto by_both = confirmed(world);
  ASSERT_GT(by_both.size(), by_first.size());
  const auto labels_of_second = world.labels();

  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_EQ(confirmed(world), by_first);
  EXPECT_THAT(world.violations(), IsEmpty());
  ASSERT_TRUE(world.activate(second).has_value());
  EXPECT_EQ(confirmed(world), by_both);
  EXPECT_EQ(world.labels(), labels_of_second);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, APersonsWordBetweenRollbackAndReturnStands) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  world.confirm(0.5);
  const EpochId second = world.refine(3);
  const auto by_second = confirmed(world);
  ASSERT_GE(by_second.size(), 3U);
  const std::string moved = by_second.begin()->first;
  const std::string rejected = std::next(by_second.begin())->first;
  const std::string deleted = std::next(by_second.begin(), 2)->first;

  ASSERT_TRUE(world.activate(first).has_value());
  EXPECT_TRUE(confirmed(world).empty());
  ClusterId elsewhere;
  for (const auto& [id, cluster] : world.book().current().clusters()) {
    if (id != by_second.at(moved)) elsewhere = id;
  }
  world.correct(CorrectionKind::kMove, {moved}, elsewhere);
  world.correct(CorrectionKind::kReject, {rejected}, by_second.at(rejected));
  ASSERT_TRUE(
      world.book().remove({ImageId::parse(deleted).value()}).has_value());
  ASSERT_TRUE(world.activate(second).has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
  auto expected = by_second;
  expected[moved] = elsewhere;
  expected.erase(rejected);
  expected.erase(deleted);
  EXPECT_EQ(confirmed(world), expected);
  EXPECT_NE(world.label(rejected).cluster, by_second.at(rejected));
}

TEST(ClusterBook, APersonMayMoveWhatARunConfirmedAndUndoThat) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.confirm(0.3);
  world.refine(3);
  const auto by_run = confirmed(world);
  const auto& [name, cluster] = *by_run.begin();
  const ClusterId elsewhere = std::prev(by_run.end())->second;
  ASSERT_NE(elsewhere, cluster);
  // A run's confirmations are not a person's to undo: the run is rolled back.
  const auto nothing =
      world.book().correct(ToyWorld::request(CorrectionKind::kUndo, {}));
  ASSERT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.error().code, ErrorCode::kFailedPrecondition);
  auto by_number = ToyWorld::request(CorrectionKind::kUndo, {});
  by_number.correction = CorrectionSeq(1);
  EXPECT_EQ(world.book().correct(by_number).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_FALSE(
      world.book()
          .correct(ToyWorld::request(CorrectionKind::kReject, {name}, cluster))
          .has_value());

  world.correct(CorrectionKind::kMove, {name}, elsewhere);
  EXPECT_EQ(world.label(name).cluster, elsewhere);
  world.refine(3);
  EXPECT_EQ(world.label(name).cluster, elsewhere);
  world.correct(CorrectionKind::kUndo, {});
  EXPECT_EQ(world.label(name).cluster, cluster);
  EXPECT_EQ(world.label(name).state, LabelState::kConfirmed);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, ARejectionAndAMergeBetweenRollbackAndReturnStand) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  world.confirm(0.5);
  const EpochId second = world.refine(3);
  std::vector<std::string> in_zero;
  for (const auto& [name, cluster] : confirmed(world)) {
    if (cluster == of_zero) in_zero.push_back(name);
  }
  ASSERT_GE(in_zero.size(), 2U);
  ASSERT_TRUE(world.activate(first).has_value());
  world.correct(CorrectionKind::kReject, {in_zero[0]}, of_zero);
  world.correct(CorrectionKind::kMerge, {}, of_one, of_zero);
  ASSERT_TRUE(world.activate(second).has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
  EXPECT_EQ(confirmed(world).count(in_zero[0]), 0U);
  EXPECT_EQ(confirmed(world).at(in_zero[1]), of_one);
}

TEST(ClusterBook, UndoingAMergeBringsBackWhatWasConfirmedWhileRolledBack) {
  ToyWorld world;
  world.add_kinds(3, 10);
  const EpochId first = world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  const ClusterId of_two = world.label("2-0").cluster;
  world.confirm(1);
  const EpochId second = world.refine(3);
  ASSERT_EQ(world.label("0-0").state, LabelState::kConfirmed);
  ASSERT_TRUE(world.activate(first).has_value());
  // Not in what the merge absorbs.
  world.correct(CorrectionKind::kMove, {"0-0"}, of_two);
  world.correct(CorrectionKind::kMerge, {}, of_one, of_zero);
  const auto merge = world.book().totals().last_correction;
  auto undo_move = ToyWorld::request(CorrectionKind::kUndo, {});
  undo_move.correction = CorrectionSeq(merge.value() - 1);
  ASSERT_TRUE(world.book().correct(undo_move).has_value());
  ASSERT_TRUE(world.activate(second).has_value());
  EXPECT_EQ(world.label("0-0").cluster, of_one);
  auto undo_merge = ToyWorld::request(CorrectionKind::kUndo, {});
  undo_merge.correction = merge;
  ASSERT_TRUE(world.book().correct(undo_merge).has_value());
  EXPECT_EQ(world.label("0-0").cluster, of_zero);
  EXPECT_THAT(world.violations(), IsEmpty());
  const auto before = world.labels();
  ASSERT_TRUE(world.activate(first).has_value());
  ASSERT_TRUE(world.activate(second).has_value());
  for (const auto& [name, label] : world.labels()) {
    EXPECT_EQ(label.cluster, before.at(name).cluster) << name;
    EXPECT_EQ(label.state, before.at(name).state) << name;
  }
}

TEST(ClusterBook, ARunConfirmsNothingInClustersThatPeopleChangedMeanwhile) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  const ClusterId of_zero = world.label("0-0").cluster;
  const ClusterId of_one = world.label("1-0").cluster;
  const ClusterId of_two = world.label("2-0").cluster;
  world.confirm(0.5);
  const EpochId run = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(3, &seqs);
  world.correct(CorrectionKind::kMerge, {}, of_one, of_zero);
  const auto merge = world.book().totals().last_correction;
  const auto ids = world.book().begin_staging(run, candidate).value();
  ASSERT_TRUE(
      world.book().stage(ToyWorld::rows_of(candidate, seqs, ids)).has_value());
  ASSERT_TRUE(world.book().finish_staging(true, "").has_value());
  EXPECT_THAT(world.violations(), IsEmpty());
  const auto by_run = confirmed(world);
  ASSERT_FALSE(by_run.empty());
  for (const auto& [name, cluster] : by_run) EXPECT_EQ(cluster, of_two) << name;
  auto undo = ToyWorld::request(CorrectionKind::kUndo, {});
  undo.correction = merge;
  ASSERT_TRUE(world.book().correct(undo).has_value());
  EXPECT_EQ(confirmed(world), by_run);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, WhatWasOnceCorrectedAndUndoneMayBeConfirmedLater) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  world.correct(CorrectionKind::kMove, {"0-0"}, world.label("1-0").cluster);
  world.correct(CorrectionKind::kUndo, {});
  world.confirm(1);
  world.refine(3);
  EXPECT_EQ(world.label("0-0").state, LabelState::kConfirmed);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, AHeldEpochConfirmsOnlyOnceItIsPublished) {
  ToyWorld world;
  world.add_kinds(3, 10);
  world.refine(3);
  world.confirm(0.3);
  const EpochId held = world.book().begin_run("km", "test").value();
  std::vector<ImageSeq> seqs;
  const Candidate candidate = world.learn(3, &seqs);
  const auto ids = world.book().begin_staging(held, candidate).value();
  ASSERT_TRUE(
      world.book().stage(ToyWorld::rows_of(candidate, seqs, ids)).has_value());
  ASSERT_TRUE(world.book().finish_staging(false, "churn").has_value());
  EXPECT_TRUE(confirmed(world).empty());
  EXPECT_THAT(world.violations(), IsEmpty());
  // Another run is published first: what it confirms stays.
  world.refine(3);
  const auto by_other = confirmed(world);
  ASSERT_FALSE(by_other.empty());
  ASSERT_TRUE(world.activate(held).has_value());
  const auto after = confirmed(world);
  for (const auto& [name, cluster] : by_other) {
    ASSERT_EQ(after.count(name), 1U) << name;
    EXPECT_EQ(after.at(name), cluster) << name;
  }
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(ClusterBook, RandomOperationsKeepEveryInvariant) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    ToyWorld world(seed);
    auto& random = world.random();
    const auto pick = [&](int n) {
      return static_cast<int>(random() % static_cast<std::uint64_t>(n));
    };
    int next = 0;
    for (int i = 0; i < 40; ++i) {
      const int kind = pick(5);
      world.add(std::to_string(kind) + "-" + std::to_string(next++), kind);
    }
    world.refine(4);
    std::vector<EpochId> epochs;
    for (int step = 0; step < 60; ++step) {
      std::vector<std::string> names;
      for (const auto& [name, label] : world.labels()) names.push_back(name);
      std::vector<ClusterId> clusters;
      for (const auto& [id, c] : world.book().current().clusters()) {
        clusters.push_back(id);
      }
      const std::string some = names[random() % names.size()];
      const std::string other = names[random() % names.size()];
      const ClusterId cluster =
          clusters.empty() ? ClusterId{} : clusters[random() % clusters.size()];
      const int what = pick(11);
      SCOPED_TRACE("seed " + std::to_string(seed) + " step " +
                   std::to_string(step) + " op " + std::to_string(what));
      // A refusal is a fine answer; what matters is the state afterwards.
      const auto ask = [&](const CorrectionRequest& request) {
        static_cast<void>(world.book().correct(request));
      };
      switch (what) {
        case 0: {
          const auto before = confirmed(world);
          world.confirm(pick(2) == 0 ? 0 : 0.3);
          epochs.push_back(world.refine(2 + pick(4)));
          const auto after = confirmed(world);
          for (const auto& [name, fixed_in] : before) {
            ASSERT_EQ(after.count(name), 1U) << name;
            ASSERT_EQ(after.at(name), fixed_in) << name;
          }
          break;
        }
        case 1:
          ask(ToyWorld::request(CorrectionKind::kConfirm, {some, other}));
          break;
        case 2:
          ask(ToyWorld::request(CorrectionKind::kReject, {some}));
          break;
        case 3:
          ask(ToyWorld::request(CorrectionKind::kMove, {some, other}, cluster));
          break;
        case 4:
          ask(ToyWorld::request(CorrectionKind::kMerge, {}, cluster,
                                world.label(some).cluster));
          break;
        case 5:
          ask(ToyWorld::request(CorrectionKind::kSplit, {some},
                                world.label(some).cluster));
          break;
        case 6:
          ask(ToyWorld::request(CorrectionKind::kUndo, {}));
          break;
        case 7:
          if (!epochs.empty()) {
            static_cast<void>(world.activate(epochs[random() % epochs.size()]));
          }
          break;
        case 8:
          ASSERT_TRUE(
              world.book().remove({ImageId::parse(some).value()}).has_value());
          break;
        case 9:
          world.open();
          break;
        default:
          break;
      }
      const int kind = pick(6);
      world.add(std::to_string(kind) + "-" + std::to_string(next++), kind);
      ASSERT_THAT(world.violations(), IsEmpty());
      for (const auto& [name, label] : world.labels()) {
        const ImageSeq seq = world.seq(name);
        const auto ruled_out = world.store().must_not({seq}).value();
        ASSERT_EQ(
            std::count(ruled_out[0].begin(), ruled_out[0].end(), label.cluster),
            0)
            << name;
        const auto fixed = world.store().fixed({seq}).value();
        ASSERT_EQ(fixed[0].has_value(), label.state == LabelState::kConfirmed)
            << name;
        if (fixed[0]) {
          ASSERT_EQ(fixed[0]->cluster, label.cluster) << name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoal
