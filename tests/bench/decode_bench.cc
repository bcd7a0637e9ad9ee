// Decoding of large JPEGs: all pixels against the size that views need. The
// picture is a photograph of the shared data where it is there (else waves),
// enlarged and with grain, so that it takes about as many bytes as a camera's.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include <benchmark/benchmark.h>

#include "common/file.h"
#include "engine/image/image.h"

namespace shoal {
namespace {

constexpr int kViewSide = 224;  ///< pixels
constexpr int kQuality = 90;

Image photograph() {
  const auto bytes =
      read_file(std::string(SHOAL_SHARED_DATA) + "/photos/owl.jpg", 1 << 20);
  if (bytes) {
    auto image = decode_image(bytes.value(), {});
    if (image) return std::move(image).value();
  }
  Image waves;
  waves.width = 512;
  waves.height = 384;
  for (int i = 0; i < waves.width * waves.height * 3; ++i) {
    waves.rgb.push_back(
        static_cast<std::uint8_t>(128 + 100 * std::sin(0.001 * i)));
  }
  return waves;
}

std::string large_jpeg(int width, int height) {
  Image image = resize_image(photograph(), width, height);
  std::minstd_rand random(1);
  std::normal_distribution<float> grain(0, 6);
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    const float speck = grain(random);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      image.rgb[i + channel] = static_cast<std::uint8_t>(std::clamp(
          static_cast<float>(image.rgb[i + channel]) + speck, 0.0F, 255.0F));
    }
  }
  return encode_jpeg(image, kQuality).value();
}

void measure(benchmark::State& state, bool reduced) {
  const std::string jpeg = large_jpeg(static_cast<int>(state.range(0)),
                                      static_cast<int>(state.range(1)));
  for (auto _ : state) {
    const DecodeTarget target =
        reduced ? DecodeTarget{kViewSide, kViewSide} : DecodeTarget{};
    const Image image = decode_image(jpeg, {}, target).value();
    benchmark::DoNotOptimize(resize_image(image, kViewSide, kViewSide));
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["file_bytes"] = static_cast<double>(jpeg.size());
}

void BM_WholeJpeg(benchmark::State& state) { measure(state, false); }
void BM_ReducedJpeg(benchmark::State& state) { measure(state, true); }

BENCHMARK(BM_WholeJpeg)
    ->Args({1200, 900})
    ->Args({2000, 1500})
    ->Args({4000, 3000})
    ->Args({8000, 6000})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ReducedJpeg)
    ->Args({1200, 900})
    ->Args({2000, 1500})
    ->Args({4000, 3000})
    ->Args({8000, 6000})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace shoal

BENCHMARK_MAIN();
