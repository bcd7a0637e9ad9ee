#include "engine/views/internal/net_builder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <spdlog/fmt/fmt.h>

#include "common/check.h"

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

/// What "SAME" needs in one direction, before and after.
std::pair<std::int64_t, std::int64_t> same_padding(std::int64_t size,
                                                   int kernel, int stride) {
  const std::int64_t outputs = (size + stride - 1) / stride;
  const std::int64_t total =
      std::max<std::int64_t>((outputs - 1) * stride + kernel - size, 0);
  return {total / 2, total - total / 2};
}

at::Tensor convolve(const at::Tensor& input, const at::Tensor& weight,
                    const at::Tensor& bias, const Conv& spec) {
  const auto run = [&](const at::Tensor& padded, std::int64_t vertical,
                       std::int64_t horizontal) {
    return at::conv2d(padded, weight, bias, {spec.stride, spec.stride},
                      {vertical, horizontal}, {1, 1}, spec.groups);
  };
  if (spec.padding != kSamePadding) {
    return run(input, spec.padding, spec.padding);
  }
  const auto [top, bottom] =
      same_padding(input.size(2), spec.kernel, spec.stride);
  const auto [left, right] =
      same_padding(input.size(3), spec.kernel, spec.stride);
  if (top == bottom && left == right) return run(input, top, left);
  return run(at::constant_pad_nd(input, {left, right, top, bottom}), 0, 0);
}

}  // namespace

bool NetBuilder::has(const std::string& name) const {
  return weights_.tensors().count(name) != 0;
}

void NetBuilder::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

at::Tensor NetBuilder::take(const std::string& name,
                            std::vector<std::int64_t> shape) {
  const at::Tensor nothing = at::zeros(shape, at::kDouble);
  if (error_) return nothing;
  taken_.insert(name);
  const auto place = weights_.tensors().find(name);
  if (place == weights_.tensors().end()) {
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

void NetBuilder::fold_batch_norm(const std::string& name, at::Tensor& weight,
                                 at::Tensor& bias) {
  const std::int64_t channels = weight.size(0);
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
  weight = weight * factor.reshape({channels, 1, 1, 1});
  bias = beta + (bias - mean) * factor;
}

Layer NetBuilder::conv(const Conv& spec) {
  at::Tensor weight =
      take(spec.name + ".weight",
           {spec.out, spec.in / spec.groups, spec.kernel, spec.kernel});
  const bool has_batch_norm =
      !spec.batch_norm.empty() && has(spec.batch_norm + ".running_mean");
  const std::string bias_name = spec.name + ".bias";
  // Before a batch norm a bias is of no use, so most files have none there.
  at::Tensor bias = has_batch_norm && !has(bias_name)
                        ? at::zeros({spec.out}, at::kDouble)
                        : take(bias_name, {spec.out});
  if (has_batch_norm) fold_batch_norm(spec.batch_norm, weight, bias);
  weight =
      weight.to(device_, at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  bias = bias.to(device_, at::kFloat);
  return [weight, bias, spec](const at::Tensor& input) {
    at::Tensor output = convolve(input, weight, bias, spec);
    switch (spec.activation) {
      case Activation::kNone:
        break;
      case Activation::kRelu:
        output.relu_();
        break;
      case Activation::kRelu6:
        output.clamp_(0, 6);
        break;
    }
    return output;
  };
}

Layer NetBuilder::linear(const std::string& name, int in, int out) {
  const at::Tensor weight =
      take(name + ".weight", {out, in}).to(device_, at::kFloat);
  const at::Tensor bias = take(name + ".bias", {out}).to(device_, at::kFloat);
  return [weight, bias](const at::Tensor& input) {
    return at::linear(input, weight, bias);
  };
}

Result<void> NetBuilder::finish() const {
  if (error_) return *error_;
  for (const auto& [name, info] : weights_.tensors()) {
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
