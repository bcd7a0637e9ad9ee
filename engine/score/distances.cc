#include "engine/score/distances.h"

#include "common/check.h"

extern "C" void sgemm_(const char* transpose_a, const char* transpose_b,
                       const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda,
                       const float* b, const int* ldb, const float* beta,
                       float* c, const int* ldc);

namespace shoal {

PointDistances::PointDistances(MatrixView points,
                               const Eigen::Ref<const Vector>& origin)
    : points_(points.rowwise() - origin.transpose()), offsets_(points.rows()) {
  // |x - p|^2 = |x - o|^2 + |p - o|^2 - 2 (x - o).(p - o); the part of the
  // last term that does not depend on x joins the offsets.
  const Eigen::VectorXd origin_d = origin.cast<double>();
  for (Eigen::Index j = 0; j < points_.rows(); ++j) {
    const Eigen::VectorXd p = points_.row(j).cast<double>();
    offsets_[j] = static_cast<float>(p.squaredNorm() + 2 * p.dot(origin_d));
  }
  points_ *= -2.0F;
}

void PointDistances::compare(MatrixView rows, Eigen::Ref<Matrix> out) const {
  multiply_transposed(rows, points_, out);
  out.rowwise() += offsets_.transpose();
}

void PointDistances::measure(MatrixView rows,
                             const Eigen::Ref<const Vector>& row_norms,
                             Eigen::Ref<Matrix> out) const {
  compare(rows, out);
  out.colwise() += row_norms;
  out = out.cwiseMax(0.0F);
}

void multiply_transposed(MatrixView a, MatrixView b, Eigen::Ref<Matrix> out) {
  SHOAL_CHECK(
      a.cols() == b.cols() && out.rows() == a.rows() && out.cols() == b.rows(),
      "shapes do not fit");
  if (out.size() == 0) return;
  // BLAS counts by columns, so it sees each of our matrices transposed: it is
  // asked for out' = b * a'.
  const int m = static_cast<int>(b.rows());
  const int n = static_cast<int>(a.rows());
  const int k = static_cast<int>(a.cols());
  const int lda = static_cast<int>(a.outerStride());
  const int ldb = static_cast<int>(b.outerStride());
  const int ldc = static_cast<int>(out.outerStride());
  const float one = 1;
  const float zero = 0;
  sgemm_("T", "N", &m, &n, &k, &one, b.data(), &ldb, a.data(), &lda, &zero,
         out.data(), &ldc);
}

Vector squared_norms(MatrixView rows, const Eigen::Ref<const Vector>& origin) {
  Vector norms(rows.rows());
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    norms[i] = (rows.row(i) - origin.transpose()).squaredNorm();
  }
  return norms;
}

Vector mean_row(MatrixView rows) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(rows.cols());
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    sum += rows.row(i).transpose().cast<double>();
  }
  return (sum / static_cast<double>(rows.rows())).cast<float>();
}

}  // namespace shoal
