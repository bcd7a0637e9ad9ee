#include "engine/views/internal/net_builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <spdlog/fmt/fmt.h>

#include "common/check.h"
#include "engine/views/internal/graph.h"

namespace shoal::internal {
namespace {

std::optional<at::ScalarType> floating_type(TensorType type) {
  switch (type) {
    case TensorType::kFloat32:
      return at::kFloat;
    case TensorType::kFloat16:
      return at::kHalf;
    case TensorType::kBFloat16:
      return at::kBFloat16;
    case TensorType::kFloat64:
      return at::kDouble;
    case TensorType::kInt64:
      break;
  }
  return std::nullopt;
}

}  // namespace

bool NetBuilder::has(const std::string& name) const {
  return weights_ != nullptr && weights_->tensors().count(name) != 0;
}

void NetBuilder::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

at::Tensor NetBuilder::take(const std::string& name,
                            std::vector<std::int64_t> shape) {
  const at::Tensor nothing = at::zeros(shape, at::kDouble);
  if (error_) return nothing;
  if (weights_ == nullptr) return draw(name, shape);
  taken_.insert(name);
  const auto place = weights_->tensors().find(name);
  if (place == weights_->tensors().end()) {
    fail(invalid_argument(fmt::format("tensor {} is missing", name)));
    return nothing;
  }
  const TensorInfo& info = place->second;
  if (info.shape != shape) {
    fail(invalid_argument(fmt::format("tensor {} has shape [{}]; expected [{}]",
                                      name, fmt::join(info.shape, ", "),
                                      fmt::join(shape, ", "))));
    return nothing;
  }
  const auto type = floating_type(info.type);
  if (!type) {
    fail(invalid_argument(fmt::format(
        "tensor {} holds whole numbers; expected floating point", name)));
    return nothing;
  }
  // Copied, because the mapping need not be aligned for the type.
  const at::Tensor values = at::empty(shape, *type);
  SHOAL_CHECK(values.nbytes() == info.bytes.size(), "a checked size");
  std::memcpy(values.data_ptr(), info.bytes.data(), info.bytes.size());
  at::Tensor precise = values.to(at::kDouble);
  if (!at::isfinite(precise).all().item<bool>()) {
    fail(corruption(
        fmt::format("tensor {} has values that are not finite", name)));
  }
  return precise;
}

at::Tensor NetBuilder::draw(const std::string& name,
                            const std::vector<std::int64_t>& shape) {
  at::Tensor values = at::zeros(shape, at::kDouble);
  auto* out = values.data_ptr<double>();
  if (shape.size() == 1) {
    // Only a batch norm has a weight or a variance of one dimension.
    const bool factor = name.find(".weight") != std::string::npos ||
                        name.find(".running_var") != std::string::npos;
    std::fill_n(out, shape[0], factor ? 1.0 : 0.0);
    return values;
  }
  const auto inputs = static_cast<double>(values.numel() / shape[0]);
  std::normal_distribution<double> normal(0, std::sqrt(2 / inputs));
  std::generate_n(out, values.numel(), [&] { return normal(random_); });
  return values;
}

std::pair<at::Tensor, at::Tensor> NetBuilder::take_batch_norm(
    const std::string& name, std::int64_t channels) {
  const at::Tensor gamma = take(name + ".weight", {channels});
  const at::Tensor beta = take(name + ".bias", {channels});
  const at::Tensor mean = take(name + ".running_mean", {channels});
  const at::Tensor variance = take(name + ".running_var", {channels});
  taken_.insert(name + ".num_batches_tracked");
  if (!error_ && (variance < 0).any().item<bool>()) {
    fail(corruption(
        fmt::format("tensor {}.running_var has negative values", name)));
  }
  const at::Tensor factor = gamma / (variance + batch_norm_epsilon_).sqrt();
  return {factor, beta - mean * factor};
}

Layer NetBuilder::conv(const Conv& spec) {
  Graph::ConvolutionShape shape;
  const bool square = spec.kernel_width == 0;
  shape.kernel_height = spec.kernel;
  shape.kernel_width = square ? spec.kernel : spec.kernel_width;
  shape.stride = spec.stride;
  shape.padding_height = spec.padding;
  shape.padding_width = square || spec.padding == kSamePadding
                            ? spec.padding
                            : spec.padding_width;
  shape.groups = spec.groups;
  at::Tensor weight = take(spec.name + ".weight",
                           {spec.out, spec.luma ? 1 : spec.in / spec.groups,
                            shape.kernel_height, shape.kernel_width});
  if (spec.luma) {
    weight =
        weight *
        at::tensor({0.299, 0.587, 0.114}, at::kDouble).reshape({1, 3, 1, 1});
  }
  const bool has_batch_norm =
      !spec.batch_norm.empty() && has(spec.batch_norm + ".running_mean");
  const std::string bias_name = spec.name + ".bias";
  // Before a batch norm a bias is of no use, so most files have none there.
  const bool no_bias = !spec.bias || (has_batch_norm && !has(bias_name));
  at::Tensor bias = no_bias ? at::zeros({spec.out}, at::kDouble)
                            : take(bias_name, {spec.out});
  if (has_batch_norm) {
    const auto [scale, shift] = take_batch_norm(spec.batch_norm, spec.out);
    weight = weight * scale.reshape({spec.out, 1, 1, 1});
    bias = bias * scale + shift;
  }
  return [name = spec.name, activation = spec.activation, shape,
          weight = weight.to(device_, at::kFloat).contiguous(),
          bias = bias.to(device_, at::kFloat)](Graph& graph, Value x) {
    return graph.convolution(x, name, shape, weight, bias, activation);
  };
}

Layer NetBuilder::linear(const std::string& name, int in, int out,
                         Activation activation) {
  return [name, activation,
          weight = take(name + ".weight", {out, in}).to(device_, at::kFloat),
          bias = take(name + ".bias", {out}).to(device_, at::kFloat)](
             Graph& graph, Value x) {
    return graph.linear(x, name, weight, bias, activation);
  };
}

Layer NetBuilder::batch_norm(const std::string& name, int channels,
                             Activation activation) {
  const auto [scale, shift] = take_batch_norm(name, channels);
  return [name, activation, scale = scale.to(device_, at::kFloat),
          shift = shift.to(device_, at::kFloat)](Graph& graph, Value x) {
    return graph.scale_shift(x, name, scale, shift, activation);
  };
}

Result<void> NetBuilder::finish() const {
  if (error_) return *error_;
  if (weights_ == nullptr) return ok();
  for (const auto& [name, info] : weights_->tensors()) {
    const bool ignored =
        std::any_of(ignored_.begin(), ignored_.end(),
                    [&tensor = name](const std::string& prefix) {
                      return tensor.compare(0, prefix.size(), prefix) == 0;
                    });
    if (!ignored && taken_.count(name) == 0) {
      return invalid_argument(fmt::format(
          "tensor {} is left over: the architecture has no place for it",
          name));
    }
  }
  return ok();
}

}  // namespace shoal::internal
