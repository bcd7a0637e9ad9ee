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
  /// The same map times `factor` (finite, not 0), so that a method can choose
  /// the unit of distances once it knows its clusters.
  [[nodiscard]] virtual std::unique_ptr<EmbeddingModel> scaled(
      float factor) const = 0;
  /// Bytes from which load_embedding_model makes an equal model.
  [[nodiscard]] virtual std::string serialize() const = 0;
};

/// Errors: kCorruption (sizes, values that are not finite), kUnsupported for
/// a kind that this program does not know.
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> load_embedding_model(
    std::string_view bytes);

/// Views L2-normalised row by row, concatenated, PCA, whitened with shrinkage:
/// component c is divided by sqrt(variance_c + kWhiteningShrinkage *
/// variance_0). Full whitening makes the directions of least variance, mostly
/// noise, count as much as those that tell objects apart, and clusterings of
/// it fall apart from about 40 dimensions on; plain PCA leaves everything to
/// the first few. docs/results.md compares them.
/// A view's row of zeros stays zero.
/// @param features  per input (n, dim), the training rows
/// @param max_dim  most components kept; fewer when the rows have no more
/// Errors: kInvalidArgument (n < 2, shapes, values that are not finite, rows
/// that are all alike).
[[nodiscard]] Result<std::unique_ptr<EmbeddingModel>> fit_whitened_pca(
    const std::vector<EmbeddingInput>& inputs,
    const std::vector<Matrix>& features, int max_dim);

inline constexpr double kWhiteningShrinkage = 0.5;

}  // namespace shoal
