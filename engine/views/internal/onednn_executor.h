#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/result.h"
#include "engine/views/internal/executor.h"
#include "engine/views/internal/graph.h"

namespace shoal::internal {

/// "oneDNN 2.6.3".
std::string onednn_version();

/// Whether the CPU computes with bfloat16 (AVX512-BF16 or AMX).
bool onednn_has_bfloat16();

/// What layers compute in.
struct OneDnnTypes {
  bool bfloat16 = false;  ///< else float32 throughout
  /// With bfloat16: convolutions at the beginning that are float32 all the
  /// same. Errors made there grow through the whole net.
  std::size_t float32_layers = 0;
};

/// Runs a graph with oneDNN on the CPU. Everything is made here: weights in
/// the layout that suits each primitive, and for each of `threads` lanes one
/// arena for all activations. A batch is cut into pieces of 1, 2, 4, ...,
/// kPieceImages images, which the lanes take in turn and compute alone, each
/// on one thread: no lane waits for another within a net, and activations stay
/// in the caches.
/// Errors: kUnsupported when oneDNN has no primitive for a layer,
/// kResourceExhausted.
[[nodiscard]] Result<std::unique_ptr<Executor>> make_onednn_executor(
    const Graph& graph, const PixelTransform& transform,
    const OneDnnTypes& types, int threads);

}  // namespace shoal::internal
