#include "store/verify.h"

#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/write_batch.h>

#include "store/internal/codec.h"
#include "store/internal/database.h"
#include "store/internal/keys.h"
#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

using internal::Database;
using internal::encode;
using internal::Family;
using internal::make_key;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr EpochId kEpoch(1);

/// A small store in which all is well: images 1 to 3 in epoch 1 (assigned,
/// confirmed, in the pool) and image 4 pending.
class VerifyTest : public StoreFixture {
 protected:
  VerifyTest() {
    open();
    store
        ->put_images({make_image("a"), make_image("b"), make_image("c"),
                      make_image("d")})
        .value();
    const ViewSlot view = store->open_view({"hog", "none", "ab", 2}).value();
    auto batch = store->new_batch();
    EpochRecord epoch;
    epoch.id = kEpoch;
    epoch.status = EpochStatus::kPublished;
    epoch.embedding_dim = 2;
    batch->put_epoch(epoch);
    batch->put_epoch_model(kEpoch, "a model");
    batch->set_current_epoch(kEpoch);
    const Label confirmed{ClusterId(5), LabelState::kConfirmed, 1, 0};
    batch->put_label(kEpoch, ImageSeq(1), std::nullopt, assigned(5));
    batch->put_label(kEpoch, ImageSeq(2), std::nullopt, confirmed);
    batch->put_label(kEpoch, ImageSeq(3), std::nullopt, Label{});
    batch->put_fixed(ImageSeq(2),
                     {ClusterId(5), FixedBy::kRun, CorrectionSeq(), kEpoch});
    for (const std::uint64_t seq : {1U, 2U, 3U}) {
      batch->remove_pending(ImageSeq(seq));
      batch->put_embedding(kEpoch, ImageSeq(seq), Vector::Constant(2, 1));
      batch->put_features(view, ImageSeq(seq), Vector::Constant(2, 1));
      batch->add_history(ImageSeq(seq), {});
    }
    ClusterRecord cluster;
    cluster.id = ClusterId(5);
    cluster.size = 2;
    cluster.confirmed = 1;
    cluster.prototypes.push_back({Vector::Constant(2, 1), 1});
    batch->put_cluster(kEpoch, cluster);
    ClusterRecord pool;
    pool.size = 1;
    batch->put_cluster(kEpoch, pool);
    batch->put_label_totals(totals());
    commit(std::move(batch));
    store.reset();
  }

  static LabelTotals totals() {
    return {3, 0, 0, ClusterId(5), kEpoch, CorrectionSeq()};
  }

  VerifyReport verify() { return verify_store(folder()).value(); }

  /// Does the damage to a copy and expects a sentence with `sentence`.
  void expect_told(const std::string& sentence,
                   const std::function<void(const Database&,
                                            rocksdb::WriteBatch&)>& damage) {
    const auto copy = temporary_.path() / "damaged";
    std::filesystem::remove_all(copy);
    std::filesystem::copy(folder(), copy,
                          std::filesystem::copy_options::recursive);
    {
      StoreOptions options;
      options.folder = copy;
      const auto database = Database::open(options).value();
      rocksdb::WriteBatch batch;
      damage(*database, batch);
      ASSERT_TRUE(database->write(batch, Durability::kSynced).has_value());
    }
    const auto report = verify_store(copy).value();
    EXPECT_FALSE(report.clean());
    EXPECT_THAT(report.violations, Contains(HasSubstr(sentence)));
  }
  void expect_told_of(const std::string& sentence, Family family,
                      const std::string& key, const std::string& value) {
    expect_told(sentence, [&](const Database& database, auto& batch) {
      ASSERT_TRUE(batch.Put(database.family(family), key, value).ok());
    });
  }
  void expect_missed(const std::string& sentence, Family family,
                     const std::string& key) {
    expect_told(sentence, [&](const Database& database, auto& batch) {
      ASSERT_TRUE(batch.Delete(database.family(family), key).ok());
    });
  }
};

TEST_F(VerifyTest, AGoodStoreIsCleanAndCounted) {
  const auto report = verify();
  EXPECT_TRUE(report.clean()) << report.violations.front();
  EXPECT_EQ(report.images, 4U);
  EXPECT_EQ(report.pending, 1U);
  EXPECT_EQ(report.image_bytes, 4 * 3'000U);
  EXPECT_EQ(report.features, 3U);
  EXPECT_EQ(report.labels, 3U);
  EXPECT_EQ(report.epochs, 1U);
}

TEST_F(VerifyTest, AnEmptyStoreIsClean) {
  StoreOptions options;
  options.folder = temporary_.path() / "empty";
  ASSERT_TRUE(open_rocksdb_store(options).has_value());
  EXPECT_TRUE(verify_store(options.folder).value().clean());
}

TEST_F(VerifyTest, AMissingFolderIsAnError) {
  EXPECT_EQ(verify_store(temporary_.path() / "none").error().code,
            ErrorCode::kNotFound);
}

TEST_F(VerifyTest, TellsIdsAndImagesThatDoNotMatch) {
  expect_missed("image 1 cannot be found by its id", Family::kIds, "a");
  expect_told_of("id x names image 1, whose id is a", Family::kIds, "x",
                 internal::encode_number(1));
  expect_told_of("id x is left of image 9", Family::kIds, "x",
                 internal::encode_number(9));
  expect_missed("image 2 is not among the arrivals", Family::kArrivals,
                make_key(2));
}

TEST_F(VerifyTest, TellsBytesThatAreGoneOrOthers) {
  expect_missed("image 4 has no bytes", Family::kBytes, make_key(4));
  expect_told_of("image 4 has other bytes", Family::kBytes, make_key(4),
                 "other");
}

TEST_F(VerifyTest, TellsImagesThatAreNeitherOrBothPendingAndLabelled) {
  expect_missed("image 4 is not pending but has no label", Family::kPending,
                make_key(4));
  expect_told_of("image 1 is pending but has a label", Family::kPending,
                 make_key(1), "");
}

TEST_F(VerifyTest, TellsMembersAndLabelsThatDisagree) {
  expect_missed("epoch 1 has 3 labels but lists 2 members", Family::kMembers,
                make_key(1, 5, 1));
  expect_told_of("image 1 is listed in cluster 6", Family::kMembers,
                 make_key(1, 6, 1),
                 encode(Member{ImageSeq(1), LabelState::kAssigned, 0.5F}));
  expect_told_of("image 1 is listed in cluster 5 of epoch 1 but has no such",
                 Family::kMembers, make_key(1, 5, 1),
                 encode(Member{ImageSeq(1), LabelState::kConfirmed, 0.5F}));
  expect_told_of("its state does not fit its cluster", Family::kLabels,
                 make_key(1, 3),
                 encode(Label{ClusterId(), LabelState::kAssigned, 0, 0}));
}

TEST_F(VerifyTest, TellsClusterRecordsThatDisagreeWithTheirMembers) {
  ClusterRecord cluster;
  cluster.size = 3;
  cluster.confirmed = 1;
  expect_told_of("cluster 5 of epoch 1 says 3 images, 1 confirmed, but has 2",
                 Family::kClusters, make_key(1, 5), encode(cluster));
  cluster.size = 2;
  cluster.confirmed = 0;
  expect_told_of("cluster 5 of epoch 1 says 2 images, 0 confirmed",
                 Family::kClusters, make_key(1, 5), encode(cluster));
  expect_missed("cluster 5 of epoch 1 has members but no record",
                Family::kClusters, make_key(1, 5));
  cluster.confirmed = 1;
  cluster.prototypes.push_back({Vector::Constant(3, 1), 1});
  expect_told_of("a centroid is not of the epoch's dimension",
                 Family::kClusters, make_key(1, 5), encode(cluster));
}

TEST_F(VerifyTest, TellsFixedLabelsThatDisagreeWithTheCurrentEpoch) {
  FixedLabel fixed;
  fixed.cluster = ClusterId(5);
  expect_told_of("image 1 is fixed to cluster 5 but not confirmed",
                 Family::kFixed, make_key(1), encode(fixed));
  fixed.cluster = ClusterId(6);
  expect_told_of("confirmed in cluster 5 but fixed to 6", Family::kFixed,
                 make_key(2), encode(fixed));
  expect_missed("confirmed in cluster 5 but fixed to 0", Family::kFixed,
                make_key(2));
}

TEST_F(VerifyTest, TellsImagesInClustersThatAreRuledOut) {
  expect_told_of("image 1 is in cluster 5 of epoch 1, which is ruled out",
                 Family::kMustNot, make_key(1, 5), "");
  expect_told_of("image 1 is ruled out of no cluster", Family::kMustNot,
                 make_key(1, 0), "");
}

TEST_F(VerifyTest, TellsEmbeddingsAndLabelsThatDisagree) {
  expect_missed("epoch 1 has 1 assigned images, but embeddings of 0",
                Family::kEmbeddings, make_key(1, 1));
  expect_told_of("image 4 has an embedding but no label in epoch 1",
                 Family::kEmbeddings, make_key(1, 4), std::string(4, '\0'));
}

TEST_F(VerifyTest, TellsAnEpochWithoutAModel) {
  expect_missed("epoch 1 has no model", Family::kModels, make_key(1));
}

TEST_F(VerifyTest, TellsWhatIsLeftOfRemovedImages) {
  const std::string gone = make_key(9);
  const Label label = assigned(5);
  expect_told_of("a byte string is left of image 9", Family::kBytes, gone, "x");
  expect_told_of("an arrival is left of image 9", Family::kArrivals, gone, "");
  expect_told_of("a pending mark is left of image 9", Family::kPending, gone,
                 "");
  expect_told_of("a fixed label is left of image 9", Family::kFixed, gone,
                 encode(FixedLabel{}));
  expect_told_of("history is left of image 9", Family::kHistory, make_key(9, 1),
                 encode(HistoryRecord{}));
  expect_told_of("a rejection is left of image 9", Family::kMustNot,
                 make_key(9, 1), "");
  expect_told_of("a label is left of image 9", Family::kLabels, make_key(1, 9),
                 encode(label));
  expect_told_of("a member is left of image 9", Family::kMembers,
                 make_key(1, 5, 9), encode(Member{}));
  expect_told_of("an embedding is left of image 9", Family::kEmbeddings,
                 make_key(1, 9), std::string(4, '\0'));
  expect_told("hog@none@ab@2 is left of image 9", [&](const Database& database,
                                                      auto& batch) {
    ASSERT_TRUE(
        batch.Put(database.views().front().handle, gone, std::string(4, '\0'))
            .ok());
  });
}

TEST_F(VerifyTest, TellsWhatIsLeftOfEpochs) {
  expect_told_of("is left of epoch 2", Family::kLabels, make_key(2, 1),
                 encode(assigned(5)));
  expect_told_of("is left of epoch 2", Family::kMembers, make_key(2, 5, 1),
                 encode(Member{}));
  expect_told_of("is left of epoch 2", Family::kEmbeddings, make_key(2, 1),
                 std::string(4, '\0'));
  expect_told_of("is left of epoch 2", Family::kClusters, make_key(2, 5),
                 encode(ClusterRecord{}));
  expect_told_of("a model is left of epoch 2", Family::kModels, make_key(2),
                 "x");
  EpochRecord dropped;
  dropped.status = EpochStatus::kDropped;
  expect_told_of("the current epoch 1 is not a published one", Family::kEpochs,
                 make_key(1), encode(dropped));
}

TEST_F(VerifyTest, TellsTotalsThatDoNotAddUp) {
  const auto put_meta = [&](const char* sentence, std::string_view key,
                            const std::string& value) {
    expect_told_of(sentence, Family::kMeta, std::string(key), value);
  };
  put_meta("the totals say 5 stored and 0 deleted, but 4 images exist",
           internal::kIngestTotalsKey, encode(IngestTotals{5, ImageSeq(5)}));
  put_meta("the last image is 3, but there is a 4", internal::kIngestTotalsKey,
           encode(IngestTotals{4, ImageSeq(3)}));
  LabelTotals wrong = totals();
  wrong.completed = 2;
  put_meta("2 completed and 0 deleted while pending, but 1 are pending",
           internal::kLabelTotalsKey, encode(wrong));
  wrong = totals();
  wrong.last_cluster = ClusterId(4);
  put_meta("the last cluster is 4, but there is a 5", internal::kLabelTotalsKey,
           encode(wrong));
  wrong = totals();
  wrong.last_epoch = EpochId();
  put_meta("the last epoch is 0, but there is a 1", internal::kLabelTotalsKey,
           encode(wrong));
  expect_told_of("the last correction is 0, but there is a 3",
                 Family::kCorrections, make_key(3), encode(CorrectionRecord{}));
}

TEST_F(VerifyTest, TellsValuesThatDoNotDecode) {
  for (const auto& [family, key] : std::vector<std::pair<Family, std::string>>{
           {Family::kImages, make_key(1)},
           {Family::kIds, "a"},
           {Family::kLabels, make_key(1, 1)},
           {Family::kMembers, make_key(1, 5, 1)},
           {Family::kClusters, make_key(1, 5)},
           {Family::kEpochs, make_key(1)},
           {Family::kLineage, make_key(1)},
           {Family::kCorrections, make_key(1)},
           {Family::kFixed, make_key(2)},
           {Family::kHistory, make_key(1, 1)},
           {Family::kRejected, make_key(1)}}) {
    expect_told_of("ends too early", family, key, "xyz");
  }
  expect_told_of("a vector has 3 bytes where 4", Family::kEmbeddings,
                 make_key(1, 1), "xyz");
  expect_told_of("a key has 3 bytes", Family::kLineage, "key", "");
  expect_told_of("a value is not finite", Family::kEmbeddings, make_key(1, 1),
                 std::string("\0\x7c\0\0", 4));
}

TEST_F(VerifyTest, CountsAllButListsAThousand) {
  expect_told("a pending mark is left", [](const Database& database,
                                           auto& batch) {
    for (std::uint64_t i = 100; i < 1'300; ++i) {
      ASSERT_TRUE(
          batch.Put(database.family(Family::kPending), make_key(i), "").ok());
    }
  });
  const auto report = verify_store(temporary_.path() / "damaged").value();
  EXPECT_EQ(report.violation_count, 1'200U);
  EXPECT_EQ(report.violations.size(), VerifyReport::kMaxListed);
}

TEST_F(VerifyTest, TellsADamagedFile) {
  open();
  std::vector<NewImage> images;
  for (int i = 0; i < 400; ++i) {
    images.push_back(make_image("n" + std::to_string(i), 30'000));
  }
  ASSERT_TRUE(store->put_images(images).has_value());
  const auto copy = temporary_.path() / "copy";
  ASSERT_TRUE(store->checkpoint(copy).has_value());
  ASSERT_TRUE(verify_store(copy).value().clean());
  bool damaged = false;
  for (const auto& entry : std::filesystem::directory_iterator(copy)) {
    if (entry.path().extension() != ".blob" || damaged) continue;
    // The checkpoint shares the file with the store: replace it.
    std::string bytes = read_file(entry.path(), 1U << 30).value();
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    std::filesystem::remove(entry.path());
    ASSERT_TRUE(write_file_atomically(entry.path(), bytes).has_value());
    damaged = true;
  }
  ASSERT_TRUE(damaged);
  EXPECT_THAT(verify_store(copy).value().violations,
              Contains(HasSubstr("column family bytes is damaged")));
}

}  // namespace
}  // namespace shoal::test
