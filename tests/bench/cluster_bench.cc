// cluster_bench METHOD --data FILE --columns D --clusters K [...]: runs one
// clusterer on rows of little-endian float32 and prints one JSON line with the
// seconds and the score. cluster_bench.py runs scikit-learn on the same rows.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "engine/cluster/agglomerative.h"
#include "engine/cluster/gaussian_mixture.h"
#include "engine/cluster/kmeans.h"
#include "engine/cluster/mini_batch_kmeans.h"
#include "engine/cluster/neighbour_graph.h"

namespace shoal {
namespace {

struct Options {
  std::string method;
  std::string data;
  std::string labels;
  int columns = 0;
  int clusters = 8;
  int restarts = 1;
  int max_iterations = 300;
  int neighbours = 20;
};

struct Outcome {
  double score = 0;  // inertia, likelihood or the last merge's distance
  int iterations = 0;
  std::vector<int> labels;
};

Result<Matrix> read_rows(const Options& options) {
  std::ifstream file(options.data, std::ios::binary | std::ios::ate);
  const auto bytes = static_cast<std::int64_t>(file.tellg());
  const std::int64_t row_bytes =
      options.columns * static_cast<std::int64_t>(sizeof(float));
  if (!file || options.columns < 1 || bytes % row_bytes != 0) {
    return io_error("read rows of " + std::to_string(options.columns) +
                    " values from " + options.data);
  }
  Matrix rows(bytes / row_bytes, options.columns);
  file.seekg(0);
  file.read(reinterpret_cast<char*>(rows.data()), bytes);
  if (!file) return io_error("read " + options.data);
  return rows;
}

Result<Outcome> run_kmeans(const Matrix& rows, const Options& options) {
  KMeansOptions kmeans_options;
  kmeans_options.clusters = options.clusters;
  kmeans_options.restarts = options.restarts;
  kmeans_options.max_iterations = options.max_iterations;
  SHOAL_TRY(result, kmeans(rows, kmeans_options));
  return Outcome{result.inertia, result.iterations, result.labels};
}

Result<Outcome> run_mini_batch(const Matrix& rows, const Options& options) {
  MiniBatchKMeansOptions mini_options;
  mini_options.clusters = options.clusters;
  SHOAL_TRY(result, mini_batch_kmeans(rows, mini_options));
  return Outcome{result.inertia, result.iterations, result.labels};
}

Result<Outcome> run_mixture(const Matrix& rows, const Options& options,
                            Covariance covariance) {
  GaussianMixtureOptions mixture_options;
  mixture_options.clusters = options.clusters;
  mixture_options.covariance = covariance;
  mixture_options.restarts = options.restarts;
  mixture_options.max_iterations = options.max_iterations;
  SHOAL_TRY(result, gaussian_mixture(rows, mixture_options));
  return Outcome{result.mean_log_likelihood, result.iterations, result.labels};
}

Result<Outcome> run_agglomerative(const Matrix& rows, const Options& options,
                                  Linkage linkage, bool graph) {
  AgglomerativeOptions tree_options;
  tree_options.clusters = options.clusters;
  tree_options.linkage = linkage;
  SHOAL_TRY(result, graph ? agglomerative_on_graph(rows, options.neighbours,
                                                   tree_options)
                          : agglomerative(rows, tree_options));
  return Outcome{result.merges.back().distance, 0, result.labels};
}

Result<Outcome> run_neighbours(const Matrix& rows, const Options& options) {
  SHOAL_TRY(graph, nearest_neighbours(rows, options.neighbours));
  double sum = 0;
  for (const float distance : graph.squared_l2) sum += distance;
  return Outcome{sum / static_cast<double>(graph.squared_l2.size()), 0, {}};
}

Result<Outcome> run(const Matrix& rows, const Options& options) {
  const std::map<std::string, Linkage> linkages = {
      {"ward", Linkage::kWard},
      {"average", Linkage::kAverage},
      {"complete", Linkage::kComplete},
      {"single", Linkage::kSingle}};
  const std::string& method = options.method;
  if (method == "kmeans") return run_kmeans(rows, options);
  if (method == "mini_batch") return run_mini_batch(rows, options);
  if (method == "gmm_full") {
    return run_mixture(rows, options, Covariance::kFull);
  }
  if (method == "gmm_diagonal") {
    return run_mixture(rows, options, Covariance::kDiagonal);
  }
  if (method == "neighbours") return run_neighbours(rows, options);
  const bool graph = method.rfind("graph_", 0) == 0;
  const auto linkage = linkages.find(graph ? method.substr(6) : method);
  if (linkage == linkages.end()) {
    return invalid_argument("no method " + method);
  }
  return run_agglomerative(rows, options, linkage->second, graph);
}

Result<void> bench(const Options& options) {
  SHOAL_TRY(rows, read_rows(options));
  const auto begin = std::chrono::steady_clock::now();
  SHOAL_TRY(outcome, run(rows, options));
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - begin;
  std::printf("{\"seconds\": %.4f, \"score\": %.9g, \"iterations\": %d}\n",
              seconds.count(), outcome.score, outcome.iterations);
  if (options.labels.empty()) return ok();
  std::ofstream file(options.labels);
  for (const int label : outcome.labels) file << label << "\n";
  if (!file.flush()) return io_error("write " + options.labels);
  return ok();
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  shoal::Options options;
  CLI::App app("Times one clusterer");
  app.add_option("method", options.method,
                 "kmeans, mini_batch, gmm_full, gmm_diagonal, neighbours, "
                 "ward, average, complete, single, or graph_ and a linkage")
      ->required();
  app.add_option("--data", options.data, "rows of float32")->required();
  app.add_option("--columns", options.columns, "values of a row")->required();
  app.add_option("--clusters", options.clusters);
  app.add_option("--restarts", options.restarts);
  app.add_option("--max-iterations", options.max_iterations);
  app.add_option("--neighbours", options.neighbours);
  app.add_option("--labels", options.labels, "file to write the labels to");
  CLI11_PARSE(app, argc, argv);
  const auto done = shoal::bench(options);
  if (done) return 0;
  std::fprintf(stderr, "cluster_bench: %s\n", done.error().message.c_str());
  return 1;
}
