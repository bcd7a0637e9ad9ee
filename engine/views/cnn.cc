#include "engine/views/cnn.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <variant>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <opencv2/core/utility.hpp>
#include <spdlog/fmt/fmt.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include "common/check.h"
#include "engine/views/internal/architectures.h"
#include "engine/views/internal/aten_executor.h"
#include "engine/views/internal/executor.h"
#include "engine/views/internal/load_net.h"
#include "engine/views/internal/mapped_file.h"
#include "engine/views/internal/onednn_executor.h"
#include "engine/views/internal/replicated_view.h"
#include "engine/views/internal/translated.h"

namespace shoal {
namespace {

using internal::Executor;
using internal::PixelTransform;
using internal::Precision;

constexpr std::string_view kTorchScript = "torchscript";
/// Features of the probe batch below it in cosine similarity to the fp32 ones
/// are not taken. What is wanted of all images is 0.999; others are up to 1.6
/// times as far from 1 as the probe's worst (MobileNetV2, ResNet50).
constexpr double kLeastCosine = 0.9995;
/// Where bf16 alone is not enough, these numbers of convolutions at the
/// beginning of the net stay fp32: MobileNets need some.
constexpr std::array<std::size_t, 8> kFloat32Layers = {0, 2,  4,  6,
                                                       9, 12, 18, 27};

/// What a net computes in.
struct Mode {
  Precision precision = Precision::kFloat32;
  std::size_t float32_layers = 0;  ///< with oneDNN
};

std::string to_string(const Mode& mode) {
  const std::string name = internal::to_string(mode.precision);
  if (mode.float32_layers == 0) return name;
  return fmt::format("{} behind {} fp32 convolutions", name,
                     mode.float32_layers);
}

Result<c10::Device> find_device(const std::string& name) {
  if (name == "cpu") return c10::Device(c10::kCPU);
  const auto devices = torch::cuda::device_count();
  for (std::size_t i = 0; i < devices; ++i) {
    if (name == "cuda:" + std::to_string(i)) {
      return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(i));
    }
  }
  return unsupported(fmt::format(
      "device {} is not here; there are auto, cpu and {} CUDA devices", name,
      devices));
}

/// The devices that DeviceOptions::device names.
Result<std::vector<c10::Device>> find_devices(const std::string& names) {
  std::vector<c10::Device> found;
  if (names == "auto") {
    const auto devices = torch::cuda::device_count();
    if (devices == 0) found.emplace_back(c10::kCPU);
    for (std::size_t i = 0; i < devices; ++i) {
      found.emplace_back(c10::kCUDA, static_cast<c10::DeviceIndex>(i));
    }
    return found;
  }
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    SHOAL_TRY(device, find_device(names.substr(begin, end - begin)));
    found.push_back(device);
    begin = end + 1;
  }
  return found;
}

/// Makes executors for parts of one net on one device.
class ExecutorFactory {
 public:
  ExecutorFactory(const ModelFolder& model, c10::Device device)
      : transform_(model), device_(device) {}

  struct Made {
    std::unique_ptr<Executor> executor;
    std::string library;
  };

  [[nodiscard]] Result<Made> make(const internal::Layer& layer,
                                  const Mode& mode) const {
    const internal::Shape input = {3, transform_.height(), transform_.width()};
    SHOAL_TRY(graph, internal::build_graph(layer, input));
    const internal::Graph fused = internal::fused(graph);
#ifdef SHOAL_ENABLE_ONEDNN
    if (device_.is_cpu()) {
      auto executor = internal::make_onednn_executor(
          fused, transform_,
          {mode.precision == Precision::kBFloat16, mode.float32_layers},
          at::get_num_threads());
      if (executor) {
        return Made{std::move(executor).value(), internal::onednn_version()};
      }
      if (executor.error().code != ErrorCode::kUnsupported ||
          mode.precision != Precision::kFloat32) {
        return executor.error();
      }
    }
#endif
    return make_aten(fused, mode.precision);
  }

  [[nodiscard]] Result<std::size_t> count_convolutions(
      const internal::Layer& layer) const {
    const internal::Shape input = {3, transform_.height(), transform_.width()};
    SHOAL_TRY(graph, internal::build_graph(layer, input));
    const auto& nodes = graph.nodes();
    return static_cast<std::size_t>(
        std::count_if(nodes.begin(), nodes.end(), [](const auto& node) {
          return std::holds_alternative<internal::ConvolutionOp>(node.op);
        }));
  }

  /// With LibTorch, whatever else there is.
  [[nodiscard]] Result<Made> make_reference(
      const internal::Layer& layer) const {
    const internal::Shape input = {3, transform_.height(), transform_.width()};
    SHOAL_TRY(graph, internal::build_graph(layer, input));
    return make_aten(graph, Precision::kFloat32);
  }

  [[nodiscard]] Result<Made> make_torchscript(
      const std::filesystem::path& file) const {
    return internal::translated([&]() -> Result<Made> {
      SHOAL_TRY(executor,
                internal::make_torchscript_executor(file, transform_, device_));
      return Made{std::move(executor), library()};
    });
  }

  /// What to try before fp32 for what was asked; nothing and a reason where
  /// there is none.
  struct Candidates {
    std::vector<Mode> modes;
    std::string reason;
  };
  [[nodiscard]] Result<Candidates> candidates(const std::string& asked) const {
    if (asked == "fp32") return Candidates{{}, "as configured"};
    if (asked != "auto" && asked != "bf16" && asked != "fp16") {
      return invalid_argument("precision '" + asked +
                              "' is not auto, fp32, bf16 or fp16");
    }
    if (device_.is_cuda()) {
      return Candidates{
          {{asked == "bf16" ? Precision::kBFloat16 : Precision::kFloat16}}, ""};
    }
    if (asked == "fp16") return Candidates{{}, "fp16 is for GPUs only"};
#ifdef SHOAL_ENABLE_ONEDNN
    if (!internal::onednn_has_bfloat16()) {
      return Candidates{{}, "this CPU has no bf16 instructions"};
    }
    Candidates found;
    for (const std::size_t layers : kFloat32Layers) {
      found.modes.push_back({Precision::kBFloat16, layers});
    }
    return found;
#else
    return Candidates{{}, "this build has no oneDNN"};
#endif
  }

  [[nodiscard]] const PixelTransform& transform() const { return transform_; }
  [[nodiscard]] const c10::Device& device() const { return device_; }

 private:
  [[nodiscard]] Result<Made> make_aten(const internal::Graph& graph,
                                       Precision precision) const {
    return internal::translated([&]() -> Result<Made> {
      return Made{
          internal::make_aten_executor(graph, transform_, device_, precision),
          library()};
    });
  }

  static std::string library() { return "LibTorch " TORCH_VERSION; }

  PixelTransform transform_;
  c10::Device device_;
};

class CnnView final : public View {
 public:
  CnnView(ViewSpec spec, ExecutorFactory factory, internal::Net net)
      : spec_(std::move(spec)),
        factory_(std::move(factory)),
        net_(std::move(net)) {
    info_.device = factory_.device().str();
  }

  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    if (images.empty()) return Matrix(0, spec_.dim);
    SHOAL_TRY(features, run(*features_, images));
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
    if (!logits_) {
      SHOAL_TRY(made,
                factory_.make(internal::sequential({net_.trunk, net_.logits}),
                              mode_));
      logits_ = std::move(made.executor);
    }
    return run(*logits_, images);
  }

  [[nodiscard]] const CnnInfo& info() const { return info_; }

  /// Makes what extracts features. Errors: as make_cnn_view.
  [[nodiscard]] Result<void> start(const std::string& asked) {
    SHOAL_TRY(candidates, factory_.candidates(asked));
    SHOAL_TRY(start_fp32());
    info_.reason = candidates.reason;
    SHOAL_TRY(convolutions, factory_.count_convolutions(feature_layer()));
    for (const Mode& mode : candidates.modes) {
      // All of them in fp32 would be fp32 by another name.
      if (mode.float32_layers > 0 && mode.float32_layers >= convolutions) break;
      SHOAL_TRY(enough, try_mode(mode));
      if (enough) break;
    }
    return ok();
  }

  /// The same for a TorchScript module.
  [[nodiscard]] Result<void> start_torchscript(
      const std::filesystem::path& file) {
    SHOAL_TRY(made, factory_.make_torchscript(file));
    use(std::move(made), Mode{});
    info_.reason = "TorchScript modules are run as they are";
    return check_trial(extract({grey_image()}));
  }

 private:
  [[nodiscard]] Result<Matrix> run(Executor& executor,
                                   const std::vector<Image>& images) const {
    for (const Image& image : images) {
      SHOAL_CHECK(image.width == spec_.input_width &&
                      image.height == spec_.input_height &&
                      image.rgb.size() == static_cast<std::size_t>(3) *
                                              image.width * image.height,
                  "images come at the view's input size");
    }
    SHOAL_TRY(values, executor.run(images));
    if (!values.allFinite()) {
      return internal_error("the net gives values that are not finite");
    }
    return std::move(values);
  }

  void use(ExecutorFactory::Made made, const Mode& mode) {
    features_ = std::move(made.executor);
    mode_ = mode;
    info_.executor = std::move(made.library);
    info_.precision = internal::to_string(mode.precision);
    info_.threads = at::get_num_threads();
    info_.arena_bytes = features_->arena_bytes();
  }

  [[nodiscard]] internal::Layer feature_layer() const {
    return internal::sequential({net_.trunk, net_.feature});
  }

  [[nodiscard]] Image grey_image() const {
    Image grey{spec_.input_width, spec_.input_height, {}};
    grey.rgb.assign(
        static_cast<std::size_t>(3) * spec_.input_width * spec_.input_height,
        128);
    return grey;
  }

  [[nodiscard]] static Result<void> check_trial(const Result<Matrix>& trial) {
    if (trial) return ok();
    const Error error = trial.error().within("a trial run on one image");
    if (error.code == ErrorCode::kResourceExhausted) return error;
    return invalid_argument(error.message);
  }

  [[nodiscard]] Result<void> start_fp32() {
    // oneDNN's ReLU makes zeros of what is not a number; LibTorch's shows it.
    SHOAL_TRY(reference, factory_.make_reference(feature_layer()));
    SHOAL_TRY(check_trial(run(*reference.executor, {grey_image()})));
    SHOAL_TRY(made, factory_.make(feature_layer(), Mode{}));
    use(std::move(made), Mode{});
    return check_trial(extract({grey_image()}));
  }

  /// Takes a mode if its features are near the fp32 ones.
  [[nodiscard]] Result<bool> try_mode(const Mode& mode) {
    auto made = factory_.make(feature_layer(), mode);
    if (!made) {
      if (made.error().code != ErrorCode::kUnsupported) return made.error();
      info_.reason = "no " + to_string(mode) + ": " + made.error().message;
      return false;
    }
    const auto images = probe_images();
    SHOAL_TRY(exact, run(*features_, images));
    SHOAL_TRY(found, made.value().executor->run(images));
    const double cosine = lowest_cosine(exact, found);
    const bool near = cosine >= kLeastCosine;
    info_.cosine = cosine;
    info_.reason = fmt::format(
        "{} has cosine similarity {:.5f} to fp32 on a probe batch; {} is {}",
        to_string(mode), cosine, kLeastCosine, near ? "enough" : "needed");
    if (near) use(std::move(made).value(), mode);
    return near;
  }

  /// Eight images of soft blobs and noise, always the same.
  [[nodiscard]] std::vector<Image> probe_images() const {
    constexpr int kImages = 8;
    constexpr int kBlobs = 6;
    std::mt19937 random(1);
    const auto uniform = [&random](double below) {
      return static_cast<double>(random()) / 4294967296.0 * below;
    };
    std::vector<Image> images;
    for (int i = 0; i < kImages; ++i) {
      const double noise = 8.0 * i;
      struct Blob {
        double x, y, size;
        std::array<double, 3> color;
      };
      std::vector<Blob> blobs(kBlobs);
      for (Blob& blob : blobs) {
        blob = {uniform(1), uniform(1), 0.05 + uniform(0.3), {}};
        for (double& value : blob.color) value = uniform(400) - 200;
      }
      Image image{spec_.input_width, spec_.input_height, {}};
      for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) {
          std::array<double, 3> color = {128, 128, 128};
          for (const Blob& blob : blobs) {
            const double dx = (x + 0.5) / image.width - blob.x;
            const double dy = (y + 0.5) / image.height - blob.y;
            const double share =
                std::exp(-(dx * dx + dy * dy) / (blob.size * blob.size));
            for (std::size_t c = 0; c < 3; ++c) {
              color[c] += blob.color[c] * share;
            }
          }
          for (const double value : color) {
            image.rgb.push_back(static_cast<std::uint8_t>(
                std::clamp(value + uniform(2 * noise) - noise, 0.0, 255.0)));
          }
        }
      }
      images.push_back(std::move(image));
    }
    return images;
  }

  /// 0 where a row has no direction or is not finite.
  static double lowest_cosine(const Matrix& a, const Matrix& b) {
    double lowest = 1;
    for (Eigen::Index row = 0; row < a.rows(); ++row) {
      const double norms =
          a.row(row).cast<double>().norm() * b.row(row).cast<double>().norm();
      const double dot =
          a.row(row).cast<double>().dot(b.row(row).cast<double>());
      const double cosine = dot / norms;
      lowest = std::isfinite(cosine) ? std::min(lowest, cosine) : 0;
    }
    return lowest;
  }

  ViewSpec spec_;
  ExecutorFactory factory_;
  internal::Net net_;
  Mode mode_;
  CnnInfo info_;
  std::unique_ptr<Executor> features_;
  std::unique_ptr<Executor> logits_;  ///< made when first asked for
};

/// Everything that decides a vector besides the weights' bytes.
std::string preprocessing_text(const ModelFolder& model) {
  return fmt::format(
      "cnn 1; architecture {}; variant {}; input {} x {}; channels {}; "
      "(value - mean) * scale / std; scale {:.9g}; mean {:.9g}; std {:.9g}; "
      "dim {}; {}",
      model.architecture, model.variant, model.input_width, model.input_height,
      model.bgr ? "bgr" : "rgb", model.scale, fmt::join(model.mean, " "),
      fmt::join(model.std, " "), model.feature_dim, kPixelRecipe);
}

Result<std::unique_ptr<View>> make_view(const ModelFolder& model,
                                        const std::string& precision,
                                        const c10::Device& device) {
  if (device.is_cuda()) {
    // fp32 means fp32; what is less exact is asked for and probed.
    at::globalContext().setAllowTF32CuBLAS(false);
    at::globalContext().setAllowTF32CuDNN(false);
  }
  const bool scripted = model.architecture == kTorchScript;
  internal::Net net;
  if (scripted) {
    SHOAL_TRY(internal::refuse_variant(model));
  } else {
    SHOAL_TRY(loaded, internal::load_net(model));
    net = std::move(loaded);
  }

  ViewSpec spec;
  spec.name = model.name;
  spec.dim = model.feature_dim;
  spec.input_width = model.input_width;
  spec.input_height = model.input_height;
  SHOAL_TRY(file, internal::MappedFile::open(model.weights));
  spec.weights_hash = internal::version_hash(file.bytes());
  spec.preprocessing_hash = internal::version_hash(preprocessing_text(model));
  auto view = std::make_unique<CnnView>(
      std::move(spec), ExecutorFactory(model, device), std::move(net));
  SHOAL_TRY(scripted ? view->start_torchscript(model.weights)
                     : view->start(precision));
  return std::unique_ptr<View>(std::move(view));
}

Result<std::unique_ptr<View>> make_view(const ModelFolder& model,
                                        const DeviceOptions& options) {
  SHOAL_TRY(devices, find_devices(options.device));
  std::vector<std::unique_ptr<View>> replicas;
  for (const c10::Device& device : devices) {
    SHOAL_TRY(view, make_view(model, options.precision, device));
    replicas.push_back(std::move(view));
  }
  if (replicas.size() == 1) return std::move(replicas.front());
  return std::unique_ptr<View>(
      std::make_unique<internal::ReplicatedView>(std::move(replicas)));
}

/// A view's replicas, or the view itself.
std::vector<const View*> parts_of(const View& view) {
  const auto* const replicated =
      dynamic_cast<const internal::ReplicatedView*>(&view);
  if (replicated == nullptr) return {&view};
  std::vector<const View*> parts;
  for (const auto& replica : replicated->replicas()) {
    parts.push_back(replica.get());
  }
  return parts;
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

std::optional<CnnInfo> cnn_info(const View& view) {
  std::optional<CnnInfo> info;
  for (const View* const part : parts_of(view)) {
    const auto* const cnn = dynamic_cast<const CnnView*>(part);
    if (cnn == nullptr) return std::nullopt;
    if (info) {
      info->device += "," + cnn->info().device;
    } else {
      info = cnn->info();
    }
  }
  return info;
}

Result<Matrix> cnn_logits(View& view, const std::vector<Image>& images) {
  auto* const replicated = dynamic_cast<internal::ReplicatedView*>(&view);
  View& first = replicated == nullptr ? view : *replicated->replicas().front();
  auto* const cnn = dynamic_cast<CnnView*>(&first);
  if (cnn == nullptr) {
    return unsupported("view " + view.spec().name + " has no classifier");
  }
  return cnn->logits(images);
}

}  // namespace shoal
