// shoal-extraction-memory: decodes, resizes and extracts images of very
// different sizes, the same set in ever new orders, and prints the resident
// memory after every round. Exit status: 0 it stays; 1 it grows, or an image
// fails; 2 usage.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "common/channel.h"
#include "engine/image/image.h"
#include "engine/views/cnn.h"
#include "engine/views/extractor.h"
#include "engine/views/handcrafted.h"
#include "engine/views/model_folder.h"

namespace {

using shoal::Extractor;

constexpr std::size_t kBatch = 32;
constexpr int kMinSide = 16;        ///< pixels
constexpr int kMaxWebpSide = 1500;  ///< pixels; larger ones encode slowly
constexpr std::size_t kWarmUpRounds = 2;
constexpr double kMaxGrowthMib = 32;

struct Settings {
  std::size_t images = 10'000;  ///< in all
  std::size_t distinct = 250;   ///< a round
  int max_side = 6'000;         ///< pixels
  int threads = 2;
  std::string model;  ///< folder of a net; empty: none
};

/// A blurred noise picture: codecs have work with it, and it does not
/// compress to nothing.
std::string encoded_image(int width, int height, int seed) {
  cv::RNG random(static_cast<std::uint64_t>(seed));
  cv::Mat small(std::max(height / 8, 2), std::max(width / 8, 2), CV_8UC3);
  random.fill(small, cv::RNG::UNIFORM, 0, 256);
  cv::Mat picture;
  cv::resize(small, picture, cv::Size(width, height), 0, 0, cv::INTER_CUBIC);
  std::string extension = ".jpg";
  if (seed % 3 == 1) extension = ".png";
  if (seed % 3 == 2 && std::max(width, height) <= kMaxWebpSide) {
    extension = ".webp";
  }
  std::vector<int> options;
  if (extension == ".png") options = {cv::IMWRITE_PNG_COMPRESSION, 1};
  std::vector<std::uint8_t> bytes;
  cv::imencode(extension, picture, bytes, options);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::string> make_files(const Settings& settings) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> log_side(std::log(kMinSide),
                                                  std::log(settings.max_side));
  std::uniform_real_distribution<double> ratio(0.4, 1);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < settings.distinct; ++i) {
    const int side = static_cast<int>(std::exp(log_side(random)));
    const int other =
        std::max(kMinSide, static_cast<int>(side * ratio(random)));
    const bool upright = i % 2 == 0;
    files.push_back(encoded_image(upright ? side : other,
                                  upright ? other : side, static_cast<int>(i)));
  }
  return files;
}

/// "VmRSS" or "VmHWM" of this process, in MiB.
double memory_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key + ":", 0) == 0) {
      return std::strtod(line.c_str() + key.size() + 1, nullptr) / 1024;
    }
  }
  return 0;
}

/// All files once, in the order given, as the daemon has it: decoders and an
/// extractor with a bounded channel between. @return images that failed
std::size_t run_round(const std::vector<std::string>& files,
                      const std::vector<std::size_t>& order,
                      const Settings& settings, Extractor& extractor) {
  shoal::Channel<shoal::SizedImage> decoded(2 * kBatch);
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> failed{0};
  std::atomic<int> working{settings.threads};
  std::vector<std::thread> decoders;
  for (int i = 0; i < settings.threads; ++i) {
    decoders.emplace_back([&] {
      for (std::size_t at = next++; at < order.size(); at = next++) {
        auto sized = shoal::decode_at_sizes(files[order[at]], {},
                                            extractor.input_sizes());
        if (!sized || !decoded.send(std::move(sized).value())) ++failed;
      }
      if (--working == 0) decoded.close();
    });
  }
  std::vector<shoal::SizedImage> batch;
  const auto flush = [&] {
    for (const auto& extraction : extractor.extract(batch)) {
      if (extraction.error) ++failed;
    }
    batch.clear();
  };
  while (auto image = decoded.receive()) {
    batch.push_back(std::move(*image));
    if (batch.size() == kBatch) flush();
  }
  if (!batch.empty()) flush();
  for (std::thread& decoder : decoders) decoder.join();
  return failed;
}

shoal::Result<std::vector<std::unique_ptr<shoal::View>>> make_views(
    const Settings& settings) {
  std::vector<std::unique_ptr<shoal::View>> views;
  SHOAL_TRY(color, shoal::make_handcrafted_view("color"));
  views.push_back(std::move(color));
  if (!settings.model.empty()) {
    SHOAL_TRY(model, shoal::read_model_folder(settings.model));
    SHOAL_TRY(net, shoal::make_cnn_view(model, {}));
    views.push_back(std::move(net));
  }
  return views;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Does extraction's memory grow?");
  Settings settings;
  app.add_option("--images", settings.images, "in all rounds");
  app.add_option("--distinct", settings.distinct, "images of a round")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--max-side", settings.max_side, "pixels, of the largest")
      ->check(CLI::Range(kMinSide, 30'000));
  app.add_option("--threads", settings.threads, "that decode")
      ->check(CLI::Range(1, 64));
  app.add_option("--model", settings.model, "model folder of a net");
  CLI11_PARSE(app, argc, argv);
  const std::size_t rounds = settings.images / settings.distinct;
  if (rounds <= kWarmUpRounds) {
    std::fprintf(stderr, "at least %zu rounds are needed\n", kWarmUpRounds + 1);
    return 2;
  }
  shoal::set_compute_threads(0);
  auto views = make_views(settings);
  if (!views) {
    std::fprintf(stderr, "%s\n", views.error().message.c_str());
    return 1;
  }
  Extractor extractor(std::move(views).value());
  const std::vector<std::string> files = make_files(settings);
  std::vector<std::size_t> order(files.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(2);

  std::size_t file_bytes = 0;
  for (const std::string& file : files) file_bytes += file.size();
  std::printf("%zu files of %.0f MiB, themselves in memory\n", files.size(),
              static_cast<double>(file_bytes) / (1 << 20));
  double settled = 0;
  double last = 0;
  std::size_t failed = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    const auto start = std::chrono::steady_clock::now();
    failed += run_round(files, order, settings, extractor);
    const std::chrono::duration<double> taken =
        std::chrono::steady_clock::now() - start;
    last = memory_mib("VmRSS");
    if (round < kWarmUpRounds) settled = std::max(settled, last);
    std::printf("images %zu  resident %.0f MiB  peak %.0f MiB  %.0f images/s\n",
                (round + 1) * files.size(), last, memory_mib("VmHWM"),
                static_cast<double>(files.size()) / taken.count());
    std::fflush(stdout);
  }
  std::printf("failed %zu  growth %.1f MiB (at most %.0f)\n", failed,
              last - settled, kMaxGrowthMib);
  return failed == 0 && last - settled <= kMaxGrowthMib ? 0 : 1;
}
