#include "store/store.h"

#include <limits>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/verify.h"
#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = PutOutcome::Kind;

class StoreTest : public StoreFixture {
 protected:
  StoreTest() { open(); }
  std::vector<PutOutcome> put(const std::vector<NewImage>& images) {
    return store->put_images(images).value();
  }
};

TEST_F(StoreTest, StoresImagesInOrderAndKeepsThemOverAReopening) {
  const auto outcomes = put({make_image("a"), make_image("b", 10)});
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_EQ(outcomes[0].seq, ImageSeq(1));
  EXPECT_EQ(outcomes[1].seq, ImageSeq(2));
  open();
  EXPECT_EQ(store->find(image_id("b")).value(), ImageSeq(2));
  EXPECT_EQ(store->find(image_id("c")).value(), std::nullopt);
  const auto records =
      store->images({ImageSeq(2), ImageSeq(9), ImageSeq(1)}).value();
  ASSERT_TRUE(records[0].has_value());
  EXPECT_EQ(records[0]->seq, ImageSeq(2));
  EXPECT_EQ(records[0]->id, image_id("b"));
  EXPECT_EQ(records[0]->size_bytes, 10U);
  EXPECT_EQ(records[0]->digest, make_image("b", 10).digest);
  EXPECT_EQ(records[0]->meta.at("shelf"), "7");
  EXPECT_FALSE(records[1].has_value());
  EXPECT_EQ(records[2]->id, image_id("a"));
  EXPECT_EQ(store->image_bytes(ImageSeq(1)).value(), make_image("a").bytes);
  EXPECT_EQ(store->image_bytes(ImageSeq(9)).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(store->pending(ImageSeq(), 10).value(),
              ElementsAre(ImageSeq(1), ImageSeq(2)));
  EXPECT_THAT(store->arrivals(ImageSeq(1), 10).value(),
              ElementsAre(ImageSeq(2)));
  EXPECT_EQ(store->ingest_totals().value().stored, 2U);
  EXPECT_EQ(put({make_image("c")})[0].seq, ImageSeq(3));
}

TEST_F(StoreTest, TellsDuplicatesFromConflictsWithinAndAcrossGroups) {
  put({make_image("a")});
  const auto outcomes =
      put({make_image("a"), make_image("b"), make_image("a", 3'000, 1),
           make_image("b"), make_image("b", 3'000, 1), make_image("c")});
  const std::vector<Kind> kinds = {Kind::kDuplicate, Kind::kStored,
                                   Kind::kConflict,  Kind::kDuplicate,
                                   Kind::kConflict,  Kind::kStored};
  const std::vector<std::uint64_t> seqs = {1, 2, 1, 2, 2, 3};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    EXPECT_EQ(outcomes[i].kind, kinds[i]) << i;
    EXPECT_EQ(outcomes[i].seq, ImageSeq(seqs[i])) << i;
  }
  EXPECT_EQ(store->image_bytes(ImageSeq(2)).value(), make_image("b").bytes);
  EXPECT_EQ(store->ingest_totals().value().stored, 3U);
  EXPECT_THAT(put({}), IsEmpty());
}

TEST_F(StoreTest, AnIdWithAnyBytesIsAKey) {
  const std::string longest(ImageId::kMaxBytes, 'x');
  const std::string utf8 = "caf\xc3\xa9 / \xf0\x9f\x90\x9f";
  put({make_image(longest), make_image(utf8)});
  EXPECT_EQ(store->find(image_id(utf8)).value(), ImageSeq(2));
  EXPECT_EQ(store->find(image_id(longest)).value(), ImageSeq(1));
}

TEST_F(StoreTest, ListsPageWithoutEndOrRepetition) {
  std::vector<NewImage> images;
  for (int i = 0; i < 300; ++i) {
    images.push_back(make_image("i" + std::to_string(i), 8));
  }
  put(images);
  std::vector<ImageSeq> all;
  for (ImageSeq after;;) {
    const auto page = store->arrivals(after, 7).value();
    if (page.empty()) break;
    all.insert(all.end(), page.begin(), page.end());
    after = page.back();
  }
  ASSERT_EQ(all.size(), 300U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i], ImageSeq(i + 1));
  }
  const ImageSeq last(std::numeric_limits<std::uint64_t>::max());
  EXPECT_THAT(store->arrivals(last, 10).value(), IsEmpty());
  EXPECT_THAT(store->arrivals(ImageSeq(), 0).value(), IsEmpty());
}

TEST_F(StoreTest, AListLimitBeyondTheContractIsRefused) {
  const std::size_t limit = Store::kMaxListLimit + 1;
  EXPECT_EQ(store->arrivals(ImageSeq(), limit).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      store->members(EpochId(1), ClusterId(1), ImageSeq(), limit).error().code,
      ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->history(ImageSeq(1), limit).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_F(StoreTest, FeaturesComeBackAsHalvesAndMissingOnesAsNaN) {
  const ViewKey key{"hog", "none", "ab12", 3};
  const ViewSlot hog = store->open_view(key).value();
  EXPECT_EQ(store->open_view(key).value(), hog);
  const ViewSlot other = store->open_view({"hog", "none", "ab13", 2}).value();
  EXPECT_NE(other, hog);
  auto batch = store->new_batch();
  batch->put_features(hog, ImageSeq(1), Vector::Constant(3, 0.5F));
  batch->put_features(other, ImageSeq(1), Vector::Constant(2, 1e6F));
  commit(std::move(batch));
  open();
  ASSERT_EQ(store->views().size(), 2U);
  const ViewSlot again = store->open_view(key).value();
  const Matrix rows =
      store->features(again, {ImageSeq(2), ImageSeq(1)}).value();
  ASSERT_EQ(rows.rows(), 2);
  ASSERT_EQ(rows.cols(), 3);
  EXPECT_TRUE(rows.row(0).array().isNaN().all());
  EXPECT_TRUE((rows.row(1).array() == 0.5F).all());
  const ViewSlot wide = store->open_view({"hog", "none", "ab13", 2}).value();
  EXPECT_EQ(store->features(wide, {ImageSeq(1)}).value()(0, 0), 65'504.0F);
}

TEST_F(StoreTest, AViewKeyThatIsNoNameIsRefused) {
  for (const ViewKey& key :
       {ViewKey{"", "none", "ab", 3}, ViewKey{"Hog", "none", "ab", 3},
        ViewKey{"a@b", "none", "ab", 3}, ViewKey{"hog", "", "ab", 3},
        ViewKey{"hog", "none", "a/b", 3}, ViewKey{"hog", "none", "ab", 0}}) {
    const auto slot = store->open_view(key);
    ASSERT_FALSE(slot.has_value()) << key.text();
    EXPECT_EQ(slot.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_THAT(store->views(), IsEmpty());
}

TEST_F(StoreTest, ViewsMayBeOpenedByManyThreads) {
  std::vector<std::thread> threads;
  std::vector<ViewSlot> slots(8);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    threads.emplace_back([&, i] {
      slots[i] =
          store->open_view({"v" + std::to_string(i % 2), "none", "ab", 4})
              .value();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store->views().size(), 2U);
  for (std::size_t i = 2; i < slots.size(); ++i) {
    EXPECT_EQ(slots[i], slots[i % 2]);
  }
}

TEST_F(StoreTest, ALabelMovesInTheMembersIndex) {
  const EpochId epoch(3);
  auto batch = store->new_batch();
  batch->put_label(epoch, ImageSeq(5), std::nullopt, assigned(1));
  batch->put_label(epoch, ImageSeq(6), std::nullopt, assigned(1, 0.25F));
  batch->put_label(EpochId(4), ImageSeq(5), std::nullopt, assigned(2));
  commit(std::move(batch));
  const auto members =
      store->members(epoch, ClusterId(1), ImageSeq(5), 10).value();
  ASSERT_EQ(members.size(), 1U);
  EXPECT_EQ(members[0].seq, ImageSeq(6));
  EXPECT_EQ(members[0].confidence, 0.25F);

  batch = store->new_batch();
  batch->put_label(epoch, ImageSeq(5), assigned(1), assigned(2));
  batch->remove_label(epoch, ImageSeq(6), assigned(1));
  commit(std::move(batch));
  EXPECT_THAT(store->members(epoch, ClusterId(1), ImageSeq(), 10).value(),
              IsEmpty());
  EXPECT_EQ(store->members(epoch, ClusterId(2), ImageSeq(), 10).value().size(),
            1U);
  const auto labels = store->labels(epoch, {ImageSeq(6), ImageSeq(5)}).value();
  EXPECT_FALSE(labels[0].has_value());
  EXPECT_EQ(labels[1], assigned(2));
}

TEST_F(StoreTest, ThePoolListsItsMembersAsClusterZero) {
  auto batch = store->new_batch();
  batch->put_label(EpochId(0), ImageSeq(1), std::nullopt, Label{});
  commit(std::move(batch));
  EXPECT_EQ(
      store->members(EpochId(0), ClusterId(), ImageSeq(), 10).value().size(),
      1U);
}

TEST_F(StoreTest, DroppingAnEpochLeavesItsRecordAndItsNeighbours) {
  auto batch = store->new_batch();
  for (const std::uint64_t id : {1U, 2U, 3U}) {
    EpochRecord epoch;
    epoch.id = EpochId(id);
    epoch.status = EpochStatus::kPublished;
    epoch.embedding_dim = 2;
    batch->put_epoch(epoch);
    batch->put_epoch_model(epoch.id, "model " + std::to_string(id));
    ClusterRecord cluster;
    cluster.id = ClusterId(7);
    batch->put_cluster(epoch.id, cluster);
    batch->put_label(epoch.id, ImageSeq(1), std::nullopt, assigned(7));
    batch->put_embedding(epoch.id, ImageSeq(1), Vector::Constant(2, 1));
  }
  batch->set_current_epoch(EpochId(3));
  commit(std::move(batch));
  batch = store->new_batch();
  batch->drop_epoch_data(EpochId(2));
  commit(std::move(batch));

  EXPECT_EQ(store->current_epoch().value(), EpochId(3));
  EXPECT_EQ(store->epochs().value().size(), 3U);
  for (const std::uint64_t id : {1U, 2U, 3U}) {
    const EpochId epoch(id);
    const bool there = id != 2;
    EXPECT_EQ(store->epoch_model(epoch).has_value(), there);
    EXPECT_EQ(store->clusters(epoch).value().size(), there ? 1U : 0U);
    EXPECT_EQ(store->labels(epoch, {ImageSeq(1)}).value()[0].has_value(),
              there);
    EXPECT_EQ(store->members(epoch, ClusterId(7), ImageSeq(), 9).value().size(),
              there ? 1U : 0U);
    EXPECT_EQ(std::isnan(store->embeddings(epoch, {ImageSeq(1)}).value()(0, 0)),
              !there);
  }
  EXPECT_EQ(store->epoch(EpochId(9)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store->epoch_model(EpochId(2)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store->embeddings(EpochId(9), {ImageSeq(1)}).error().code,
            ErrorCode::kNotFound);
}

TEST_F(StoreTest, HistoryGivesTheLastChangesOldestFirstAcrossReopenings) {
  for (int i = 0; i < 5; ++i) {
    auto batch = store->new_batch();
    HistoryRecord record;
    record.state = LabelState::kAssigned;
    record.cause = std::to_string(2 * i);
    batch->add_history(ImageSeq(1), record);
    record.cause = std::to_string(2 * i + 1);
    batch->add_history(ImageSeq(1), record);
    batch->add_history(ImageSeq(2), record);
    commit(std::move(batch));
    open();
  }
  const auto history = store->history(ImageSeq(1), 3).value();
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[0].cause, "7");
  EXPECT_EQ(history[2].cause, "9");
  EXPECT_EQ(store->history(ImageSeq(1), 100).value().size(), 10U);
  EXPECT_THAT(store->history(ImageSeq(1), 0).value(), IsEmpty());
  EXPECT_THAT(store->history(ImageSeq(3), 10).value(), IsEmpty());
}

TEST_F(StoreTest, LineageIsNumberedFromOneAndGoesOnAfterAReopening) {
  for (int i = 0; i < 3; ++i) {
    auto batch = store->new_batch();
    LineageRecord record;
    record.cluster = ClusterId(static_cast<std::uint64_t>(i) + 10);
    batch->add_lineage(record);
    commit(std::move(batch));
    open();
  }
  const auto lineage = store->lineage(1, 10).value();
  ASSERT_EQ(lineage.size(), 2U);
  EXPECT_EQ(lineage[0].seq, 2U);
  EXPECT_EQ(lineage[1].seq, 3U);
  EXPECT_EQ(lineage[1].cluster, ClusterId(12));
}

TEST_F(StoreTest, KeepsWhatPeopleSay) {
  auto batch = store->new_batch();
  batch->put_cluster_name(ClusterId(4), "cats");
  batch->put_cluster_name(ClusterId(4), "black cats");
  batch->put_fixed(ImageSeq(2), {ClusterId(4), FixedBy::kPerson,
                                 CorrectionSeq(1), EpochId()});
  batch->put_fixed(ImageSeq(3),
                   {ClusterId(5), FixedBy::kRun, CorrectionSeq(), EpochId(1)});
  batch->put_must_not(ImageSeq(2), ClusterId(9));
  batch->put_must_not(ImageSeq(2), ClusterId(8));
  batch->put_must_not(ImageSeq(2), ClusterId(7));
  batch->remove_must_not(ImageSeq(2), ClusterId(8));
  CorrectionRecord correction;
  correction.seq = CorrectionSeq(1);
  batch->put_correction(correction);
  batch->put_label_totals(
      {1, 2, 3, ClusterId(4), EpochId(5), CorrectionSeq(6)});
  commit(std::move(batch));
  open();
  EXPECT_EQ(store->cluster_names().value().at(ClusterId(4)), "black cats");
  const auto fixed = store->fixed({ImageSeq(1), ImageSeq(2)}).value();
  EXPECT_FALSE(fixed[0].has_value());
  EXPECT_EQ(fixed[1]->cluster, ClusterId(4));
  const auto after = store->fixed_after(ImageSeq(2), 10).value();
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].first, ImageSeq(3));
  EXPECT_EQ(after[0].second.by, FixedBy::kRun);
  const auto must_not = store->must_not({ImageSeq(1), ImageSeq(2)}).value();
  EXPECT_THAT(must_not[0], IsEmpty());
  EXPECT_THAT(must_not[1], ElementsAre(ClusterId(7), ClusterId(9)));
  EXPECT_EQ(store->corrections(CorrectionSeq(), 10).value().size(), 1U);
  EXPECT_THAT(store->corrections(CorrectionSeq(1), 10).value(), IsEmpty());
  EXPECT_EQ(store->label_totals().value().last_correction, CorrectionSeq(6));
  batch = store->new_batch();
  batch->remove_fixed(ImageSeq(2));
  commit(std::move(batch));
  EXPECT_FALSE(store->fixed({ImageSeq(2)}).value()[0].has_value());
}

TEST_F(StoreTest, ARemovedImageLeavesNothingBehind) {
  put({make_image("a"), make_image("b")});
  const ViewSlot view = store->open_view({"hog", "none", "ab", 2}).value();
  auto batch = store->new_batch();
  for (const std::uint64_t seq : {1U, 2U}) {
    batch->put_features(view, ImageSeq(seq), Vector::Constant(2, 1));
    HistoryRecord history;
    batch->add_history(ImageSeq(seq), history);
    batch->put_fixed(ImageSeq(seq), {});
    batch->put_must_not(ImageSeq(seq), ClusterId(3));
  }
  commit(std::move(batch));
  batch = store->new_batch();
  // Also what the same batch added before.
  batch->add_history(ImageSeq(1), {});
  batch->put_must_not(ImageSeq(1), ClusterId(4));
  batch->remove_image(*store->images({ImageSeq(1)}).value()[0]);
  commit(std::move(batch));

  EXPECT_EQ(store->find(image_id("a")).value(), std::nullopt);
  EXPECT_FALSE(store->images({ImageSeq(1)}).value()[0].has_value());
  EXPECT_FALSE(store->image_bytes(ImageSeq(1)).has_value());
  EXPECT_THAT(store->pending(ImageSeq(), 10).value(), ElementsAre(ImageSeq(2)));
  EXPECT_THAT(store->arrivals(ImageSeq(), 10).value(),
              ElementsAre(ImageSeq(2)));
  const Matrix rows = store->features(view, {ImageSeq(1), ImageSeq(2)}).value();
  EXPECT_TRUE(std::isnan(rows(0, 0)));
  EXPECT_EQ(rows(1, 0), 1.0F);
  EXPECT_THAT(store->history(ImageSeq(1), 10).value(), IsEmpty());
  EXPECT_EQ(store->history(ImageSeq(2), 10).value().size(), 1U);
  EXPECT_FALSE(store->fixed({ImageSeq(1)}).value()[0].has_value());
  EXPECT_THAT(store->must_not({ImageSeq(1)}).value()[0], IsEmpty());
  EXPECT_THAT(store->must_not({ImageSeq(2)}).value()[0],
              ElementsAre(ClusterId(3)));
  // The id may be used again and is a new image then.
  EXPECT_EQ(put({make_image("a")})[0].seq, ImageSeq(3));
}

TEST_F(StoreTest, TheRingOfRejectedInputKeepsTheNewest) {
  for (std::uint64_t i = 1; i <= Store::kRejectedKept + 5; ++i) {
    RejectedRecord record;
    record.id = std::to_string(i);
    ASSERT_TRUE(store->add_rejected(record).has_value());
  }
  open();
  EXPECT_EQ(store->rejected_total(), Store::kRejectedKept + 5);
  const auto newest = store->rejected(2).value();
  ASSERT_EQ(newest.size(), 2U);
  EXPECT_EQ(newest[0].id, "1005");
  EXPECT_EQ(newest[0].number, 1'005U);
  EXPECT_EQ(newest[1].id, "1004");
  const auto all = store->rejected(Store::kMaxListLimit).value();
  ASSERT_EQ(all.size(), Store::kRejectedKept);
  EXPECT_EQ(all.back().id, "6");
}

TEST_F(StoreTest, InputMayBeRejectedOnManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        ASSERT_TRUE(store->add_rejected({}).has_value());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store->rejected_total(), 200U);
  std::set<std::uint64_t> numbers;
  const auto rejected = store->rejected(1'000).value();
  for (const auto& record : rejected) {
    numbers.insert(record.number);
  }
  EXPECT_EQ(numbers.size(), 200U);
}

TEST_F(StoreTest, EmptyBatchesCommitAndSync) {
  EXPECT_TRUE(
      store->commit(store->new_batch(), Durability::kBuffered).has_value());
  EXPECT_TRUE(
      store->commit(store->new_batch(), Durability::kSynced).has_value());
}

TEST_F(StoreTest, ACheckpointIsAReadOnlyStoreOfThatMoment) {
  put({make_image("a")});
  const ViewKey key{"hog", "none", "ab", 2};
  const ViewSlot view = store->open_view(key).value();
  auto batch = store->new_batch();
  batch->put_features(view, ImageSeq(1), Vector::Constant(2, 1));
  commit(std::move(batch));
  const auto copy_folder = temporary_.path() / "copy";
  const auto made = store->checkpoint(copy_folder);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  put({make_image("b")});

  StoreOptions options;
  options.folder = copy_folder;
  options.read_only = true;
  // Twice, and while the original is open: it takes no lock.
  const auto copy = open_rocksdb_store(options).value();
  const auto second = open_rocksdb_store(options).value();
  EXPECT_EQ(copy->image_bytes(ImageSeq(1)).value(), make_image("a").bytes);
  EXPECT_EQ(copy->find(image_id("b")).value(), std::nullopt);
  const ViewSlot copied = copy->open_view(key).value();
  EXPECT_EQ(copy->features(copied, {ImageSeq(1)}).value()(0, 1), 1.0F);

  EXPECT_EQ(copy->open_view({"new", "none", "ab", 2}).error().code,
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(copy->put_images({make_image("c")}).error().code,
            ErrorCode::kFailedPrecondition);
  batch = copy->new_batch();
  batch->set_current_epoch(EpochId(1));
  EXPECT_EQ(copy->commit(std::move(batch), Durability::kSynced).error().code,
            ErrorCode::kFailedPrecondition);
  EXPECT_EQ(copy->add_rejected({}).error().code,
            ErrorCode::kFailedPrecondition);

  EXPECT_TRUE(verify_store(copy_folder).value().clean());
  const auto again = store->checkpoint(copy_folder);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(again.error().message, HasSubstr(copy_folder.string()));
}

TEST_F(StoreTest, ACheckpointIsAlsoAStoreToGoOnWith) {
  put({make_image("a")});
  const auto copy_folder = temporary_.path() / "copy";
  ASSERT_TRUE(store->checkpoint(copy_folder).has_value());
  StoreOptions options;
  options.folder = copy_folder;
  const auto copy = open_rocksdb_store(options).value();
  EXPECT_EQ(copy->put_images({make_image("b")}).value()[0].seq, ImageSeq(2));
  EXPECT_EQ(store->find(image_id("b")).value(), std::nullopt);
}

TEST_F(StoreTest, StatisticsNameTheCacheAndTheFiles) {
  put({make_image("a")});
  const auto statistics = store->statistics();
  EXPECT_EQ(statistics.at("cache_capacity_bytes"), 32.0 * (1 << 20));
  EXPECT_GT(statistics.at("memtable_bytes"), 0);
  EXPECT_EQ(statistics.at("background_errors"), 0);
}

TEST_F(StoreTest, MemtablesStayWithinTheirShareUnderSustainedWriting) {
  // 40 MB through write buffers of 8 MB.
  for (int group = 0; group < 25; ++group) {
    std::vector<NewImage> images;
    for (int i = 0; i < 16; ++i) {
      images.push_back(
          make_image(std::to_string(group) + "-" + std::to_string(i), 100'000));
    }
    put(images);
    EXPECT_LT(store->statistics().at("memtable_bytes"), 16.0 * (1 << 20));
  }
  EXPECT_GT(store->statistics().at("blob_file_bytes"), 20.0 * (1 << 20));
  EXPECT_EQ(store->image_bytes(ImageSeq(1)).value(),
            make_image("0-0", 100'000).bytes);
}

}  // namespace
}  // namespace shoal::test
