#include "engine/cluster/agglomerative.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/score/scores.h"
#include "tests/engine/random_data.h"
#include "tests/golden/agglomerative_golden.h"

namespace shoal {
namespace {

namespace g = golden::agglomerative;
using test::make_blobs;
using test::normal_matrix;

constexpr std::array kAll = {Linkage::kWard, Linkage::kAverage,
                             Linkage::kComplete, Linkage::kSingle};
constexpr std::array kOnDistances = {Linkage::kAverage, Linkage::kComplete,
                                     Linkage::kSingle};

AgglomerativeOptions options_for(Linkage linkage, int clusters) {
  AgglomerativeOptions options;
  options.linkage = linkage;
  options.clusters = clusters;
  return options;
}

struct Tree {
  const int* labels;
  const double* heights;
};

struct Golden {
  const char* name;
  Matrix data;
  int clusters;
  std::array<Tree, 4> on_rows;       // as kAll
  std::array<Tree, 3> on_distances;  // as kOnDistances, city block
};

#define SHOAL_GOLDEN(name)                                                \
  Golden {                                                                \
#name, test::golden_matrix(g::name, g::name##Rows, g::name##Columns), \
        g::name##Clusters,                                                \
        {Tree{g::name##Ward, g::name##WardHeights },                      \
              Tree{g::name##Average, g::name##AverageHeights },           \
                   Tree{g::name##Complete, g::name##CompleteHeights },    \
                        Tree{g::name##Single, g::name##SingleHeights } }, \
                        {Tree{g::name##GivenAverage,                      \
                              g::name##GivenAverageHeights },             \
                              Tree{g::name##GivenComplete,                \
                                   g::name##GivenCompleteHeights },       \
                                   Tree{g::name##GivenSingle,             \
                                        g::name##GivenSingleHeights } },  \
  }

std::vector<Golden> golden_sets() {
  return {SHOAL_GOLDEN(kBlobs), SHOAL_GOLDEN(kUniform),
          SHOAL_GOLDEN(kStretched), SHOAL_GOLDEN(kMoons)};
}

void expect_tree(const AgglomerativeResult& result, const Tree& tree,
                 int clusters) {
  const std::size_t n = result.labels.size();
  EXPECT_DOUBLE_EQ(adjusted_rand(std::vector<int>(tree.labels, tree.labels + n),
                                 result.labels)
                       .value(),
                   1.0);
  EXPECT_EQ(*std::max_element(result.labels.begin(), result.labels.end()),
            clusters - 1);
  ASSERT_EQ(result.merges.size(), n - 1);
  for (std::size_t i = 0; i < n - 1; ++i) {
    ASSERT_NEAR(result.merges[i].distance, tree.heights[i],
                2e-6 * tree.heights[i])
        << "merge " << i;
  }
}

/// City-block distances, in double first as scipy.
Matrix city_block(const Matrix& data) {
  Matrix distances(data.rows(), data.rows());
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    for (Eigen::Index j = 0; j < data.rows(); ++j) {
      distances(i, j) = static_cast<float>(
          (data.row(i).cast<double>() - data.row(j).cast<double>())
              .lpNorm<1>());
    }
  }
  return distances;
}

TEST(Agglomerative, PartitionsAndDistancesAreThoseOfScikitLearnAndScipy) {
  for (const Golden& golden : golden_sets()) {
    for (std::size_t l = 0; l < kAll.size(); ++l) {
      SCOPED_TRACE(std::string(golden.name) + " " + std::to_string(l));
      expect_tree(
          agglomerative(golden.data, options_for(kAll[l], golden.clusters))
              .value(),
          golden.on_rows[l], golden.clusters);
    }
  }
}

TEST(Agglomerative, PrecomputedDistancesGiveThePartitionsOfScikitLearn) {
  for (const Golden& golden : golden_sets()) {
    for (std::size_t l = 0; l < kOnDistances.size(); ++l) {
      SCOPED_TRACE(std::string(golden.name) + " " + std::to_string(l));
      expect_tree(agglomerative_on_distances(
                      city_block(golden.data),
                      options_for(kOnDistances[l], golden.clusters))
                      .value(),
                  golden.on_distances[l], golden.clusters);
    }
  }
}

TEST(Agglomerative, WithoutRoomForDistancesTheTreesAreTheSame) {
  for (const Golden& golden : golden_sets()) {
    for (const std::size_t l : {0U, 3U}) {
      SCOPED_TRACE(std::string(golden.name) + " " + std::to_string(l));
      AgglomerativeOptions options = options_for(kAll[l], golden.clusters);
      options.most_distance_bytes = 0;
      expect_tree(agglomerative(golden.data, options).value(),
                  golden.on_rows[l], golden.clusters);
    }
  }
}

TEST(Agglomerative, AGraphOfAllNeighboursGivesTheSameTree) {
  for (const Golden& golden : golden_sets()) {
    const int all = static_cast<int>(golden.data.rows()) - 1;
    for (std::size_t l = 0; l < kAll.size(); ++l) {
      SCOPED_TRACE(std::string(golden.name) + " " + std::to_string(l));
      expect_tree(agglomerative_on_graph(golden.data, all,
                                         options_for(kAll[l], golden.clusters))
                      .value(),
                  golden.on_rows[l], golden.clusters);
    }
  }
}

TEST(Agglomerative, TheTreesOfTheMergesAreConsistent) {
  const Matrix data = normal_matrix(300, 4, 1);
  for (const Linkage linkage : kAll) {
    for (const bool graph : {false, true}) {
      const AgglomerativeOptions options = options_for(linkage, 10);
      const auto result = graph ? agglomerative_on_graph(data, 5, options)
                                : agglomerative(data, options);
      ASSERT_TRUE(result);
      const std::vector<Merge>& merges = result.value().merges;
      ASSERT_EQ(merges.size(), 299U);
      std::set<int> used;
      for (std::size_t i = 0; i < merges.size(); ++i) {
        EXPECT_LT(merges[i].a, merges[i].b);
        EXPECT_LT(merges[i].b, 300 + static_cast<int>(i));
        EXPECT_TRUE(used.insert(merges[i].a).second);
        EXPECT_TRUE(used.insert(merges[i].b).second);
        if (i > 0) {
          EXPECT_GE(merges[i].distance, merges[i - 1].distance);
        }
      }
      // Labels count up in the order of the clusters' first rows.
      int next = 0;
      for (const int label : result.value().labels) {
        EXPECT_LE(label, next);
        next = std::max(next, label + 1);
      }
      EXPECT_EQ(next, 10);
    }
  }
}

TEST(Agglomerative, FewerClustersAreUnionsOfMore) {
  const Matrix data = normal_matrix(200, 3, 2);
  for (const Linkage linkage : kAll) {
    const auto fine = agglomerative(data, options_for(linkage, 12)).value();
    const auto coarse = agglomerative(data, options_for(linkage, 5)).value();
    std::set<std::pair<int, int>> both;
    for (std::size_t i = 0; i < 200; ++i) {
      both.emplace(fine.labels[i], coarse.labels[i]);
    }
    EXPECT_EQ(both.size(), 12U);
  }
}

TEST(Agglomerative, PermutedRowsHaveThePermutedPartition) {
  const Matrix data = normal_matrix(400, 6, 3);
  const Matrix reversed = data.colwise().reverse();
  for (const Linkage linkage : kAll) {
    for (const bool graph : {false, true}) {
      const AgglomerativeOptions options = options_for(linkage, 7);
      const auto run = [&](const Matrix& rows) {
        return graph ? agglomerative_on_graph(rows, 8, options).value()
                     : agglomerative(rows, options).value();
      };
      const AgglomerativeResult plain = run(data);
      AgglomerativeResult turned = run(reversed);
      std::reverse(turned.labels.begin(), turned.labels.end());
      EXPECT_DOUBLE_EQ(adjusted_rand(plain.labels, turned.labels).value(), 1);
      EXPECT_NEAR(plain.merges.back().distance, turned.merges.back().distance,
                  1e-5 * plain.merges.back().distance);
    }
  }
}

TEST(Agglomerative, NearDuplicatesFarFromTheOriginAreMeasuredRight) {
  // Pairs 1/1024 apart, far from each other and from zero.
  Matrix data(40, 3);
  for (Eigen::Index i = 0; i < 40; ++i) {
    data.row(i).setConstant(1000.0F + 8.0F * static_cast<float>(i / 2));
    data(i, 0) += static_cast<float>(i % 2) / 1024;
  }
  for (const Linkage linkage : kAll) {
    const auto result = agglomerative(data, options_for(linkage, 20)).value();
    for (std::size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(result.labels[i], static_cast<int>(i / 2));
    }
    EXPECT_NEAR(result.merges[19].distance, 1.0 / 1024, 1e-9);
  }
}

TEST(Agglomerative, DuplicatesAndExtremesOfTheClusterNumberAreFine) {
  const Matrix data = normal_matrix(9, 2, 4);
  for (const Linkage linkage : kAll) {
    for (const bool graph : {false, true}) {
      const auto run = [&](const Matrix& rows, int clusters) {
        const AgglomerativeOptions options = options_for(linkage, clusters);
        return graph ? agglomerative_on_graph(rows, 3, options).value()
                     : agglomerative(rows, options).value();
      };
      EXPECT_EQ(run(data, 9).labels,
                (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
      EXPECT_EQ(run(data, 1).labels, std::vector<int>(9, 0));
      EXPECT_EQ(run(data.topRows(1), 1).labels, std::vector<int>{0});
      EXPECT_TRUE(run(data.topRows(1), 1).merges.empty());
      EXPECT_EQ(run(data.topRows(2), 1).merges.size(), 1U);
      const Matrix same = Matrix::Constant(50, 3, 0.1F);
      const AgglomerativeResult constant = run(same, 4);
      EXPECT_EQ(
          std::set<int>(constant.labels.begin(), constant.labels.end()).size(),
          4U);
      EXPECT_EQ(constant.merges.back().distance, 0);
    }
  }
  for (const Linkage linkage : {Linkage::kWard, Linkage::kSingle}) {
    AgglomerativeOptions no_room = options_for(linkage, 4);
    no_room.most_distance_bytes = 0;
    EXPECT_EQ(agglomerative(Matrix::Constant(50, 3, 0.1F), no_room)
                  .value()
                  .merges.back()
                  .distance,
              0);
  }
}

TEST(Agglomerative, RefusesWhatCannotBe) {
  Matrix data = normal_matrix(5, 2, 5);
  const auto error_of = [](const auto& result) {
    return result ? ErrorCode::kInternal : result.error().code;
  };
  for (const int clusters : {0, 6}) {
    const auto options = options_for(Linkage::kAverage, clusters);
    EXPECT_EQ(error_of(agglomerative(data, options)),
              ErrorCode::kInvalidArgument);
    EXPECT_EQ(error_of(agglomerative_on_graph(data, 2, options)),
              ErrorCode::kInvalidArgument);
    EXPECT_EQ(error_of(agglomerative_on_distances(city_block(data), options)),
              ErrorCode::kInvalidArgument);
  }
  const auto two = options_for(Linkage::kAverage, 2);
  EXPECT_EQ(error_of(agglomerative(Matrix(0, 2), two)),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(agglomerative_on_graph(data, 0, two)),
            ErrorCode::kInvalidArgument);
  data(2, 0) = std::nanf("");
  EXPECT_EQ(error_of(agglomerative(data, two)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(agglomerative_on_graph(data, 2, two)),
            ErrorCode::kInvalidArgument);
}

TEST(Agglomerative, RefusesDistancesThatAreNone) {
  const Matrix good = city_block(normal_matrix(5, 2, 6));
  const auto message = [](const Matrix& distances, Linkage linkage) {
    const auto result =
        agglomerative_on_distances(distances, options_for(linkage, 2));
    if (result) return std::string("accepted");
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    return result.error().message;
  };
  EXPECT_EQ(message(good, Linkage::kAverage), "accepted");
  EXPECT_NE(message(good, Linkage::kWard).find("ward"), std::string::npos);
  EXPECT_NE(message(good.topRows(4), Linkage::kAverage).find("square"),
            std::string::npos);
  Matrix wrong = good;
  wrong(3, 3) = 1;
  EXPECT_NE(message(wrong, Linkage::kAverage).find("not 0 (row 3, column 3)"),
            std::string::npos);
  wrong = good;
  wrong(1, 4) *= 1.01F;
  EXPECT_NE(
      message(wrong, Linkage::kSingle).find("symmetric (row 4, column 1)"),
      std::string::npos);
  for (const float value :
       {-1.0F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    wrong = good;
    wrong(2, 1) = wrong(1, 2) = value;
    EXPECT_NE(message(wrong, Linkage::kComplete).find("row 2, column 1"),
              std::string::npos);
  }
}

TEST(Agglomerative, SaysWhenTheDistancesDoNotFitInMemory) {
  const auto result = agglomerative(Matrix::Zero(10000000, 1),
                                    options_for(Linkage::kAverage, 2));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(result.error().message.find("10000000 rows"), std::string::npos);
}

TEST(Agglomerative, CanBeCancelled) {
  const Matrix data = normal_matrix(100, 2, 7);
  for (const Linkage linkage : kAll) {
    AgglomerativeOptions options = options_for(linkage, 3);
    int asked = 0;
    options.cancelled = [&] { return ++asked > 20; };
    EXPECT_EQ(agglomerative(data, options).error().code, ErrorCode::kCancelled);
    asked = 0;
    EXPECT_EQ(agglomerative_on_graph(data, 3, options).error().code,
              ErrorCode::kCancelled);
  }
}

TEST(AgglomerativeOnGraph, AFewNeighboursFindClearClusters) {
  const auto blobs = make_blobs(3000, 16, 15, 4, 8);
  for (const Linkage linkage : kAll) {
    const auto result =
        agglomerative_on_graph(blobs.data, 10, options_for(linkage, 15))
            .value();
    EXPECT_DOUBLE_EQ(adjusted_rand(blobs.truth, result.labels).value(), 1);
  }
}

TEST(AgglomerativeOnGraph, PartsWithoutEdgesJoinByTheirCentroids) {
  // Four far groups of ten: the graph has four parts. Two of the groups are
  // nearer to each other than the others.
  const float places[] = {0, 100, 130, 300};
  Matrix data = normal_matrix(40, 2, 9);
  for (Eigen::Index i = 0; i < 40; ++i) data.row(i).array() += places[i / 10];
  for (const Linkage linkage : kAll) {
    const auto result =
        agglomerative_on_graph(data, 4, options_for(linkage, 3)).value();
    for (std::size_t i = 0; i < 40; ++i) {
      const int expected[] = {0, 1, 1, 2};
      EXPECT_EQ(result.labels[i], expected[i / 10]);
    }
  }
}

}  // namespace
}  // namespace shoal
