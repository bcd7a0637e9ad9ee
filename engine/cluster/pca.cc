#include "engine/cluster/pca.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "common/check.h"
#include "engine/score/distances.h"

extern "C" {
void dsyrk_(const char* half, const char* transpose, const int* n, const int* k,
            const double* alpha, const double* a, const int* lda,
            const double* beta, double* c, const int* ldc);
void dgemm_(const char* transpose_a, const char* transpose_b, const int* m,
            const int* n, const int* k, const double* alpha, const double* a,
            const int* lda, const double* b, const int* ldb, const double* beta,
            double* c, const int* ldc);
void dsyevr_(const char* job, const char* range, const char* half, const int* n,
             double* a, const int* lda, const double* low, const double* high,
             const int* first, const int* last, const double* tolerance,
             int* found, double* values, double* vectors, const int* ldz,
             int* support, double* work, const int* work_size,
             int* integer_work, const int* integer_work_size, int* info);
}

namespace shoal {
namespace {

/// Rows turned to double at a time, so that the products lose nothing and the
/// data need no copy of twice their size.
constexpr Eigen::Index kBlockRows = 1024;
/// Components with less of the total variance than this are rounding noise.
constexpr double kNoise = 1e-10;

/// (rows, d) minus the mean, in double.
Eigen::MatrixXd centered(MatrixView data, const Vector& mean,
                         Eigen::Index start, Eigen::Index count) {
  return (data.middleRows(start, count).cast<double>()).rowwise() -
         mean.cast<double>().transpose();
}

/// Adds a * a' ("N") or a' * a ("T") to the lower half of `sums`.
void add_product(const char* transpose, const Eigen::MatrixXd& a,
                 Eigen::MatrixXd& sums) {
  const int n = static_cast<int>(sums.rows());
  const int rows = static_cast<int>(a.rows());
  const int k = *transpose == 'N' ? static_cast<int>(a.cols()) : rows;
  const double one = 1;
  dsyrk_("L", transpose, &n, &k, &one, a.data(), &rows, &one, sums.data(), &n);
}

/// (d, d) X'X of the centred rows, lower half.
Eigen::MatrixXd covariance_sums(MatrixView data, const Vector& mean) {
  Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(data.cols(), data.cols());
  for (Eigen::Index start = 0; start < data.rows(); start += kBlockRows) {
    add_product(
        "T",
        centered(data, mean, start, std::min(kBlockRows, data.rows() - start)),
        sums);
  }
  return sums;
}

/// (n, n) XX' of the centred rows, lower half.
Eigen::MatrixXd gram_matrix(MatrixView data, const Vector& mean) {
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(data.rows(), data.rows());
  add_product("N", centered(data, mean, 0, data.rows()), gram);
  return gram;
}

/// a' * b of two column-major matrices.
Eigen::MatrixXd transposed_product(const Eigen::MatrixXd& a,
                                   const Eigen::MatrixXd& b) {
  Eigen::MatrixXd product(a.cols(), b.cols());
  const int m = static_cast<int>(a.cols());
  const int n = static_cast<int>(b.cols());
  const int k = static_cast<int>(a.rows());
  const double one = 1;
  const double zero = 0;
  if (product.size() == 0) return product;
  dgemm_("T", "N", &m, &n, &k, &one, a.data(), &k, b.data(), &k, &zero,
         product.data(), &m);
  return product;
}

struct Eigenpairs {
  Eigen::VectorXd values;   // (k), falling
  Eigen::MatrixXd vectors;  // (n, k), orthonormal columns
};

/// The k largest eigenvalues of a symmetric matrix of which the lower half is
/// set; `matrix` is spent. LAPACK, because it finds k of n pairs without the
/// rest and in blocked form.
Result<Eigenpairs> largest_eigenpairs(Eigen::MatrixXd matrix, int k) {
  const int n = static_cast<int>(matrix.rows());
  const int first = n - k + 1;
  const double unused = 0;
  const double tolerance = 0;  // LAPACK's own choice
  int found = 0;
  int info = 0;
  Eigenpairs pairs{Eigen::VectorXd(n), Eigen::MatrixXd(n, k)};
  std::vector<int> support(2 * static_cast<std::size_t>(k));
  std::vector<double> work(1);
  std::vector<int> integer_work(1);
  // The first call asks for the sizes of the work arrays.
  for (int size = -1, integer_size = -1;;) {
    dsyevr_("V", "I", "L", &n, matrix.data(), &n, &unused, &unused, &first, &n,
            &tolerance, &found, pairs.values.data(), pairs.vectors.data(), &n,
            support.data(), work.data(), &size, integer_work.data(),
            &integer_size, &info);
    if (info != 0 || size != -1) break;
    size = static_cast<int>(work[0]);
    integer_size = integer_work[0];
    work.resize(static_cast<std::size_t>(size));
    integer_work.resize(static_cast<std::size_t>(integer_size));
  }
  if (info != 0 || found != k) {
    return internal_error("dsyevr found " + std::to_string(found) + " of " +
                          std::to_string(k) + " eigenpairs, info " +
                          std::to_string(info));
  }
  pairs.values = pairs.values.head(k).reverse().eval();
  pairs.vectors = pairs.vectors.rowwise().reverse().eval();
  return pairs;
}

int components_to_keep(const Eigen::VectorXd& values, double total,
                       double explained) {
  double sum = 0;
  int keep = 0;
  for (; keep < values.size(); ++keep) {
    if (values[keep] <= kNoise * total) break;
    if (explained < 1 && sum >= explained * total) break;
    sum += values[keep];
  }
  return keep;
}

}  // namespace

Result<Pca> fit_pca(MatrixView data, const PcaOptions& options) {
  const Eigen::Index n = data.rows();
  const Eigen::Index d = data.cols();
  if (n < 2 || d < 1) {
    return invalid_argument("PCA needs 2 rows and a column, not " +
                            std::to_string(n) + " x " + std::to_string(d));
  }
  if (options.max_components < 1 || !(options.explained > 0) ||
      options.explained > 1) {
    return invalid_argument(
        "PCA: max_components must be at least 1, explained in (0, 1]");
  }
  if (!data.allFinite()) {
    return invalid_argument("PCA: the data hold a value that is not finite");
  }
  Pca pca;
  pca.mean = mean_row(data);
  const bool by_rows = n < d;
  Eigen::MatrixXd sums =
      by_rows ? gram_matrix(data, pca.mean) : covariance_sums(data, pca.mean);
  const double total = sums.trace();
  const int most = static_cast<int>(
      std::min<Eigen::Index>(options.max_components, sums.rows()));
  SHOAL_TRY(pairs, largest_eigenpairs(std::move(sums), most));
  const int keep = components_to_keep(pairs.values, total, options.explained);

  Eigen::MatrixXd components;  // (d, keep), orthonormal columns
  if (by_rows) {
    // X'u of an eigenvector u of XX' is one of X'X, of length sqrt(value).
    components = transposed_product(centered(data, pca.mean, 0, n),
                                    pairs.vectors.leftCols(keep));
    components.colwise().normalize();
  } else {
    components = pairs.vectors.leftCols(keep);
  }
  for (Eigen::Index c = 0; c < keep; ++c) {
    Eigen::Index largest = 0;
    components.col(c).cwiseAbs().maxCoeff(&largest);
    if (components(largest, c) < 0) components.col(c) *= -1.0;
  }
  const auto divisor = static_cast<double>(n - 1);
  pca.components = components.transpose().cast<float>();
  pca.explained_variance = (pairs.values.head(keep) / divisor).cast<float>();
  pca.total_variance = total / divisor;
  return pca;
}

Matrix Pca::project(MatrixView data, bool whiten) const {
  SHOAL_CHECK(data.cols() == mean.size(), "rows of another dimension");
  Matrix scaled = components;
  if (whiten) {
    scaled.array().colwise() /= explained_variance.array().sqrt();
  }
  const Vector offset = scaled * mean;
  Matrix projected(data.rows(), components.rows());
  multiply_transposed(data, scaled, projected);
  projected.rowwise() -= offset.transpose();
  return projected;
}

}  // namespace shoal
