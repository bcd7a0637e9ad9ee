#include "engine/refine/label_quality.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "engine/cluster/ensemble.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using test::make_blobs;

TEST(LabelQuality, RightLabelsAreBetterThanWorseOnes) {
  const auto blobs = make_blobs(200, 8, 4, 3, 1);
  const auto other = make_blobs(200, 12, 4, 3, 2);
  const std::vector<Matrix> views = {blobs.data, other.data};
  const LabelQuality right = label_quality(views, blobs.truth).value();
  EXPECT_GT(right.silhouette, 0.5);
  EXPECT_GT(right.neighbours, 0.99);
  std::vector<int> labels = blobs.truth;
  std::mt19937_64 random(3);
  std::shuffle(labels.begin(), labels.begin() + 40, random);
  const LabelQuality some_wrong = label_quality(views, labels).value();
  EXPECT_LT(some_wrong.silhouette, right.silhouette - 0.05);
  EXPECT_LT(some_wrong.neighbours, right.neighbours - 0.05);
  // Two kinds as one: neighbours do not tell, the silhouette does.
  labels = blobs.truth;
  for (int& label : labels) label = std::min(label, 2);
  EXPECT_LT(label_quality(views, labels).value().silhouette,
            right.silhouette - 0.05);
}

TEST(LabelQuality, IsTheMeanOfWhatEachViewSays) {
  const auto a = make_blobs(60, 5, 3, 1, 4);
  const auto b = make_blobs(60, 7, 3, 1, 5);
  const double first =
      silhouette(concatenate_views({a.data}).value(), a.truth, 0, 0).value();
  const double second =
      silhouette(concatenate_views({b.data}).value(), a.truth, 0, 0).value();
  EXPECT_NEAR(label_quality({a.data, b.data}, a.truth).value().silhouette,
              (first + second) / 2, 1e-6);
}

TEST(LabelQuality, CountsTheNearestByHand) {
  // On a circle: each row's nearest are its two neighbours and, of four rows,
  // the third is the last.
  Matrix rows(4, 2);
  rows << 1, 0, 0.99F, 0.1F, 0, 1, 0.1F, 0.99F;
  // All three others of each: one of three has its label.
  EXPECT_NEAR(label_quality({rows}, {0, 0, 1, 1}).value().neighbours, 1.0 / 3,
              1e-9);
}

TEST(LabelQuality, RefusesWhatHasNoAnswer) {
  const auto blobs = make_blobs(20, 4, 2, 1, 6);
  const auto fails = [](const std::vector<Matrix>& views,
                        const std::vector<int>& labels) {
    const auto quality = label_quality(views, labels);
    return !quality && quality.error().code == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(fails({}, blobs.truth));
  EXPECT_TRUE(fails({blobs.data}, {0, 1, 0}));
  EXPECT_TRUE(fails({blobs.data.topRows(2)}, {0, 1}));
}

}  // namespace
}  // namespace shoal
