#pragma once

#include <cstddef>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>
#include <vector>

#include "common/result.h"
#include "engine/views/internal/executor.h"
#include "engine/views/internal/graph.h"
#include "engine/views/internal/onednn_executor.h"

namespace shoal::internal {

/// What never changes while nets run: weights in each layout that some
/// primitive wants. Filled while programs are made, then immutable.
class Constants {
 public:
  explicit Constants(const dnnl::engine& engine)
      : engine_(engine), stream_(engine) {}

  /// The index of the graph's parameter `parameter`, whose layout there is
  /// `plain`, in the layout `wanted`.
  std::size_t get(const Graph& graph, std::size_t parameter,
                  const dnnl::memory::desc& plain,
                  const dnnl::memory::desc& wanted);
  /// The index of a copy of `values`.
  std::size_t add(const std::vector<float>& values,
                  const dnnl::memory::desc& desc);

  [[nodiscard]] const dnnl::memory& at(std::size_t index) const {
    return entries_[index].memory;
  }

 private:
  struct Entry {
    std::size_t parameter;
    dnnl::memory memory;
  };
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<Entry> entries_;
};

/// A graph as a list of oneDNN primitives for one batch size, with a place in
/// an arena for everything that they pass on. Immutable.
struct Program {
  /// A range of the arena, taken from step `first` to step `last`.
  struct Region {
    std::size_t bytes = 0;
    std::size_t first = 0;
    std::size_t last = 0;
    std::size_t offset = 0;
  };
  struct Slot {
    dnnl::memory::desc desc;
    std::size_t region = 0;
  };
  struct Argument {
    int kind = 0;  ///< DNNL_ARG_...
    bool constant = false;
    std::size_t index = 0;  ///< of a slot or a constant
  };
  /// A primitive, or a function from its first argument to its second.
  struct Step {
    dnnl::primitive primitive;
    std::function<void(const float*, float*)> function;
    std::vector<Argument> arguments;
  };

  std::size_t images = 0;
  std::vector<Region> regions;
  std::vector<Slot> slots;
  std::vector<Step> steps;
  std::size_t input = 0;       ///< slot
  std::size_t output = 0;      ///< slot: float32 (images, d)
  bool input_is_float = true;  ///< else bfloat16
  PixelTransform::Layout input_layout = PixelTransform::Layout::kPlanes;
  std::size_t arena_bytes = 0;
};

/// Makes the primitives for batches of `images`, to be run on as many threads
/// as OpenMP would use now.
/// Errors: kUnsupported naming the layer that oneDNN has no primitive for,
/// kResourceExhausted, kInternal.
[[nodiscard]] Result<Program> make_program(const dnnl::engine& engine,
                                           const Graph& graph,
                                           Constants& constants,
                                           const OneDnnTypes& types,
                                           std::size_t images);

/// What a failure of oneDNN is for us.
Error onednn_failure(const dnnl::error& error);

}  // namespace shoal::internal
