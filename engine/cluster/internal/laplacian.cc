#include "engine/cluster/internal/laplacian.h"

#include <algorithm>
#include <string>

#include "engine/cluster/neighbour_graph.h"

extern "C" void dsyevr_(const char* job, const char* range, const char* half,
                        const int* n, double* a, const int* lda,
                        const double* low, const double* high, const int* first,
                        const int* last, const double* tolerance, int* found,
                        double* values, double* vectors, const int* ldz,
                        int* support, double* work, const int* work_size,
                        int* integer_work, const int* integer_work_size,
                        int* info);

namespace shoal::internal {
namespace {

/// An edge found from one side only weighs half.
Eigen::MatrixXd normalised_laplacian(const NeighbourGraph& graph) {
  const auto n = static_cast<Eigen::Index>(graph.size());
  Eigen::MatrixXd laplacian = Eigen::MatrixXd::Zero(n, n);
  for (std::size_t i = 0; i < graph.index.size(); ++i) {
    const auto from = static_cast<Eigen::Index>(
        i / static_cast<std::size_t>(graph.neighbours));
    laplacian(from, graph.index[i]) -= 0.5;
    laplacian(graph.index[i], from) -= 0.5;
  }
  const Eigen::VectorXd scale =
      (-laplacian.rowwise().sum()).array().rsqrt().matrix();
  laplacian = scale.asDiagonal() * laplacian * scale.asDiagonal();
  laplacian.diagonal().array() += 1;
  return laplacian;
}

Result<std::vector<double>> smallest_eigenvalues(Eigen::MatrixXd matrix,
                                                 int count) {
  const int n = static_cast<int>(matrix.rows());
  const int first = 1;
  const double unused = 0;
  const double exact = 0;
  const int no_vectors = 1;
  int found = 0;
  int info = 0;
  std::vector<double> values(static_cast<std::size_t>(n));
  std::vector<int> support(2 * values.size());
  std::vector<double> work(1);
  std::vector<int> integer_work(1);
  int work_size = -1;  // Asks for the best sizes first.
  int integer_work_size = -1;
  const auto solve = [&] {
    dsyevr_("N", "I", "L", &n, matrix.data(), &n, &unused, &unused, &first,
            &count, &exact, &found, values.data(), nullptr, &no_vectors,
            support.data(), work.data(), &work_size, integer_work.data(),
            &integer_work_size, &info);
  };
  solve();
  work_size = static_cast<int>(work[0]);
  integer_work_size = integer_work[0];
  work.resize(static_cast<std::size_t>(work_size));
  integer_work.resize(static_cast<std::size_t>(integer_work_size));
  solve();
  if (info != 0 || found < count) {
    return internal_error("Laplacian: LAPACK's dsyevr failed with " +
                          std::to_string(info));
  }
  values.resize(static_cast<std::size_t>(count));
  return values;
}

}  // namespace

Result<std::vector<double>> laplacian_eigenvalues(
    MatrixView data, int neighbours, int values,
    const std::function<bool()>& cancelled) {
  const int n = static_cast<int>(data.rows());
  SHOAL_TRY(graph,
            nearest_neighbours(data, std::min(neighbours, n - 1), cancelled));
  return smallest_eigenvalues(normalised_laplacian(graph), std::min(values, n));
}

}  // namespace shoal::internal
