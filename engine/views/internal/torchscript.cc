#include "engine/views/internal/torchscript.h"

#include <exception>
#include <memory>

#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

namespace shoal::internal {
namespace {

template <typename Tensors>
Result<void> check_finite(const Tensors& tensors) {
  for (const auto& named : tensors) {
    if (named.value.is_floating_point() &&
        !at::isfinite(named.value).all().template item<bool>()) {
      return corruption("tensor " + named.name +
                        " has values that are not finite");
    }
  }
  return ok();
}

}  // namespace

Result<Net> load_torchscript(const std::filesystem::path& file,
                             c10::Device device) {
  auto module = std::make_shared<torch::jit::Module>();
  try {
    *module = torch::jit::load(file.string(), device);
    module->eval();
    SHOAL_TRY(check_finite(module->named_parameters()));
    SHOAL_TRY(check_finite(module->named_buffers()));
  } catch (const c10::Error& error) {
    return invalid_argument(file.string() + " is no TorchScript module: " +
                            error.what_without_backtrace());
  } catch (const std::exception& error) {
    return invalid_argument(file.string() +
                            " is no TorchScript module: " + error.what());
  }
  Net net;
  net.trunk = [module](const at::Tensor& input) {
    const c10::IValue output = module->forward({input});
    TORCH_CHECK(output.isTensor(), "forward() returns ", output.tagKind(),
                "; expected one tensor");
    return output.toTensor();
  };
  net.feature = [](const at::Tensor& output) { return output; };
  return net;
}

}  // namespace shoal::internal
