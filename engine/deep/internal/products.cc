#include "engine/deep/internal/products.h"

#include "common/check.h"

extern "C" void sgemm_(const char* transpose_a, const char* transpose_b,
                       const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda,
                       const float* b, const int* ldb, const float* beta,
                       float* c, const int* ldc);

namespace shoal {

// BLAS counts by columns, so it sees each of our matrices transposed: it is
// asked for the transposed product with the factors in the other order.

void multiply(MatrixView a, MatrixView b, Eigen::Ref<Matrix> out) {
  SHOAL_CHECK(
      a.cols() == b.rows() && out.rows() == a.rows() && out.cols() == b.cols(),
      "shapes do not fit");
  const int m = static_cast<int>(b.cols());
  const int n = static_cast<int>(a.rows());
  const int k = static_cast<int>(a.cols());
  const int lda = static_cast<int>(a.outerStride());
  const int ldb = static_cast<int>(b.outerStride());
  const int ldc = static_cast<int>(out.outerStride());
  const float one = 1;
  const float zero = 0;
  sgemm_("N", "N", &m, &n, &k, &one, b.data(), &ldb, a.data(), &lda, &zero,
         out.data(), &ldc);
}

void multiply_columns(MatrixView a, MatrixView b, Eigen::Ref<Matrix> out) {
  SHOAL_CHECK(
      a.rows() == b.rows() && out.rows() == a.cols() && out.cols() == b.cols(),
      "shapes do not fit");
  const int m = static_cast<int>(b.cols());
  const int n = static_cast<int>(a.cols());
  const int k = static_cast<int>(a.rows());
  const int lda = static_cast<int>(a.outerStride());
  const int ldb = static_cast<int>(b.outerStride());
  const int ldc = static_cast<int>(out.outerStride());
  const float one = 1;
  const float zero = 0;
  sgemm_("N", "T", &m, &n, &k, &one, b.data(), &ldb, a.data(), &lda, &zero,
         out.data(), &ldc);
}

}  // namespace shoal
