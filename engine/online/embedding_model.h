#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal {

/// One input of an embedding: a view's version key and dimension.
struct EmbeddingInput {
  std::string view;  ///< ViewKey::text()
  int dim = 0;
};

/// The learned map from an image's views to its embedding z; part of an
/// epoch. Immutable, thread-safe.
class EmbeddingModel {
 public:
  virtual ~EmbeddingModel() = default;
  [[nodiscard]] virtual const std::vector<EmbeddingInput>& inputs() const = 0;
  [[nodiscard]] virtual int dim() const = 0;
  /// @param features  per input, in order, (n, dim of the input), raw as the
  ///   view gave them
  /// @return (n, dim())
  [[nodiscard]] virtual Matrix embed(
      const std::vector<Matrix>& features) const = 0;
  /// Bytes from which load_embedding_model makes an equal model.
  [[nodiscard]] virtual std::string serialize() const = 0;
};

/// Errors: kCorruption (sizes, values that are not finite), kUnsupported for
/// a kind that this program does not know.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> load_embedding_model(
    std::string_view bytes);

/// Views L2-normalised row by row, concatenated, PCA-whitened.
/// @param features  per input (n, dim), the training rows
/// @param max_dim  most components kept
/// Errors: kInvalidArgument (n < 2, shapes, values that are not finite).
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> fit_whitened_pca(
    const std::vector<EmbeddingInput>& inputs,
    const std::vector<Matrix>& features, int max_dim);

}  // namespace shoal
