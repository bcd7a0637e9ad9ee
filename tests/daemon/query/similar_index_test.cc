#include "daemon/query/similar_index.h"

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace shoal {
namespace {

constexpr int kDim = 16;

class SimilarIndexTest : public ::testing::Test {
 protected:
  Vector random_vector() {
    std::normal_distribution<float> normal;
    Vector v(kDim);
    for (int i = 0; i < kDim; ++i) v(i) = normal(random_);
    return v;
  }
  void fill(std::uint64_t n) {
    index_.on_epoch(EpochId(1), kDim);
    for (std::uint64_t i = 1; i <= n; ++i) {
      vectors_.push_back(random_vector());
      index_.on_embedding(EpochId(1), ImageSeq(i), vectors_.back());
    }
  }
  /// The same by looking at every vector, without those in `gone`.
  std::vector<std::uint64_t> brute_force(const Vector& query, std::size_t k,
                                         const std::vector<bool>& gone) {
    std::vector<std::pair<float, std::uint64_t>> all;
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
      if (!gone.empty() && gone[i]) continue;
      all.emplace_back(-query.normalized().dot(vectors_[i].normalized()),
                       i + 1);
    }
    std::sort(all.begin(), all.end());
    std::vector<std::uint64_t> best;
    for (std::size_t i = 0; i < std::min(k, all.size()); ++i) {
      best.push_back(all[i].second);
    }
    return best;
  }
  std::vector<std::uint64_t> search(const Vector& query, std::size_t k) {
    std::vector<std::uint64_t> found;
    const auto neighbours = index_.search(query, k, ImageSeq{}).value();
    for (const Neighbour& neighbour : neighbours) {
      found.push_back(neighbour.seq.value());
    }
    return found;
  }

  std::mt19937 random_{3};
  SimilarIndex index_{100'000};
  std::vector<Vector> vectors_;
};

TEST_F(SimilarIndexTest, WithoutAnEpochThereIsNothingToCompare) {
  EXPECT_EQ(index_.search(random_vector(), 3, ImageSeq{}).error().code,
            ErrorCode::kFailedPrecondition);
}

TEST_F(SimilarIndexTest, FindsWhatBruteForceFindsAndScoresByCosine) {
  fill(500);
  for (int i = 0; i < 20; ++i) {
    const Vector query = random_vector();
    EXPECT_EQ(search(query, 5), brute_force(query, 5, {}));
  }
  const auto self = index_.search(vectors_[6] * 3, 1, ImageSeq{}).value();
  EXPECT_EQ(self[0].seq, ImageSeq(7));
  EXPECT_NEAR(self[0].score, 1, 1e-3);
  EXPECT_NE(index_.search(vectors_[6], 1, ImageSeq(7)).value()[0].seq,
            ImageSeq(7));
}

TEST_F(SimilarIndexTest, RemovedImagesAreNotFoundAlsoAfterCompaction) {
  fill(600);
  std::vector<bool> gone(600, false);
  for (std::uint64_t i = 0; i < 600; i += 2) {
    gone[i] = true;
    index_.on_removed(ImageSeq(i + 1));
  }
  EXPECT_EQ(index_.size(), 300U);
  for (int i = 0; i < 20; ++i) {
    const Vector query = random_vector();
    EXPECT_EQ(search(query, 7), brute_force(query, 7, gone));
  }
  index_.on_embedding(EpochId(1), ImageSeq(1), vectors_[0]);
  EXPECT_EQ(search(vectors_[0], 1), std::vector<std::uint64_t>{1});
}

TEST_F(SimilarIndexTest, AnImageIsHeldOnceHoweverOftenItIsTold) {
  fill(10);
  index_.on_embedding(EpochId(1), ImageSeq(3), vectors_[2]);
  EXPECT_EQ(index_.size(), 10U);
  EXPECT_EQ(search(vectors_[2], 100).size(), 10U);
}

TEST_F(SimilarIndexTest, ANewEpochStartsEmptyAndOtherDimensionsAreRefused) {
  fill(10);
  index_.on_epoch(EpochId(2), kDim / 2);
  EXPECT_EQ(index_.size(), 0U);
  EXPECT_FALSE(index_.search(vectors_[0], 1, ImageSeq{}).has_value());
  index_.on_embedding(EpochId(1), ImageSeq(1),
                      vectors_[0]);  // of the old epoch
  EXPECT_EQ(index_.size(), 0U);
}

TEST(SimilarIndex, BeyondItsLimitImagesAreLeftOutAndCounted) {
  SimilarIndex index(2);
  index.on_epoch(EpochId(1), 2);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    index.on_embedding(EpochId(1), ImageSeq(i), Vector::Ones(2));
  }
  EXPECT_EQ(index.size(), 2U);
  EXPECT_EQ(index.left_out(), 3U);
}

TEST_F(SimilarIndexTest, SearchesRunBesideAdditions) {
  fill(50);
  const Vector query = vectors_[0];
  std::thread adding([&] {
    for (std::uint64_t i = 100; i < 1100; ++i) {
      index_.on_embedding(EpochId(1), ImageSeq(i),
                          Vector::Unit(kDim, 0) * 1e-3F);
      if (i % 3 == 0) index_.on_removed(ImageSeq(i));
    }
  });
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(index_.search(query, 1, ImageSeq{}).value()[0].seq, ImageSeq(1));
  }
  adding.join();
}

}  // namespace
}  // namespace shoal
