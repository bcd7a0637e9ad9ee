#include "tests/daemon/eval/clear_clusters.h"

#include <utility>

#include "tests/engine/random_data.h"

namespace shoal::test {

eval::ExperimentData clear_clusters(int per_class) {
  constexpr int kDim = 12;
  constexpr float kSpread = 8;
  eval::ExperimentData data;
  data.dataset = "clouds";
  std::uint64_t seed = 3;
  for (const char* name : {"one", "two"}) {
    Blobs blobs = make_blobs(per_class * kClearClusters, kDim, kClearClusters,
                             kSpread, seed);
    data.views.push_back({name, std::move(blobs.data)});
    data.truth = std::move(blobs.truth);
    seed += 10;
  }
  return data;
}

eval::MethodOptions small_methods() {
  eval::MethodOptions options;
  options.clusters = kClearClusters;
  options.jule.hidden = {24, 24};
  options.embedded.hidden = {24};
  options.embedded.pretrain_epochs = 60;
  options.embedded.max_updates = 300;
  return options;
}

}  // namespace shoal::test
