#include "engine/online/assigner.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/engine/random_data.h"

namespace shoal {
namespace {

constexpr float kNoLimit = std::numeric_limits<float>::infinity();

Vector point(float x, float y) {
  Vector v(2);
  v << x, y;
  return v;
}

Assigner::Cluster cluster(std::uint64_t id, float x, float y,
                          float threshold = kNoLimit) {
  return {ClusterId(id), {{point(x, y), threshold}}};
}

TEST(Assigner, TakesTheNearestCentroidWithStudentTConfidence) {
  const Assigner assigner({cluster(5, 0, 0), cluster(9, 10, 0)});
  const Assignment a = assigner.assign(point(1, 0), {});
  EXPECT_EQ(a.cluster, ClusterId(5));
  EXPECT_EQ(a.nearest, ClusterId(5));
  EXPECT_FLOAT_EQ(a.distance, 1);
  const double own = 1 / (1 + 1.0);
  const double other = 1 / (1 + 81.0);
  EXPECT_FLOAT_EQ(a.confidence, static_cast<float>(own / (own + other)));
}

TEST(Assigner, BeyondTheThresholdItIsNovelButTheNearestIsTold) {
  const Assigner assigner({cluster(1, 0, 0, 2), cluster(2, 10, 0, 1)});
  EXPECT_EQ(assigner.assign(point(2, 0), {}).cluster, ClusterId(1));
  const Assignment novel = assigner.assign(point(2.1F, 0), {});
  EXPECT_FALSE(novel.cluster.valid());
  EXPECT_EQ(novel.nearest, ClusterId(1));
  EXPECT_FLOAT_EQ(novel.distance, 2.1F);
  EXPECT_GT(novel.confidence, 0);
}

TEST(Assigner, AClusterIsAsNearAsItsNearestPrototype) {
  const Assigner assigner(
      {{ClusterId(1), {{point(0, 0), 1}, {point(20, 0), 5}}},
       cluster(2, 10, 0)});
  const Assignment a = assigner.assign(point(17, 0), {});
  EXPECT_EQ(a.cluster, ClusterId(1));  // Within the second one's limit.
  EXPECT_FLOAT_EQ(a.distance, 3);
  // A cluster counts once in the confidence however many prototypes it has.
  const double own = 1 / (1 + 9.0);
  const double other = 1 / (1 + 49.0);
  EXPECT_FLOAT_EQ(a.confidence, static_cast<float>(own / (own + other)));
}

TEST(Assigner, NeverGivesAForbiddenCluster) {
  const Assigner assigner({cluster(1, 0, 0), cluster(2, 10, 0)});
  const Assignment a = assigner.assign(point(1, 0), {ClusterId(1)});
  EXPECT_EQ(a.cluster, ClusterId(2));
  EXPECT_FLOAT_EQ(a.distance, 9);
  EXPECT_LT(a.confidence, 0.5F);
  const Assignment none =
      assigner.assign(point(1, 0), {ClusterId(2), ClusterId(1)});
  EXPECT_FALSE(none.cluster.valid());
  EXPECT_FALSE(none.nearest.valid());
  EXPECT_EQ(none.confidence, 0);
}

TEST(Assigner, ClustersWithoutPrototypesTakeNothing) {
  const Assigner assigner({{ClusterId(1), {}}, cluster(2, 10, 0)});
  EXPECT_EQ(assigner.assign(point(0, 0), {}).cluster, ClusterId(2));
  EXPECT_FLOAT_EQ(assigner.assign(point(0, 0), {}).confidence, 1);
}

TEST(Assigner, WithoutClustersEverythingStaysUnassigned) {
  EXPECT_TRUE(Assigner().empty());
  EXPECT_TRUE(Assigner({{ClusterId(1), {}}}).empty());
  EXPECT_FALSE(Assigner().assign(point(0, 0), {}).nearest.valid());
  EXPECT_FALSE(Assigner({cluster(1, 0, 0)}).empty());
}

TEST(Assigner, ConfidenceIsAlwaysAboveZeroAndAtMostOne) {
  const Matrix centroids = test::normal_matrix(200, 16, 1);
  std::vector<Assigner::Cluster> clusters;
  for (Eigen::Index c = 0; c < centroids.rows(); ++c) {
    clusters.push_back({ClusterId(static_cast<std::uint64_t>(c) + 1),
                        {{centroids.row(c).transpose(), kNoLimit}}});
  }
  const Assigner assigner(clusters);
  for (const float scale : {0.0F, 1.0F, 100.0F, 1e15F, 1e30F}) {
    const Matrix points = scale * test::normal_matrix(20, 16, 2);
    for (Eigen::Index i = 0; i < points.rows(); ++i) {
      const Assignment a = assigner.assign(points.row(i).transpose(), {});
      EXPECT_GT(a.confidence, 0) << scale;
      EXPECT_LE(a.confidence, 1) << scale;
    }
  }
  const Assignment on_it = assigner.assign(centroids.row(7).transpose(), {});
  EXPECT_EQ(on_it.cluster, ClusterId(8));
  EXPECT_EQ(on_it.distance, 0);
}

TEST(RowsWithFellows, CountsThoseWithThreeOthersNearBy) {
  Matrix rows(7, 2);
  rows << 0, 0, 0, 1, 1, 0, 1, 1, 9, 9, 9, 9, 9, 10;
  EXPECT_EQ(rows_with_fellows(rows, 1.5F), 4U);
  EXPECT_EQ(rows_with_fellows(rows, 1.0F), 0U);
  EXPECT_EQ(rows_with_fellows(rows, 20.0F), 7U);
  EXPECT_EQ(rows_with_fellows(Matrix(0, 3), 1.0F), 0U);
}

}  // namespace
}  // namespace shoal
