#pragma once

#include <cstddef>
#include <vector>

#include <ATen/core/Tensor.h>

#include "common/result.h"
#include "engine/transfer/net_learner.h"
#include "engine/views/internal/executor.h"
#include "engine/views/internal/graph.h"

namespace shoal::internal {

/// An image in one of its forms (augment.h).
struct Form {
  std::size_t row = 0;
  int variant = 0;
};

/// What the frozen layers of a net make of images. They never change, so what
/// they give is kept, up to NetOptions::cache_bytes; beyond, images are read
/// and run again. Borrows the graph. Owner-thread.
class FrozenPart {
 public:
  /// @param parameters  one for each of graph.parameters()
  /// @param end         the last frozen node
  FrozenPart(const Graph& graph, std::vector<at::Tensor> parameters, Value end,
             const PixelTransform& transform, ImageSource images,
             const NetOptions& options);

  [[nodiscard]] std::size_t rows() const { return images_.rows; }

  /// @return (forms, c, h, w), or (forms, d) where all layers are frozen
  /// Errors: kInvalidArgument for an image that is not of the net's input
  /// size, those of the image source. Throws c10::Error.
  [[nodiscard]] Result<at::Tensor> run(const std::vector<Form>& forms);

 private:
  [[nodiscard]] at::Tensor& kept(const Form& form);
  void keep(const Form& form, const at::Tensor& value);
  [[nodiscard]] Result<at::Tensor> compute(const std::vector<Form>& forms);
  /// @param out  3 * height * width values
  [[nodiscard]] Result<void> write_pixels(const Form& form, float* out) const;

  const Graph& graph_;
  std::vector<at::Tensor> parameters_;
  Value end_;
  PixelTransform transform_;
  ImageSource images_;
  std::size_t variants_;
  std::size_t cache_bytes_;
  std::vector<at::Tensor> kept_;  ///< (rows * variants), undefined: not kept
  std::size_t kept_bytes_ = 0;
};

}  // namespace shoal::internal
