#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "common/matrix.h"

namespace shoal::test {

/// (n, d) independent normal values.
inline Matrix normal_matrix(int n, int d, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Matrix data(n, d);
  for (Eigen::Index i = 0; i < data.size(); ++i) {
    data.data()[i] = normal(random);
  }
  return data;
}

struct Blobs {
  Matrix data;             ///< (n, d)
  std::vector<int> truth;  ///< (n): row i is of blob i % k
};

/// k round clouds of deviation 1 whose centres have deviation `spread` per
/// dimension.
inline Blobs make_blobs(int n, int d, int k, float spread, std::uint64_t seed) {
  const Matrix centers = spread * normal_matrix(k, d, seed);
  Blobs blobs{normal_matrix(n, d, seed + 1), {}};
  for (int i = 0; i < n; ++i) {
    blobs.truth.push_back(i % k);
    blobs.data.row(i) += centers.row(i % k);
  }
  return blobs;
}

/// A golden array as a matrix.
inline Matrix golden_matrix(const double* values, int rows, int columns) {
  return Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic,
                                        Eigen::RowMajor>>(values, rows, columns)
      .cast<float>();
}

}  // namespace shoal::test
