#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/refine/refinement.h"
#include "engine/score/sampling.h"
#include "tests/engine/random_data.h"

namespace shoal::test {

/// Views held in memory; notes the largest block that was asked for.
class MemoryFeatures final : public FeatureSource {
 public:
  explicit MemoryFeatures(std::vector<Matrix> views)
      : views_(std::move(views)) {
    for (std::size_t v = 0; v < views_.size(); ++v) {
      inputs_.push_back(
          {"view" + std::to_string(v), static_cast<int>(views_[v].cols())});
    }
  }
  const std::vector<EmbeddingInput>& inputs() const override { return inputs_; }
  std::size_t size() const override {
    return static_cast<std::size_t>(views_.front().rows());
  }
  Result<std::vector<Matrix>> read(
      const std::vector<std::size_t>& rows) override {
    largest_read_ = std::max(largest_read_, rows.size());
    if (failing_) return io_error("the disk is gone");
    std::vector<Matrix> taken;
    for (const Matrix& view : views_) taken.push_back(take_rows(view, rows));
    return taken;
  }
  void fail() { failing_ = true; }
  [[nodiscard]] std::size_t largest_read() const { return largest_read_; }

 private:
  std::vector<Matrix> views_;
  std::vector<EmbeddingInput> inputs_;
  std::size_t largest_read_ = 0;
  bool failing_ = false;
};

struct Scene {
  MemoryFeatures features;
  std::vector<int> truth;
};

/// Two views of k kinds of thing; see make_blobs.
inline Scene make_scene(int n, int k, std::uint64_t seed, float spread = 2) {
  auto first = make_blobs(n, 24, k, spread, seed);
  auto second = make_blobs(n, 12, k, spread, seed + 50);
  return {MemoryFeatures({first.data, second.data}), first.truth};
}

inline RefinementOptions with_clusters(int k) {
  RefinementOptions options;
  options.clusters = k;
  return options;
}

}  // namespace shoal::test
