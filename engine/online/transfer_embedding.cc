#include "engine/online/transfer_embedding.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/check.h"
#include "engine/online/internal/model_bytes.h"

namespace shoal {
namespace {

using internal::kMaxModelDim;
using internal::read_inputs;
using internal::read_values;
using internal::write_inputs;
using internal::write_values;

constexpr std::uint32_t kVersion = 1;

bool same_inputs(const std::vector<EmbeddingInput>& a,
                 const std::vector<EmbeddingInput>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const EmbeddingInput& x, const EmbeddingInput& y) {
                      return x.view == y.view && x.dim == y.dim;
                    });
}

/// What does not fit, or "".
std::string misfit(const TransferInputs& inputs, const EmbeddingModel& inner) {
  if (inputs.net >= inputs.stored.size() ||
      std::any_of(inputs.kept.begin(), inputs.kept.end(),
                  [&](std::size_t i) { return i >= inputs.stored.size(); })) {
    return "an input that is not there";
  }
  const TransferHead& head = inputs.head;
  if (head.weight.rows() < 1 || head.bias.size() != head.weight.rows() ||
      head.weight.cols() != inputs.stored[inputs.net].dim) {
    return "a head of another shape than its view";
  }
  if (!head.weight.allFinite() || !head.bias.allFinite()) {
    return "a head with values that are not finite";
  }
  if (!same_inputs(inner_inputs(inputs), inner.inputs())) {
    return "an inner model that reads other views";
  }
  return "";
}

class TransferEmbedding final : public EmbeddingModel {
 public:
  TransferEmbedding(TransferInputs inputs,
                    std::unique_ptr<EmbeddingModel> inner)
      : inputs_(std::move(inputs)), inner_(std::move(inner)) {}

  const std::vector<EmbeddingInput>& inputs() const override {
    return inputs_.stored;
  }
  int dim() const override { return inner_->dim(); }

  Matrix embed(const std::vector<Matrix>& features) const override {
    SHOAL_CHECK(features.size() == inputs_.stored.size(),
                "another number of views");
    return inner_->embed(inner_features(inputs_, features));
  }

  std::unique_ptr<EmbeddingModel> scaled(float factor) const override {
    return std::make_unique<TransferEmbedding>(inputs_, inner_->scaled(factor));
  }

  std::string serialize() const override {
    ByteWriter out;
    out.string(internal::kTransferKind).number(kVersion);
    write_inputs(out, inputs_.stored);
    out.number(static_cast<std::uint32_t>(inputs_.kept.size()));
    for (const std::size_t position : inputs_.kept) {
      out.number(static_cast<std::uint32_t>(position));
    }
    out.number(static_cast<std::uint32_t>(inputs_.net));
    const TransferHead& head = inputs_.head;
    out.number(static_cast<std::uint32_t>(head.weight.rows()));
    out.number(static_cast<std::uint32_t>(head.weight.cols()));
    write_values(out, head.weight.data(), head.weight.size());
    write_values(out, head.bias.data(), head.bias.size());
    out.string(inner_->serialize());
    return out.take();
  }

 private:
  TransferInputs inputs_;
  std::unique_ptr<EmbeddingModel> inner_;
};

}  // namespace

std::vector<EmbeddingInput> inner_inputs(const TransferInputs& inputs) {
  std::vector<EmbeddingInput> inner;
  for (const std::size_t position : inputs.kept) {
    inner.push_back(inputs.stored.at(position));
  }
  inner.push_back({std::string(kTransferView),
                   static_cast<int>(inputs.head.weight.rows())});
  return inner;
}

std::vector<Matrix> inner_features(const TransferInputs& inputs,
                                   const std::vector<Matrix>& stored) {
  std::vector<Matrix> inner;
  for (const std::size_t position : inputs.kept) {
    inner.push_back(stored.at(position));
  }
  inner.push_back(inputs.head.evidence(stored.at(inputs.net)));
  return inner;
}

Result<std::unique_ptr<EmbeddingModel>> make_transfer_embedding(
    TransferInputs inputs, std::unique_ptr<EmbeddingModel> inner) {
  SHOAL_CHECK(inner != nullptr, "a model to embed with");
  if (dynamic_cast<const TransferEmbedding*>(inner.get()) != nullptr) {
    return invalid_argument("transfer embedding inside another");
  }
  const std::string problem = misfit(inputs, *inner);
  if (!problem.empty()) {
    return invalid_argument("transfer embedding with " + problem);
  }
  return std::unique_ptr<EmbeddingModel>(
      std::make_unique<TransferEmbedding>(std::move(inputs), std::move(inner)));
}

Result<std::unique_ptr<EmbeddingModel>> internal::read_transfer_embedding(
    ByteReader& in) {
  const auto version = in.number<std::uint32_t>();
  if (!in.failed() && version != kVersion) {
    return unsupported("transfer embedding version " + std::to_string(version) +
                       "; this program knows version " +
                       std::to_string(kVersion));
  }
  TransferInputs inputs;
  SHOAL_TRY(stored, read_inputs(in));
  inputs.stored = std::move(stored);
  const auto kept = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < kept && !in.failed(); ++i) {
    inputs.kept.push_back(in.number<std::uint32_t>());
  }
  inputs.net = in.number<std::uint32_t>();
  const auto classes = in.number<std::uint32_t>();
  const auto width = in.number<std::uint32_t>();
  // Before anything of the claimed size is allocated.
  const std::uint64_t values =
      std::uint64_t{classes} * width + std::uint64_t{classes};
  if (!in.failed() &&
      (classes == 0 || width == 0 || classes > kMaxModelDim ||
       width > kMaxModelDim || values * sizeof(float) > in.remaining())) {
    return corruption("transfer embedding with a head of " +
                      std::to_string(classes) + " x " + std::to_string(width) +
                      " and " + std::to_string(in.remaining()) + " bytes left");
  }
  if (in.failed()) return corruption("transfer embedding ends too early");
  inputs.head.weight.resize(classes, width);
  inputs.head.bias.resize(classes);
  read_values(in, inputs.head.weight.data(), inputs.head.weight.size());
  read_values(in, inputs.head.bias.data(), inputs.head.bias.size());
  const std::string inner_bytes = in.string();
  SHOAL_TRY(in.finish("transfer embedding"));
  SHOAL_TRY(inner, load_plain_model(inner_bytes));
  const std::string problem = misfit(inputs, *inner);
  if (!problem.empty()) {
    return corruption("transfer embedding with " + problem);
  }
  return std::unique_ptr<EmbeddingModel>(
      std::make_unique<TransferEmbedding>(std::move(inputs), std::move(inner)));
}

}  // namespace shoal
