#include "engine/views/internal/aten_executor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <spdlog/fmt/fmt.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "engine/views/internal/aten_graph.h"
#include "engine/views/internal/translated.h"

namespace shoal::internal {
namespace {

/// (n, 3, h, w), channels last -> (n, d), both on the device.
using Forward = std::function<at::Tensor(const at::Tensor&)>;

at::ScalarType scalar_type(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      break;
    case Precision::kBFloat16:
      return at::kBFloat16;
    case Precision::kFloat16:
      return at::kHalf;
  }
  return at::kFloat;
}

Result<Matrix> to_matrix(const at::Tensor& output, std::size_t images) {
  const auto rows = static_cast<Eigen::Index>(images);
  if (output.dim() != 2 || output.size(0) != rows) {
    return internal_error(
        fmt::format("the net gives shape [{}]; expected [{}, dim]",
                    fmt::join(output.sizes(), ", "), rows));
  }
  const at::Tensor values = output.to(at::kCPU, at::kFloat).contiguous();
  Matrix matrix(rows, values.size(1));
  std::memcpy(matrix.data(), values.data_ptr<float>(), values.nbytes());
  return matrix;
}

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(Forward forward, const PixelTransform& transform)
      : forward_(std::move(forward)), transform_(transform) {}

  [[nodiscard]] Result<Matrix> run(const std::vector<Image>& images) override {
    return translated([&]() -> Result<Matrix> {
      const c10::InferenceMode inference;
      const at::Tensor batch =
          at::empty({static_cast<std::int64_t>(images.size()),
                     transform_.height(), transform_.width(), 3},
                    at::kFloat);
      auto* out = batch.data_ptr<float>();
      for (const Image& image : images) {
        transform_.write(image, PixelTransform::Layout::kInterleaved, out);
        out += image.rgb.size();
      }
      return to_matrix(forward_(batch.permute({0, 3, 1, 2})), images.size());
    });
  }

 private:
  Forward forward_;
  PixelTransform transform_;
};

/// Stages bytes in pinned memory and makes the net's input of them on the
/// GPU. Two streams: while one half of a batch is computed, the other is
/// staged and copied.
class GpuExecutor final : public Executor {
 public:
  GpuExecutor(Forward forward, const PixelTransform& transform,
              c10::Device device, at::ScalarType type)
      : forward_(std::move(forward)),
        transform_(transform),
        device_(device),
        guard_(device.type()),
        lanes_{Lane(guard_, device), Lane(guard_, device)} {
    const c10::InferenceMode inference;
    table_ = at::from_blob(const_cast<float*>(transform_.table()[0].data()),
                           {3 * kBytes}, at::kFloat)
                 .to(device, type);
    offsets_ = at::arange(0, 3 * kBytes, kBytes,
                          at::TensorOptions().dtype(at::kInt).device(device));
    // Other streams do not wait for the one on which these were made.
    guard_.getStream(device).synchronize();
  }

  [[nodiscard]] Result<Matrix> run(const std::vector<Image>& images) override {
    return translated([&]() -> Result<Matrix> {
      const c10::InferenceMode inference;
      const std::size_t half = std::min((images.size() + 1) / 2, kMostStaged);
      std::vector<at::Tensor> outputs;
      for (std::size_t begin = 0; begin < images.size(); begin += half) {
        Lane& lane = lanes_[outputs.size() % 2];
        // The lane's staging memory is free when its last work is done.
        lane.stream.synchronize();
        const std::size_t count = std::min(half, images.size() - begin);
        stage(lane, images, begin, count);
        const c10::StreamGuard on(lane.stream);
        outputs.push_back(forward_(to_input(lane.staged.narrow(
                                       0, 0, static_cast<std::int64_t>(count))))
                              .to(at::kFloat));
      }
      for (Lane& lane : lanes_) lane.stream.synchronize();
      return to_matrix(at::cat(outputs), images.size());
    });
  }

 private:
  static constexpr std::int64_t kBytes = 256;
  static constexpr std::size_t kMostStaged = 64;  ///< images of a lane

  struct Lane {
    Lane(const c10::impl::VirtualGuardImpl& guard, c10::Device device)
        : stream(guard.getStreamFromGlobalPool(device)) {}
    c10::Stream stream;
    at::Tensor staged;  ///< (n, h, w, 3) bytes, pinned
  };

  void stage(Lane& lane, const std::vector<Image>& images, std::size_t begin,
             std::size_t count) const {
    const auto rows = static_cast<std::int64_t>(count);
    if (!lane.staged.defined() || lane.staged.size(0) < rows) {
      lane.staged =
          at::empty({rows, transform_.height(), transform_.width(), 3},
                    at::TensorOptions().dtype(at::kByte).pinned_memory(true));
    }
    auto* out = lane.staged.data_ptr<std::uint8_t>();
    for (std::size_t i = begin; i < begin + count; ++i) {
      std::memcpy(out, images[i].rgb.data(), images[i].rgb.size());
      out += images[i].rgb.size();
    }
  }

  /// (n, h, w, 3) pinned bytes -> (n, 3, h, w) on the GPU, channels last
  [[nodiscard]] at::Tensor to_input(const at::Tensor& staged) const {
    at::Tensor bytes = staged.to(device_, at::kByte, /*non_blocking=*/true);
    if (transform_.bgr()) bytes = bytes.flip(3);
    const at::Tensor places = bytes.to(at::kInt) + offsets_;
    return table_.index_select(0, places.flatten())
        .reshape(staged.sizes())
        .permute({0, 3, 1, 2});
  }

  Forward forward_;
  PixelTransform transform_;
  c10::Device device_;
  c10::impl::VirtualGuardImpl guard_;
  std::array<Lane, 2> lanes_;
  at::Tensor table_;    ///< (3 * 256)
  at::Tensor offsets_;  ///< (3): where each channel's values begin
};

std::unique_ptr<Executor> make_executor(Forward forward,
                                        const PixelTransform& transform,
                                        c10::Device device,
                                        at::ScalarType type) {
  if (device.is_cpu()) {
    return std::make_unique<CpuExecutor>(std::move(forward), transform);
  }
  return std::make_unique<GpuExecutor>(std::move(forward), transform, device,
                                       type);
}

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

std::unique_ptr<Executor> make_aten_executor(Graph graph,
                                             const PixelTransform& transform,
                                             c10::Device device,
                                             Precision precision) {
  const at::ScalarType type = scalar_type(precision);
  std::vector<at::Tensor> parameters;
  for (const Parameter& parameter : graph.parameters()) {
    at::Tensor values = parameter.values.to(device, type);
    if (values.dim() == 4) {
      values = values.contiguous(at::MemoryFormat::ChannelsLast);
    }
    parameters.push_back(std::move(values));
  }
  return make_executor(
      [graph = std::move(graph),
       parameters = std::move(parameters)](const at::Tensor& input) {
        return run_graph(graph, input, parameters);
      },
      transform, device, type);
}

Result<std::unique_ptr<Executor>> make_torchscript_executor(
    const std::filesystem::path& file, const PixelTransform& transform,
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
  return make_executor(
      [module](const at::Tensor& input) {
        const c10::IValue output = module->forward({input});
        TORCH_CHECK(output.isTensor(), "forward() returns ", output.tagKind(),
                    "; expected one tensor");
        return output.toTensor();
      },
      transform, device, at::kFloat);
}

}  // namespace shoal::internal
