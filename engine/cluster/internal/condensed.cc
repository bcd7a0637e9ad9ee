#include "engine/cluster/internal/condensed.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

#include "engine/score/distances.h"

extern "C" void dgemm_(const char* transpose_a, const char* transpose_b,
                       const int* m, const int* n, const int* k,
                       const double* alpha, const double* a, const int* lda,
                       const double* b, const int* ldb, const double* beta,
                       double* c, const int* ldc);

namespace shoal::internal {
namespace {

constexpr Eigen::Index kBlockRows = 512;
/// Below this share of the norms a squared distance is computed again from
/// the difference: the product's own rounding would begin to show in float32.
constexpr double kCancelling = 1e-8;

/// Memory that can be had without swapping; no limit where Linux does not say.
std::size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::size_t kib = 0;
  std::string unit;
  while (file >> key >> kib >> unit) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return std::numeric_limits<std::size_t>::max();
}

struct Block {
  Eigen::Index first = 0;
  Eigen::MatrixXd columns;  // (d, rows) centred
  Eigen::VectorXd norms;    // squared
};

Block make_block(MatrixView data, const Vector& mean, Eigen::Index first) {
  const Eigen::Index count = std::min(kBlockRows, data.rows() - first);
  Block block;
  block.first = first;
  block.columns = (data.middleRows(first, count).cast<double>().rowwise() -
                   mean.transpose().cast<double>())
                      .transpose();
  block.norms = block.columns.colwise().squaredNorm();
  return block;
}

/// (a's rows, b's rows) products, column-major.
Eigen::MatrixXd products(const Block& a, const Block& b) {
  Eigen::MatrixXd product(a.columns.cols(), b.columns.cols());
  const int m = static_cast<int>(a.columns.cols());
  const int n = static_cast<int>(b.columns.cols());
  const int k = static_cast<int>(a.columns.rows());
  const double one = 1;
  const double zero = 0;
  dgemm_("T", "N", &m, &n, &k, &one, a.columns.data(), &k, b.columns.data(), &k,
         &zero, product.data(), &m);
  return product;
}

/// Writes the distances of `upper`'s rows, the later ones, to `lower`'s.
void write_distances(const Block& upper, const Block& lower, bool squared,
                     CondensedDistances& distances) {
  // A column of the product belongs to one row of `upper`.
  Eigen::MatrixXd product = products(lower, upper);
  for (Eigen::Index i = 0; i < upper.columns.cols(); ++i) {
    const Eigen::Index row = upper.first + i;
    const Eigen::Index count =
        std::min(lower.columns.cols(), row - lower.first);
    if (count < 1) continue;
    const auto lower_norms = lower.norms.head(count).array();
    auto values = product.col(i).head(count).array();
    values = lower_norms + upper.norms[i] - 2 * values;
    for (Eigen::Index j = 0; j < count; ++j) {
      if (values[j] < kCancelling * (lower.norms[j] + upper.norms[i])) {
        values[j] = (upper.columns.col(i) - lower.columns.col(j)).squaredNorm();
      }
    }
    if (!squared) values = values.sqrt();
    Eigen::Map<Eigen::ArrayXf>(
        distances.row(static_cast<std::size_t>(row)) + lower.first, count) =
        values.cast<float>();
  }
}

}  // namespace

Result<void> check_memory(std::size_t bytes, const std::string& what) {
  const std::size_t available = available_bytes();
  if (bytes <= available) return ok();
  return resource_exhausted(what + " need " + std::to_string(bytes >> 20) +
                            " MiB of memory; " +
                            std::to_string(available >> 20) +
                            " MiB are available: the input is too large");
}

Result<CondensedDistances> CondensedDistances::make(std::size_t n) {
  SHOAL_TRY(check_memory(pairs(n) * sizeof(float),
                         "the distances of " + std::to_string(n) + " rows"));
  CondensedDistances made;
  made.n_ = n;
  made.values_ = Matrix::Zero(1, static_cast<Eigen::Index>(pairs(n)));
  return Result<CondensedDistances>(std::move(made));
}

CondensedDistances::CondensedDistances(Matrix square)
    : n_(static_cast<std::size_t>(square.rows())), values_(std::move(square)) {
  // Row i moves to the front of what it occupied, never over a later row.
  for (std::size_t i = 1; i < n_; ++i) {
    const float* from = values_.data() + i * n_;
    std::copy(from, from + i, row(i));
  }
}

Result<CondensedDistances> pairwise_distances(
    MatrixView data, bool squared, const std::function<bool()>& cancelled) {
  SHOAL_TRY(distances,
            CondensedDistances::make(static_cast<std::size_t>(data.rows())));
  const Vector mean = mean_row(data);
  for (Eigen::Index first = 0; first < data.rows(); first += kBlockRows) {
    if (cancelled && cancelled()) {
      return Error{ErrorCode::kCancelled, "distances: cancelled"};
    }
    const Block upper = make_block(data, mean, first);
    for (Eigen::Index other = 0; other < first; other += kBlockRows) {
      write_distances(upper, make_block(data, mean, other), squared, distances);
    }
    write_distances(upper, upper, squared, distances);
  }
  return std::move(distances);
}

}  // namespace shoal::internal
