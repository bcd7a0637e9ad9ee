// idec_bench: clusters MNIST's test images with DEC, IDEC or DCN and prints
// the time per epoch and the agreement with the digits. docs/benchmarks.md has
// the commands.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "engine/deep/embedded_clustering.h"
#include "engine/score/scores.h"
#include "tests/bench/digits.h"

namespace shoal {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void run_once(const test::Digits& digits, EmbeddedOptions options) {
  const auto start = Clock::now();
  double pretrained = 0;
  double centred = 0;
  options.target_renewed = [&](const Matrix&, const std::vector<int>& labels) {
    if (centred > 0) return;
    centred = seconds_since(start);
    std::printf("  k-means on codes: ACC %.4f\n",
                accuracy(digits.truth, labels).value());
  };
  options.progress = [&](std::string_view stage, double) {
    if (stage == "pretraining") pretrained = seconds_since(start);
  };
  const auto result = embedded_clustering(digits.images, {}, options);
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    return;
  }
  const EmbeddedResult& found = result.value();
  const double total = seconds_since(start);
  const double epochs = static_cast<double>(found.updates) * options.batch /
                        static_cast<double>(digits.truth.size());
  std::printf(
      "seed %lu: ACC %.4f NMI %.4f, %d updates, mse %.5f; pretraining %.1f s, "
      "centres %.1f s, %.3f s an epoch\n",
      options.seed, accuracy(digits.truth, found.labels).value(),
      nmi(digits.truth, found.labels).value(), found.updates,
      found.reconstruction, pretrained, centred - pretrained,
      (total - centred) / epochs);
  std::fflush(stdout);
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  shoal::EmbeddedOptions options;
  std::string folder;
  std::string method = "idec";
  int seeds = 1;
  int rows = 10'000;
  CLI::App app("DEC, IDEC and DCN on MNIST's test images");
  app.add_option("folder", folder, "with t10k-*.gz")->required();
  app.add_option("--method", method)
      ->check(CLI::IsMember({"dec", "idec", "dcn"}));
  app.add_option("--seeds", seeds, "runs, with seeds 0, 1, ...");
  app.add_option("--seed", options.seed, "the first seed");
  app.add_option("--rows", rows, "images to use");
  app.add_option("--hidden", options.hidden, "widths of the hidden layers");
  app.add_option("--pretrain-epochs", options.pretrain_epochs);
  app.add_option("--max-updates", options.max_updates);
  app.add_option("--weight", options.weight);
  app.add_option("--tolerance", options.tolerance);
  app.add_option("--learning-rate", options.learning_rate);
  CLI11_PARSE(app, argc, argv);
  options.method = method == "dec"    ? shoal::EmbeddedMethod::kDec
                   : method == "idec" ? shoal::EmbeddedMethod::kIdec
                                      : shoal::EmbeddedMethod::kDcn;
  const auto digits = shoal::test::read_digits(folder, rows);
  for (int i = 0; i < seeds; ++i) {
    shoal::run_once(digits, options);
    ++options.seed;
  }
  return 0;
}
