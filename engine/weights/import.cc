#include "engine/weights/import.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "engine/views/cnn.h"
#include "engine/views/safetensors.h"
#include "engine/weights/weights_file.h"

namespace shoal {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kSide = 224;
constexpr int kInceptionSide = 299;
constexpr const char* kWeightsName = "weights.safetensors";
constexpr const char* kJsonName = "model.json";

/// What is the same for all releases of an architecture.
struct Release {
  std::string_view architecture;
  std::string_view classifier;  ///< its last layer; its inputs are the feature
  int dim;                      ///< of the feature, without a classifier
  int side;                     ///< pixels
  Preprocessing preprocessing;  ///< of the PyTorch release
  Preprocessing keras_preprocessing;
  double epsilon;  ///< of the batch norms in the PyTorch release
  double keras_epsilon;
};

// Epsilons and sizes: torchvision 0.14.1, timm 0.9, Keras 2.15.
constexpr auto kTorch = Preprocessing::kTorch;
constexpr auto kInception = Preprocessing::kInception;
constexpr auto kCaffe = Preprocessing::kCaffe;
constexpr std::array kReleases = {
    Release{"alexnet", "classifier.6", 4096, kSide, kTorch, kTorch, 1e-5, 1e-3},
    Release{"densenet121", "classifier", 1024, kSide, kTorch, kTorch, 1e-5,
            1.001e-5},
    Release{"efficientnet_b0", "classifier.1", 1280, kSide, kTorch, kTorch,
            1e-5, 1e-3},
    Release{"googlenet", "fc", 1024, kSide, kInception, kInception, 1e-3, 1e-3},
    Release{"inception_v3", "fc", 2048, kInceptionSide, kInception, kInception,
            1e-3, 1e-3},
    Release{"mobilenet_v1", "fc", 1024, kSide, kInception, kInception, 1e-5,
            1e-3},
    Release{"mobilenet_v2", "classifier.1", 1280, kSide, kTorch, kInception,
            1e-5, 1e-3},
    Release{"resnet101", "fc", 2048, kSide, kTorch, kCaffe, 1e-5, 1.001e-5},
    Release{"resnet152", "fc", 2048, kSide, kTorch, kCaffe, 1e-5, 1.001e-5},
    Release{"resnet18", "fc", 512, kSide, kTorch, kCaffe, 1e-5, 1.001e-5},
    Release{"resnet34", "fc", 512, kSide, kTorch, kCaffe, 1e-5, 1.001e-5},
    Release{"resnet50", "fc", 2048, kSide, kTorch, kCaffe, 1e-5, 1.001e-5},
    Release{"squeezenet1_0", "classifier.1", 512, kSide, kTorch, kTorch, 1e-5,
            1e-3},
    Release{"squeezenet1_1", "classifier.1", 512, kSide, kTorch, kTorch, 1e-5,
            1e-3},
    Release{"vgg16", "classifier.6", 4096, kSide, kTorch, kCaffe, 1e-5, 1e-3},
    Release{"vgg16_bn", "classifier.6", 4096, kSide, kTorch, kCaffe, 1e-5,
            1e-3},
    Release{"vgg19", "classifier.6", 4096, kSide, kTorch, kCaffe, 1e-5, 1e-3},
    Release{"vgg19_bn", "classifier.6", 4096, kSide, kTorch, kCaffe, 1e-5,
            1e-3},
    Release{"xception", "fc", 2048, kInceptionSide, kInception, kInception,
            1e-5, 1e-3},
};

Result<Release> find_release(const std::string& architecture) {
  const auto* const release = std::find_if(
      kReleases.begin(), kReleases.end(),
      [&](const Release& r) { return r.architecture == architecture; });
  if (release != kReleases.end()) return *release;
  return unsupported(
      fmt::format("no release of architecture {} is known; known are {}",
                  architecture, fmt::join(importable_architectures(), ", ")));
}

json preprocessing_json(Preprocessing preprocessing) {
  switch (preprocessing) {
    case Preprocessing::kTorch:
      return {{"channels", "rgb"},
              {"scale", 1.0 / 255},
              {"mean", {123.675, 116.28, 103.53}},
              {"std", {0.229, 0.224, 0.225}}};
    case Preprocessing::kInception:
      return {{"channels", "rgb"},
              {"scale", 1.0 / 127.5},
              {"mean", {127.5, 127.5, 127.5}},
              {"std", {1, 1, 1}}};
    case Preprocessing::kCaffe:
      break;
  }
  return {{"channels", "bgr"},
          {"scale", 1},
          {"mean", {103.939, 116.779, 123.68}},
          {"std", {1, 1, 1}}};
}

/// A side of a tensor; 0 where there is none.
std::int64_t side_of(const StoredTensors& tensors, const std::string& name,
                     std::size_t axis) {
  const auto place = tensors.find(name);
  if (place == tensors.end() || place->second.shape.size() <= axis) return 0;
  return place->second.shape[axis];
}

bool has_batch_norm(const StoredTensors& tensors) {
  constexpr std::string_view kEnd = ".running_var";
  return std::any_of(tensors.begin(), tensors.end(), [&](const auto& entry) {
    const std::string& name = entry.first;
    return name.size() > kEnd.size() &&
           name.compare(name.size() - kEnd.size(), kEnd.size(), kEnd) == 0;
  });
}

/// A MobileNet's width, from the channels that its first layer gives.
void add_width(const std::string& architecture, const StoredTensors& tensors,
               json& variant) {
  constexpr double kLastV1 = 1024;
  constexpr double kLastV2 = 320;  // before the layer that stays at 1,280
  std::int64_t channels = 0;
  double base = kLastV1;
  if (architecture == "mobilenet_v1") {
    channels = side_of(tensors, "pw12.weight", 0);
  } else if (architecture == "mobilenet_v2") {
    channels = side_of(tensors, "features.17.conv.2.weight", 0);
    base = kLastV2;
  }
  if (channels > 0) variant["width"] = static_cast<double>(channels) / base;
}

/// The switches of an architecture that Keras's releases need.
void add_keras_switches(const std::string& architecture, json& variant) {
  if (architecture == "mobilenet_v1" || architecture == "mobilenet_v2" ||
      architecture == "xception") {
    variant["padding"] = "tf_same";
  } else if (architecture == "inception_v3") {
    variant["count_padding"] = false;
  } else if (architecture == "resnet50" || architecture == "resnet101" ||
             architecture == "resnet152") {
    variant["stride_in_1x1"] = true;
  }
}

json make_variant(const Release& release, const WeightsFile& file,
                  const StoredTensors& tensors) {
  const std::string architecture(release.architecture);
  const bool is_keras = file.layout() == WeightsLayout::kKeras;
  json variant = {
      {"classes",
       side_of(tensors, std::string(release.classifier) + ".weight", 0)}};
  if (has_batch_norm(tensors)) {
    // ResNet50 of 2015 had Keras's usual epsilon.
    const bool is_of_2015 = file.tensors().count("bn_conv1/0") != 0;
    variant["batch_norm_epsilon"] = !is_keras    ? release.epsilon
                                    : is_of_2015 ? 1e-3
                                                 : release.keras_epsilon;
  }
  add_width(architecture, tensors, variant);
  if (is_keras) add_keras_switches(architecture, variant);
  return variant;
}

json make_model_json(const Release& release, const WeightsFile& file,
                     const StoredTensors& tensors,
                     const ImportOptions& options) {
  constexpr int kTensorFlowClasses = 1001;  // the first is the background
  const bool is_keras = file.layout() == WeightsLayout::kKeras;
  const json variant = make_variant(release, file, tensors);
  const std::int64_t inputs =
      side_of(tensors, std::string(release.classifier) + ".weight", 1);
  const std::int64_t last = side_of(tensors, "pw12.weight", 0);
  json input = preprocessing_json(options.preprocessing.value_or(
      is_keras ? release.keras_preprocessing : release.preprocessing));
  input["width"] = release.side;
  input["height"] = release.side;
  input["formula"] = "(value - mean) * scale / std, per channel, values 0..255";
  return {{"name", options.name},
          {"architecture", release.architecture},
          {"variant", variant},
          {"weights", kWeightsName},
          {"input", input},
          {"feature",
           {{"layer", "before the classifier"},
            {"dim", inputs > 0 ? inputs
                    : last > 0 ? last
                               : release.dim}}},
          {"class_offset", variant["classes"] == kTensorFlowClasses ? 1 : 0},
          {"source", options.source},
          {"licence", options.licence}};
}

/// @return number of values written
Result<std::uint64_t> write_weights(const fs::path& path,
                                    const StoredTensors& tensors,
                                    const std::string& source) {
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> to_write;
  std::uint64_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    auto read = read_values(tensor);
    if (!read) return read.error().within("tensor " + name);
    values.push_back(std::move(read).value());
    count += values.back().size();
    to_write.push_back({name, tensor.shape, values.back().data()});
  }
  SHOAL_TRY(write_safetensors(path, to_write, {{"source", source}}));
  return count;
}

/// A folder being made beside its final place, removed unless it gets there.
/// Owner-thread.
class Staging {
 public:
  static Result<Staging> create(const fs::path& target) {
    std::string name =
        (target.parent_path() /
         ("." + target.filename().string() + ".importing-XXXXXX"))
            .string();
    if (::mkdtemp(name.data()) == nullptr) {
      return errno_error("create " + name, errno);
    }
    Staging staging{fs::path(name)};
    // mkdtemp's folders are closed to everyone else.
    std::error_code error;
    fs::permissions(name, fs::perms(0755), error);
    if (error) return io_error("open up " + name + ": " + error.message());
    return staging;
  }
  Staging(Staging&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Staging& operator=(Staging&&) = delete;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() {
    if (path_.empty()) return;
    std::error_code ignored;  // Nothing useful can be done in a destructor.
    fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Puts the folder at `target`. What was there takes the staging name and
  /// goes with it.
  Result<void> publish(const fs::path& target, bool replace) {
    std::error_code error;
    const fs::path old = path_.string() + ".old";
    if (replace && fs::exists(target, error)) {
      fs::rename(target, old, error);
      if (error) return io_error("move away " + target.string());
    }
    fs::rename(path_, target, error);
    if (error) {
      std::error_code ignored;  // Back to where it was, as far as can be.
      fs::rename(old, target, ignored);
      return io_error("rename " + path_.string() + " to " + target.string() +
                      ": " + error.message());
    }
    path_ = old;  // removed, if it is there, at the end
    return ok();
  }

 private:
  explicit Staging(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

Result<fs::path> find_target(const fs::path& models,
                             const ImportOptions& options) {
  if (options.name.empty() || options.name.front() == '.' ||
      options.name.find('/') != std::string::npos) {
    return invalid_argument("name \"" + options.name +
                            "\" is not one of a model folder: it must not "
                            "begin with a dot or hold a slash");
  }
  std::error_code error;
  fs::create_directories(models, error);
  if (error) return io_error(models.string() + ": " + error.message());
  fs::path target = models / options.name;
  if (!options.force && fs::exists(fs::symlink_status(target, error))) {
    return already_exists(target.string() +
                          " is there already; --force replaces it, --name "
                          "gives another name");
  }
  return target;
}

/// What is in a folder but for its model.json.
struct Converted {
  std::string model_json;
  std::uint64_t parameters = 0;
};

/// Writes the weights into `folder`. The file is closed at the end: the net
/// will need the memory.
Result<Converted> convert(const fs::path& file, const Release& release,
                          const fs::path& folder,
                          const ImportOptions& options) {
  SHOAL_TRY(weights, WeightsFile::open(file));
  const auto named = weights->tensors_for(std::string(release.architecture));
  if (!named) return named.error().within(file.string());
  const auto parameters =
      write_weights(folder / kWeightsName, named.value(), options.source);
  if (!parameters) return parameters.error().within(file.string());
  const json model = make_model_json(release, *weights, named.value(), options);
  return Converted{model.dump(2) + "\n", parameters.value()};
}

/// Builds the net and runs it on an image.
Result<void> check_fit(const fs::path& file, const ModelFolder& model) {
  DeviceOptions cpu;
  cpu.device = "cpu";
  const auto view = make_cnn_view(model, cpu);
  if (view) return ok();
  return view.error().within(file.string() + " does not fit architecture " +
                             model.architecture);
}

/// As import_weights, all options being set.
Result<ImportedModel> import_as(const fs::path& file, const Release& release,
                                const fs::path& models,
                                const ImportOptions& options) {
  SHOAL_TRY(target, find_target(models, options));
  SHOAL_TRY(staging, Staging::create(target));
  SHOAL_TRY(converted, convert(file, release, staging.path(), options));
  SHOAL_TRY(model, parse_model_json(converted.model_json, staging.path()));
  SHOAL_TRY(check_fit(file, model));
  // Last, because a folder counts as a model's once it has this file.
  SHOAL_TRY(
      write_file_atomically(staging.path() / kJsonName, converted.model_json));
  SHOAL_TRY(staging.publish(target, options.force));
  SHOAL_TRY(published, read_model_folder(target));
  return ImportedModel{std::move(published), converted.parameters};
}

}  // namespace

Result<Preprocessing> parse_preprocessing(std::string_view name) {
  if (name == "torch") return Preprocessing::kTorch;
  if (name == "inception") return Preprocessing::kInception;
  if (name == "caffe") return Preprocessing::kCaffe;
  return invalid_argument("preprocessing is " + std::string(name) +
                          "; expected torch, inception or caffe");
}

std::vector<std::string_view> importable_architectures() {
  std::vector<std::string_view> names;
  for (const Release& release : kReleases)
    names.push_back(release.architecture);
  return names;
}

Result<ImportedModel> import_weights(const fs::path& file,
                                     const std::string& architecture,
                                     const fs::path& models,
                                     const ImportOptions& options) {
  SHOAL_TRY(release, find_release(architecture));
  ImportOptions complete = options;
  if (complete.name.empty()) complete.name = architecture;
  if (complete.source.empty()) complete.source = file.filename().string();
  if (complete.licence.empty()) complete.licence = "not stated";
  return import_as(file, release, models, complete);
}

}  // namespace shoal
