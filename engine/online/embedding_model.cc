#include "engine/online/embedding_model.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "common/bytes.h"
#include "common/check.h"
#include "engine/cluster/pca.h"
#include "engine/online/internal/model_bytes.h"

namespace shoal {
namespace {

using internal::kMaxModelDim;
using internal::normalize_rows;
using internal::read_inputs;
using internal::read_values;
using internal::write_inputs;
using internal::write_values;

constexpr std::uint32_t kAffineVersion = 1;

Eigen::Index total_dim(const std::vector<EmbeddingInput>& inputs) {
  Eigen::Index total = 0;
  for (const EmbeddingInput& input : inputs) total += input.dim;
  return total;
}

/// z = W (v_1/|v_1|, v_2/|v_2|, ...) - b: all that whitened PCA of normalised
/// views comes to.
class NormalizedAffine final : public EmbeddingModel {
 public:
  /// @param weight  (dim, sum of the inputs' dims)  @param offset  (dim)
  NormalizedAffine(std::vector<EmbeddingInput> inputs, Matrix weight,
                   Vector offset)
      : inputs_(std::move(inputs)),
        weight_(std::move(weight)),
        offset_(std::move(offset)) {}

  const std::vector<EmbeddingInput>& inputs() const override { return inputs_; }
  int dim() const override { return static_cast<int>(weight_.rows()); }

  Matrix embed(const std::vector<Matrix>& features) const override {
    SHOAL_CHECK(features.size() == inputs_.size(), "another number of views");
    const Eigen::Index rows = features.front().rows();
    Matrix z = -offset_.transpose().replicate(rows, 1);
    Eigen::Index column = 0;
    for (std::size_t i = 0; i < features.size(); ++i) {
      SHOAL_CHECK(
          features[i].cols() == inputs_[i].dim && features[i].rows() == rows,
          "features of another shape");
      Matrix unit(rows, features[i].cols());
      normalize_rows(features[i], unit);
      z.noalias() +=
          unit * weight_.middleCols(column, inputs_[i].dim).transpose();
      column += inputs_[i].dim;
    }
    return z;
  }

  std::unique_ptr<EmbeddingModel> scaled(float factor) const override {
    SHOAL_CHECK(std::isfinite(factor) && factor != 0, "no such unit");
    return std::make_unique<NormalizedAffine>(inputs_, weight_ * factor,
                                              offset_ * factor);
  }

  std::string serialize() const override {
    ByteWriter out;
    out.string(internal::kAffineKind).number(kAffineVersion);
    write_inputs(out, inputs_);
    out.number(static_cast<std::uint32_t>(weight_.rows()));
    write_values(out, weight_.data(), weight_.size());
    write_values(out, offset_.data(), offset_.size());
    return out.take();
  }

  /// `in` stands after the kind.
  static Result<std::unique_ptr<EmbeddingModel>> parse(ByteReader& in) {
    const auto version = in.number<std::uint32_t>();
    if (!in.failed() && version != kAffineVersion) {
      return unsupported("embedding model version " + std::to_string(version) +
                         "; this program knows version " +
                         std::to_string(kAffineVersion));
    }
    SHOAL_TRY(inputs, read_inputs(in));
    const auto dim = in.number<std::uint32_t>();
    if (in.failed()) return corruption("embedding model ends too early");
    if (inputs.empty() || dim == 0 || dim > kMaxModelDim) {
      return corruption("embedding model without inputs or dimensions");
    }
    // Before anything of the claimed size is allocated.
    const auto columns = static_cast<std::uint64_t>(total_dim(inputs));
    const std::uint64_t needed = dim * (columns + 1) * sizeof(float);
    if (in.remaining() != needed) {
      return corruption(
          "embedding model holds " + std::to_string(in.remaining()) +
          " bytes of values instead of " + std::to_string(needed));
    }
    Matrix weight(dim, static_cast<Eigen::Index>(columns));
    Vector offset(dim);
    read_values(in, weight.data(), weight.size());
    read_values(in, offset.data(), offset.size());
    SHOAL_TRY(in.finish("embedding model"));
    if (!weight.allFinite() || !offset.allFinite()) {
      return corruption("embedding model with values that are not finite");
    }
    return std::unique_ptr<EmbeddingModel>(std::make_unique<NormalizedAffine>(
        std::move(inputs), std::move(weight), std::move(offset)));
  }

 private:
  std::vector<EmbeddingInput> inputs_;
  Matrix weight_;
  Vector offset_;
};

}  // namespace

Result<std::unique_ptr<EmbeddingModel>> internal::load_plain_model(
    std::string_view bytes) {
  ByteReader in(bytes);
  const std::string kind = in.string();
  if (in.failed()) return corruption("embedding model ends too early");
  if (kind == internal::kAffineKind) return NormalizedAffine::parse(in);
  if (kind == internal::kNetKind) return internal::read_net_embedding(in);
  return unsupported(
      "embedding model of a kind that this program does not "
      "know");
}

Result<std::unique_ptr<EmbeddingModel>> load_embedding_model(
    std::string_view bytes) {
  ByteReader in(bytes);
  const std::string kind = in.string();
  if (!in.failed() && kind == internal::kTransferKind) {
    return internal::read_transfer_embedding(in);
  }
  return internal::load_plain_model(bytes);
}

Result<std::unique_ptr<EmbeddingModel>> fit_whitened_pca(
    const std::vector<EmbeddingInput>& inputs,
    const std::vector<Matrix>& features, int max_dim) {
  if (inputs.empty() || inputs.size() != features.size() || max_dim < 1) {
    return invalid_argument("whitened PCA: " + std::to_string(inputs.size()) +
                            " inputs, " + std::to_string(features.size()) +
                            " feature matrices, max_dim " +
                            std::to_string(max_dim));
  }
  const Eigen::Index rows = features.front().rows();
  Matrix all(rows, total_dim(inputs));
  Eigen::Index column = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (features[i].rows() != rows || features[i].cols() != inputs[i].dim ||
        inputs[i].dim < 1) {
      return invalid_argument("whitened PCA: features of " + inputs[i].view +
                              " are " + std::to_string(features[i].rows()) +
                              " x " + std::to_string(features[i].cols()) +
                              " instead of " + std::to_string(rows) + " x " +
                              std::to_string(inputs[i].dim));
    }
    if (!features[i].allFinite()) {
      return invalid_argument("whitened PCA: features of " + inputs[i].view +
                              " hold a value that is not finite");
    }
    normalize_rows(features[i], all.middleCols(column, inputs[i].dim));
    column += inputs[i].dim;
  }
  PcaOptions options;
  options.max_components = max_dim;
  SHOAL_TRY(pca, fit_pca(all, options));
  if (pca.explained_variance.size() == 0) {
    return invalid_argument("whitened PCA: the rows are all alike");
  }
  const auto shrinkage =
      static_cast<float>(kWhiteningShrinkage * pca.explained_variance[0]);
  Matrix weight = std::move(pca.components);
  weight.array().colwise() /=
      (pca.explained_variance.array() + shrinkage).sqrt();
  Vector offset = weight * pca.mean;
  return std::unique_ptr<EmbeddingModel>(std::make_unique<NormalizedAffine>(
      inputs, std::move(weight), std::move(offset)));
}

}  // namespace shoal
