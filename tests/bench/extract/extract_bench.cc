// shoal-extract-bench FOLDER PRECISION [THREADS]: our extractor on the net and
// the images that prepare.py put into FOLDER. The protocol is contestant.py's;
// what is timed begins with bytes and ends with features.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "engine/views/cnn.h"

namespace shoal {
namespace {

Result<std::vector<Image>> read_images(const std::filesystem::path& file,
                                       const ViewSpec& spec) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<Image> images;
  const auto bytes = static_cast<std::size_t>(3) *
                     static_cast<std::size_t>(spec.input_width) *
                     static_cast<std::size_t>(spec.input_height);
  for (;;) {
    Image image{spec.input_width, spec.input_height, {}};
    image.rgb.resize(bytes);
    if (!stream.read(reinterpret_cast<char*>(image.rgb.data()),
                     static_cast<std::streamsize>(bytes))) {
      break;
    }
    images.push_back(std::move(image));
  }
  if (images.empty()) return not_found("no images in " + file.string());
  return images;
}

/// The lowest cosine similarity to torchvision's features.
double lowest_cosine(const Matrix& features, const std::string& file) {
  Matrix expected(features.rows(), features.cols());
  std::ifstream stream(file, std::ios::binary);
  stream.read(reinterpret_cast<char*>(expected.data()),
              static_cast<std::streamsize>(expected.size() *
                                           Eigen::Index{sizeof(float)}));
  double lowest = stream ? 1 : 0;
  for (Eigen::Index row = 0; row < features.rows(); ++row) {
    const double cosine =
        features.row(row).normalized().dot(expected.row(row).normalized());
    lowest = std::min(lowest, cosine);
  }
  return lowest;
}

Result<void> contest(const std::string& folder, const std::string& precision) {
  SHOAL_TRY(model, read_model_folder(folder));
  SHOAL_TRY(view, make_cnn_view(model, {"cpu", precision}));
  SHOAL_TRY(images, read_images(folder + "/images.u8", view->spec()));
  SHOAL_TRY(features, view->extract(images));
  const double cosine = lowest_cosine(features, folder + "/features.f32");
  if (cosine < 0.999) {
    return internal_error("cosine similarity to torchvision is only " +
                          std::to_string(cosine));
  }
  const CnnInfo info = cnn_info(*view).value();
  std::printf(
      "ready %s, %s (%s), %d threads, arena %.1f MiB, cosine to "
      "torchvision %.6f\n",
      info.executor.c_str(), info.precision.c_str(), info.reason.c_str(),
      info.threads, static_cast<double>(info.arena_bytes) / (1 << 20), cosine);
  std::fflush(stdout);
  for (int batches = 0; std::cin >> batches;) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < batches; ++i) {
      SHOAL_TRY(again, view->extract(images));
      if (again.rows() != features.rows()) return internal_error("no features");
    }
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    std::printf("%.6f\n", seconds.count());
    std::fflush(stdout);
  }
  return ok();
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fprintf(stderr,
                 "usage: shoal-extract-bench FOLDER PRECISION [THREADS]\n");
    return 2;
  }
  shoal::set_compute_threads(argc == 4 ? std::atoi(argv[3]) : 0);
  const auto done = shoal::contest(argv[1], argv[2]);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}
