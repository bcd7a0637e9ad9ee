#pragma once

#include <cstdint>
#include <random>

namespace shoal::demo {

/// Random numbers that are the same with every standard library (whose
/// distributions are not). Owner-thread.
class Random {
 public:
  /// A stream of its own for every (seed, kind, index).
  Random(std::uint64_t seed, std::uint32_t kind, std::uint32_t index) {
    std::seed_seq sequence{static_cast<std::uint32_t>(seed),
                           static_cast<std::uint32_t>(seed >> 32), kind, index};
    engine_.seed(sequence);
  }
  /// In [0, 1).
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  float uniform(double low, double high) {
    return static_cast<float>(low + (high - low) * unit());
  }
  /// 0..n-1
  int integer(int n) { return static_cast<int>(unit() * n); }
  bool chance(double probability) { return unit() < probability; }
  /// Sum of uniforms: near enough to a standard normal.
  float normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += unit();
    return static_cast<float>(sum);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace shoal::demo
