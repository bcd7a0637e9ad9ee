#include "engine/views/cnn.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <opencv2/core/utility.hpp>
#include <spdlog/fmt/fmt.h>
#include <torch/cuda.h>

#include "common/check.h"
#include "engine/views/internal/architectures.h"
#include "engine/views/internal/mapped_file.h"
#include "engine/views/internal/torchscript.h"
#include "engine/views/safetensors.h"

namespace shoal {
namespace {

constexpr std::string_view kTorchScript = "torchscript";

/// LibTorch has no type of its own for a CPU allocation that failed.
bool is_out_of_memory(std::string_view message) {
  return message.find("can't allocate memory") != std::string_view::npos ||
         message.find("out of memory") != std::string_view::npos;
}

Error failure(std::string_view message) {
  if (is_out_of_memory(message)) {
    return resource_exhausted(std::string(message));
  }
  return internal_error(std::string(message));
}

/// Runs `compute`, translating what LibTorch and its libraries throw.
template <typename Compute>
auto translated(const Compute& compute) -> decltype(compute()) {
  try {
    return compute();
  } catch (const c10::Error& error) {
    return failure(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return resource_exhausted("no memory for a batch of this size");
  } catch (const std::exception& error) {
    return failure(error.what());
  }
}

Result<c10::Device> find_device(const std::string& name) {
  const auto devices = torch::cuda::device_count();
  if (name == "cpu" || (name == "auto" && devices == 0)) {
    return c10::Device(c10::kCPU);
  }
  if (name == "auto") return c10::Device(c10::kCUDA, 0);
  for (std::size_t i = 0; i < devices; ++i) {
    if (name == "cuda:" + std::to_string(i)) {
      return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(i));
    }
  }
  return unsupported(fmt::format(
      "device {} is not here; there are auto, cpu and {} CUDA devices", name,
      devices));
}

class CnnView final : public View {
 public:
  CnnView(ViewSpec spec, const ModelFolder& model, internal::Net net,
          c10::Device device)
      : spec_(std::move(spec)), net_(std::move(net)), device_(device) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      source_channel_[channel] = model.bgr ? 2 - channel : channel;
      for (std::size_t value = 0; value < 256; ++value) {
        normalized_[channel][value] =
            (static_cast<float>(value) - model.mean[channel]) * model.scale /
            model.std[channel];
      }
    }
  }

  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    if (images.empty()) return Matrix(0, spec_.dim);
    SHOAL_TRY(features, run(images, net_.feature));
    if (features.cols() != spec_.dim) {
      return invalid_argument(fmt::format("feature.dim is {}; the net gives {}",
                                          spec_.dim, features.cols()));
    }
    return std::move(features);
  }

  [[nodiscard]] Result<Matrix> logits(const std::vector<Image>& images) {
    if (!net_.logits) {
      return unsupported("view " + spec_.name + " has no classifier");
    }
    if (images.empty()) return Matrix(0, 0);
    return run(images, net_.logits);
  }

 private:
  /// @return (n, 3, h, w) float32 on the device, channels last
  [[nodiscard]] at::Tensor to_batch(const std::vector<Image>& images) {
    const auto pixels = static_cast<std::size_t>(spec_.input_width) *
                        static_cast<std::size_t>(spec_.input_height);
    input_.resize(images.size() * pixels * 3);
    float* target = input_.data();
    for (const Image& image : images) {
      SHOAL_CHECK(image.width == spec_.input_width &&
                      image.height == spec_.input_height &&
                      image.rgb.size() == pixels * 3,
                  "images come at the view's input size");
      const std::uint8_t* source = image.rgb.data();
      for (std::size_t i = 0; i < pixels; ++i, source += 3, target += 3) {
        for (std::size_t channel = 0; channel < 3; ++channel) {
          target[channel] =
              normalized_[channel][source[source_channel_[channel]]];
        }
      }
    }
    // Borrows input_, which outlives the run.
    return at::from_blob(input_.data(),
                         {static_cast<std::int64_t>(images.size()),
                          spec_.input_height, spec_.input_width, 3},
                         at::kFloat)
        .permute({0, 3, 1, 2})
        .to(device_);
  }

  [[nodiscard]] Result<Matrix> run(const std::vector<Image>& images,
                                   const internal::Layer& head) {
    return translated([&]() -> Result<Matrix> {
      const c10::InferenceMode inference;
      const at::Tensor output = head(net_.trunk(to_batch(images)))
                                    .to(at::kCPU, at::kFloat)
                                    .contiguous();
      const auto n = static_cast<Eigen::Index>(images.size());
      if (output.dim() != 2 || output.size(0) != n) {
        return internal_error(
            fmt::format("the net gives shape [{}]; expected [{}, dim]",
                        fmt::join(output.sizes(), ", "), n));
      }
      Matrix values(n, output.size(1));
      std::memcpy(values.data(), output.data_ptr<float>(), output.nbytes());
      if (!values.allFinite()) {
        return internal_error("the net gives values that are not finite");
      }
      return values;
    });
  }

  ViewSpec spec_;
  internal::Net net_;
  c10::Device device_;
  std::array<std::size_t, 3> source_channel_{};
  std::array<std::array<float, 256>, 3> normalized_{};
  std::vector<float> input_;
};

Result<internal::Net> build_net(const ModelFolder& model, c10::Device device) {
  const auto json = nlohmann::json::parse(model.variant, nullptr,
                                          /*allow_exceptions=*/false);
  internal::ObjectReader variant(json, "variant.");
  if (model.architecture == kTorchScript) {
    variant.refuse_unknown_keys();
    SHOAL_TRY(variant.finish());
    return internal::load_torchscript(model.weights, device);
  }
  const auto& known = internal::architectures();
  const auto architecture =
      std::find_if(known.begin(), known.end(), [&](const auto& candidate) {
        return candidate.name == model.architecture;
      });
  if (architecture == known.end()) {
    return unsupported(fmt::format("architecture {} is not known; known are {}",
                                   model.architecture,
                                   fmt::join(cnn_architectures(), ", ")));
  }
  SHOAL_TRY(weights, SafetensorsFile::open(model.weights));
  const float epsilon =
      variant.positive("batch_norm_epsilon", architecture->batch_norm_epsilon);
  internal::NetBuilder builder(*weights, device, epsilon);
  internal::Net net = architecture->build(builder, variant);
  variant.refuse_unknown_keys();
  SHOAL_TRY(variant.finish());
  auto built = builder.finish();
  if (!built) return built.error().within(model.weights.string());
  return net;
}

/// Everything that decides a vector besides the weights' bytes.
std::string preprocessing_text(const ModelFolder& model) {
  return fmt::format(
      "cnn 1; architecture {}; variant {}; input {} x {}; channels {}; "
      "(value - mean) * scale / std; scale {:.9g}; mean {:.9g}; std {:.9g}; "
      "dim {}; resize area when shrinking, bilinear when enlarging",
      model.architecture, model.variant, model.input_width, model.input_height,
      model.bgr ? "bgr" : "rgb", model.scale, fmt::join(model.mean, " "),
      fmt::join(model.std, " "), model.feature_dim);
}

Result<std::unique_ptr<View>> make_view(const ModelFolder& model,
                                        const DeviceOptions& options) {
  SHOAL_TRY(device, find_device(options.device));
  if (device.is_cuda()) {
    // Features are to equal those of any other device up to fp32 rounding.
    at::globalContext().setAllowTF32CuBLAS(false);
    at::globalContext().setAllowTF32CuDNN(false);
  }
  SHOAL_TRY(net, translated([&] { return build_net(model, device); }));

  ViewSpec spec;
  spec.name = model.name;
  spec.dim = model.feature_dim;
  spec.input_width = model.input_width;
  spec.input_height = model.input_height;
  SHOAL_TRY(file, internal::MappedFile::open(model.weights));
  spec.weights_hash = internal::version_hash(file.bytes());
  spec.preprocessing_hash = internal::version_hash(preprocessing_text(model));
  auto view =
      std::make_unique<CnnView>(std::move(spec), model, std::move(net), device);

  Image grey;
  grey.width = model.input_width;
  grey.height = model.input_height;
  grey.rgb.assign(static_cast<std::size_t>(grey.width) *
                      static_cast<std::size_t>(grey.height) * 3,
                  128);
  const auto trial = view->extract({grey});
  if (!trial) {
    const Error error = trial.error().within("a trial run on one image");
    if (error.code == ErrorCode::kResourceExhausted) return error;
    return invalid_argument(error.message);
  }
  return std::unique_ptr<View>(std::move(view));
}

}  // namespace

void set_compute_threads(int threads) {
  if (threads <= 0) {
    threads = static_cast<int>(std::thread::hardware_concurrency());
  }
  threads = std::max(threads, 1);
  at::set_num_threads(threads);
  at::set_num_interop_threads(threads);
  cv::setNumThreads(threads);
}

std::vector<std::string_view> cnn_architectures() {
  std::vector<std::string_view> names;
  for (const auto& architecture : internal::architectures()) {
    names.push_back(architecture.name);
  }
  names.push_back(kTorchScript);
  return names;
}

Result<std::unique_ptr<View>> make_cnn_view(const ModelFolder& model,
                                            const DeviceOptions& device) {
  auto view = make_view(model, device);
  if (!view) return view.error().within("model " + model.folder.string());
  return view;
}

Result<Matrix> cnn_logits(View& view, const std::vector<Image>& images) {
  auto* const cnn = dynamic_cast<CnnView*>(&view);
  if (cnn == nullptr) {
    return unsupported("view " + view.spec().name + " has no classifier");
  }
  return cnn->logits(images);
}

}  // namespace shoal
