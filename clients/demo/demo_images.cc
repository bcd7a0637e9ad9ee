// Renders labelled example images: OUT/<kind>/NNN.jpg.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "clients/demo/objects.h"

namespace {

struct Arguments {
  std::filesystem::path out;
  int per_kind = 30;
  int side = 160;
  std::uint64_t seed = 1;
};

void render(const Arguments& arguments) {
  const auto& all = shoal::demo::kinds();
  for (std::size_t k = 0; k < all.size(); ++k) {
    const auto folder = arguments.out / std::string(all[k].name);
    std::filesystem::create_directories(folder);
    for (int i = 0; i < arguments.per_kind; ++i) {
      shoal::demo::Random random(arguments.seed, static_cast<std::uint32_t>(k),
                                 static_cast<std::uint32_t>(i));
      shoal::demo::Scene scene(arguments.side, random);
      all[k].draw(scene, random);
      char name[32];
      std::snprintf(name, sizeof name, "%03d.jpg", i);
      const auto file = folder / name;
      const int quality = 75 + random.integer(21);
      if (!cv::imwrite(file.string(), scene.finish(),
                       {cv::IMWRITE_JPEG_QUALITY, quality})) {
        throw std::runtime_error("cannot write " + file.string());
      }
    }
  }
}

int run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Renders example images of 20 kinds of object.");
  app.add_option("OUT", arguments.out, "folder to write to")->required();
  app.add_option("-n,--per-kind", arguments.per_kind, "images per kind")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--side", arguments.side, "width and height, pixels")
      ->check(CLI::Range(32, 1024))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "the same seed, the same images")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  cv::setNumThreads(1);  // The pieces are too small to be shared out.
  render(arguments);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "shoal-demo-images: " << error.what() << "\n";
    return 1;
  }
}
