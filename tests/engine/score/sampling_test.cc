#include "engine/score/sampling.h"

#include <set>

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Sampling, DrawsDifferentNumbersInOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto sample = sample_without_replacement(100, 30, seed);
    ASSERT_EQ(sample.size(), 30U);
    for (std::size_t i = 1; i < sample.size(); ++i) {
      EXPECT_GT(sample[i], sample[i - 1]);
    }
    EXPECT_LT(sample.back(), 100U);
    EXPECT_EQ(sample, sample_without_replacement(100, 30, seed));
  }
}

TEST(Sampling, AllWhereThereAreNoMore) {
  EXPECT_EQ(sample_without_replacement(3, 5, 1),
            (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_TRUE(sample_without_replacement(0, 5, 1).empty());
  EXPECT_TRUE(sample_without_replacement(5, 0, 1).empty());
}

TEST(Sampling, EveryNumberIsAboutEquallyLikely) {
  std::vector<int> drawn(20, 0);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    for (const auto number : sample_without_replacement(20, 5, seed)) {
      ++drawn[number];
    }
  }
  for (const int count : drawn) {
    EXPECT_NEAR(count, 1000, 150);  // Five deviations of a binomial.
  }
}

TEST(Sampling, TakesTheNamedRows) {
  Matrix data(3, 2);
  data << 1, 2, 3, 4, 5, 6;
  Matrix expected(3, 2);
  expected << 5, 6, 1, 2, 5, 6;
  EXPECT_EQ(take_rows(data, {2, 0, 2}), expected);
}

}  // namespace
}  // namespace shoal
