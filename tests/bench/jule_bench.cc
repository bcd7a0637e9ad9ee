// jule-bench: JULE on clouds of normal values or on a file of features; prints
// NMI with the truth, time and peak memory.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <vector>

#include "engine/deep/jule.h"
#include "engine/score/scores.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

using Clock = std::chrono::steady_clock;

struct Input {
  Matrix data;
  std::vector<int> truth;
};

template <typename T>
std::vector<T> read_values(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<T> values(static_cast<std::size_t>(file.tellg()) / sizeof(T));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
  return values;
}

Input read_input(const std::string& features, const std::string& truth) {
  Input input;
  for (const std::int32_t label : read_values<std::int32_t>(truth)) {
    input.truth.push_back(label);
  }
  const auto values = read_values<float>(features);
  const auto rows = static_cast<Eigen::Index>(input.truth.size());
  const auto columns = static_cast<Eigen::Index>(values.size()) / rows;
  input.data = Eigen::Map<const Matrix>(values.data(), rows, columns);
  return input;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int measure(const Input& input, JuleOptions options, bool verbose) {
  const auto start = Clock::now();
  const auto score = [&](const std::vector<int>& labels) {
    return nmi(input.truth, labels).value();
  };
  options.period_done = [&](const Matrix&, const std::vector<int>& labels) {
    if (!verbose) return;
    const int clusters = *std::max_element(labels.begin(), labels.end()) + 1;
    std::printf("  %.1f s: %d clusters, nmi %.4f\n", seconds_since(start),
                clusters, score(labels));
    std::fflush(stdout);
  };
  std::string last;
  options.progress = [&](std::string_view stage, double fraction) {
    if (!verbose || stage == last) return;
    last = stage;
    std::printf("  %.1f s: %s, %.0f %%\n", seconds_since(start), last.c_str(),
                100 * fraction);
  };
  const auto result = jule(input.data, {}, options);
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    return 1;
  }
  const double seconds = seconds_since(start);
  std::printf(
      "n %ld  d %ld  k %d  seed %lu  periods %d  nmi %.4f  %.1f s  "
      "peak %.0f MiB\n",
      static_cast<long>(input.data.rows()),
      static_cast<long>(input.data.cols()), options.clusters,
      static_cast<unsigned long>(options.seed), result.value().periods,
      score(result.value().labels), seconds, peak_mib());
  return 0;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  CLI::App app("JULE on synthetic clouds or on a file of features");
  int rows = 7200;
  int columns = 1280;
  float spread = 0.5F;
  std::string features;
  std::string truth;
  bool verbose = false;
  shoal::JuleOptions options;
  options.clusters = 100;
  app.add_option("--rows", rows, "of the clouds");
  app.add_option("--columns", columns, "of the clouds");
  app.add_option("--spread", spread,
                 "deviation of the clouds' centres; the clouds' own is 1");
  auto* features_option =
      app.add_option("--features", features,
                     "rows of little-endian float32 instead of clouds")
          ->check(CLI::ExistingFile);
  auto* truth_option =
      app.add_option("--truth", truth, "int32 labels of the features' rows")
          ->check(CLI::ExistingFile);
  features_option->needs(truth_option);
  app.add_option("--clusters", options.clusters);
  app.add_option("--epochs", options.epochs, "per period");
  app.add_option("--neighbours", options.neighbours);
  app.add_option("--unroll", options.unroll);
  app.add_option("--learning-rate", options.learning_rate);
  app.add_option("--margin", options.margin);
  app.add_option("--seed", options.seed);
  app.add_flag("--exact,!--by-sizes", options.exact_affinity,
               "affinities after a merge (default: exact)");
  app.add_flag("--verbose", verbose, "a line after each step");
  CLI11_PARSE(app, argc, argv);
  if (!features.empty()) {
    return shoal::measure(shoal::read_input(features, truth), options, verbose);
  }
  auto clouds = shoal::test::make_blobs(rows, columns, options.clusters, spread,
                                        options.seed);
  return shoal::measure({std::move(clouds.data), std::move(clouds.truth)},
                        options, verbose);
}
