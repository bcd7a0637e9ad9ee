#include "engine/online/net_embedding.h"

#include <cmath>
#include <utility>

#include "common/check.h"
#include "engine/online/internal/model_bytes.h"

namespace shoal {
namespace {

using internal::kMaxModelDim;
using internal::normalize_rows;
using internal::read_inputs;
using internal::read_values;
using internal::write_inputs;
using internal::write_values;

constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMaxLayers = 64;

/// Width of what `net` gives for rows of `width`, or 0 where they do not fit.
Eigen::Index output_width(const Mlp& net, Eigen::Index width) {
  for (const Mlp::Layer& layer : net.layers) {
    if (layer.weight.cols() != width || layer.weight.rows() < 1 ||
        layer.bias.size() != layer.weight.rows()) {
      return 0;
    }
    width = layer.weight.rows();
  }
  return width;
}

bool is_finite(const Mlp& net) {
  for (const Mlp::Layer& layer : net.layers) {
    if (!layer.weight.allFinite() || !layer.bias.allFinite()) return false;
  }
  return true;
}

class NetEmbedding final : public EmbeddingModel {
 public:
  NetEmbedding(std::vector<EmbeddingInput> inputs, MultiViewNet net, int dim,
               float factor)
      : inputs_(std::move(inputs)),
        net_(std::move(net)),
        dim_(dim),
        factor_(factor) {}

  const std::vector<EmbeddingInput>& inputs() const override { return inputs_; }
  int dim() const override { return dim_; }

  Matrix embed(const std::vector<Matrix>& features) const override {
    SHOAL_CHECK(features.size() == inputs_.size(), "another number of views");
    std::vector<Matrix> unit;
    for (std::size_t i = 0; i < features.size(); ++i) {
      SHOAL_CHECK(features[i].cols() == inputs_[i].dim &&
                      features[i].rows() == features.front().rows(),
                  "features of another shape");
      unit.emplace_back(features[i].rows(), features[i].cols());
      normalize_rows(features[i], unit.back());
    }
    return factor_ * net_.run(unit);
  }

  std::unique_ptr<EmbeddingModel> scaled(float factor) const override {
    SHOAL_CHECK(std::isfinite(factor) && factor != 0, "no such unit");
    return std::make_unique<NetEmbedding>(inputs_, net_, dim_,
                                          factor_ * factor);
  }

  std::string serialize() const override {
    ByteWriter out;
    out.string(internal::kNetKind).number(kVersion);
    write_inputs(out, inputs_);
    out.number(factor_);
    for (const Mlp& branch : net_.branches) write_mlp(out, branch);
    write_mlp(out, net_.out);
    return out.take();
  }

 private:
  std::vector<EmbeddingInput> inputs_;
  MultiViewNet net_;
  int dim_;
  float factor_;
};

/// The width of z, or 0 where the parts do not fit.
Eigen::Index embedding_width(const std::vector<EmbeddingInput>& inputs,
                             const MultiViewNet& net) {
  if (inputs.empty() || net.branches.size() != inputs.size()) return 0;
  Eigen::Index joined = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Eigen::Index width = output_width(net.branches[i], inputs[i].dim);
    if (width == 0) return 0;
    joined += width;
  }
  return output_width(net.out, joined);
}

bool is_finite(const MultiViewNet& net) {
  for (const Mlp& branch : net.branches) {
    if (!is_finite(branch)) return false;
  }
  return is_finite(net.out);
}

}  // namespace

void write_mlp(ByteWriter& out, const Mlp& net) {
  out.number(static_cast<std::uint8_t>(net.limit_input));
  out.number(static_cast<std::uint8_t>(net.normalise));
  out.number(static_cast<std::uint32_t>(net.layers.size()));
  for (const Mlp::Layer& layer : net.layers) {
    out.number(static_cast<std::uint32_t>(layer.weight.rows()));
    out.number(static_cast<std::uint32_t>(layer.weight.cols()));
    write_values(out, layer.weight.data(), layer.weight.size());
    write_values(out, layer.bias.data(), layer.bias.size());
  }
}

Result<Mlp> read_mlp(ByteReader& in) {
  Mlp net;
  net.limit_input = in.number<std::uint8_t>() != 0;
  net.normalise = in.number<std::uint8_t>() != 0;
  const auto layers = in.number<std::uint32_t>();
  if (layers > kMaxLayers) {
    return corruption("embedding net of " + std::to_string(layers) + " layers");
  }
  for (std::uint32_t i = 0; i < layers && !in.failed(); ++i) {
    const auto rows = in.number<std::uint32_t>();
    const auto columns = in.number<std::uint32_t>();
    // Before anything of the claimed size is allocated.
    const std::uint64_t values =
        std::uint64_t{rows} * columns + std::uint64_t{rows};
    if (rows == 0 || columns == 0 || rows > kMaxModelDim ||
        columns > kMaxModelDim || values * sizeof(float) > in.remaining()) {
      return corruption("embedding net with a layer of " +
                        std::to_string(rows) + " x " + std::to_string(columns) +
                        " and " + std::to_string(in.remaining()) +
                        " bytes left");
    }
    Mlp::Layer layer;
    layer.weight.resize(rows, columns);
    layer.bias.resize(rows);
    read_values(in, layer.weight.data(), layer.weight.size());
    read_values(in, layer.bias.data(), layer.bias.size());
    net.layers.push_back(std::move(layer));
  }
  if (!in.failed() && !is_finite(net)) {
    return corruption("embedding net with values that are not finite");
  }
  return net;
}

Result<std::unique_ptr<EmbeddingModel>> make_net_embedding(
    std::vector<EmbeddingInput> inputs, MultiViewNet net) {
  const Eigen::Index dim = embedding_width(inputs, net);
  if (dim == 0) {
    return invalid_argument(
        "net embedding: layers and inputs do not fit together");
  }
  if (!is_finite(net)) {
    return invalid_argument("net embedding: weights that are not finite");
  }
  return std::unique_ptr<EmbeddingModel>(std::make_unique<NetEmbedding>(
      std::move(inputs), std::move(net), static_cast<int>(dim), 1.0F));
}

Result<std::unique_ptr<EmbeddingModel>> internal::read_net_embedding(
    ByteReader& in) {
  const auto version = in.number<std::uint32_t>();
  if (!in.failed() && version != kVersion) {
    return unsupported("embedding net version " + std::to_string(version) +
                       "; this program knows version " +
                       std::to_string(kVersion));
  }
  SHOAL_TRY(inputs, read_inputs(in));
  const auto factor = in.number<float>();
  MultiViewNet net;
  for (std::size_t i = 0; i < inputs.size() && !in.failed(); ++i) {
    SHOAL_TRY(branch, read_mlp(in));
    net.branches.push_back(std::move(branch));
  }
  SHOAL_TRY(out, read_mlp(in));
  net.out = std::move(out);
  SHOAL_TRY(in.finish("embedding net"));
  const Eigen::Index dim = embedding_width(inputs, net);
  if (dim == 0) return corruption("embedding net whose layers do not fit");
  if (!std::isfinite(factor) || factor == 0 || !is_finite(net)) {
    return corruption("embedding net with values that are not finite");
  }
  return std::unique_ptr<EmbeddingModel>(std::make_unique<NetEmbedding>(
      std::move(inputs), std::move(net), static_cast<int>(dim), factor));
}

}  // namespace shoal
