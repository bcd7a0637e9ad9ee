#include "engine/score/sampling.h"

#include <random>

namespace shoal {

std::vector<std::size_t> sample_without_replacement(std::size_t n,
                                                    std::size_t count,
                                                    std::uint64_t seed) {
  std::vector<std::size_t> sample;
  sample.reserve(count < n ? count : n);
  std::mt19937_64 random(seed);
  // Selection sampling (Knuth, TAOCP 2, algorithm S): one pass, in order.
  for (std::size_t i = 0; i < n && sample.size() < count; ++i) {
    const std::size_t left = n - i;
    std::uniform_int_distribution<std::size_t> draw(0, left - 1);
    if (draw(random) < count - sample.size()) sample.push_back(i);
  }
  return sample;
}

Matrix take_rows(MatrixView data, const std::vector<std::size_t>& rows) {
  Matrix taken(static_cast<Eigen::Index>(rows.size()), data.cols());
  Eigen::Index to = 0;
  for (const std::size_t row : rows) {
    taken.row(to++) = data.row(static_cast<Eigen::Index>(row));
  }
  return taken;
}

}  // namespace shoal
