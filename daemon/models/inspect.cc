#include "daemon/models/inspect.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <sstream>
#include <system_error>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "daemon/models/built_in.h"
#include "engine/views/cnn.h"
#include "engine/views/model_folder.h"
#include "engine/views/safetensors.h"

namespace shoal {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uint64_t kMaxImageBytes = 64 << 20;
constexpr std::uint64_t kMaxJsonBytes = 1 << 20;
constexpr std::size_t kTop = 5;
constexpr Eigen::Index kImageNetClasses = 1000;

DeviceOptions cpu() {
  DeviceOptions options;
  options.device = "cpu";
  return options;
}

/// The remark feature.layer, which ModelFolder does not keep.
json layer_remark(const fs::path& folder) {
  const auto text = read_file(folder / "model.json", kMaxJsonBytes);
  if (!text) return nullptr;
  const json model = json::parse(text.value(), nullptr, false);
  const json::json_pointer layer("/feature/layer");
  return model.contains(layer) ? model.at(layer) : json();
}

/// Numbers as they were written: 0.1, not 0.10000000149.
json plain(float value) { return json::parse(fmt::format("{}", value)); }

json plain(const std::array<float, 3>& values) {
  return {plain(values[0]), plain(values[1]), plain(values[2])};
}

/// Number of values in the weights; null for a TorchScript module.
json parameter_count(const ModelFolder& model) {
  const auto file = SafetensorsFile::open(model.weights);
  if (!file) return nullptr;
  std::int64_t count = 0;
  for (const auto& [name, tensor] : file.value()->tensors()) {
    count += std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                             std::int64_t{1}, std::multiplies<>());
  }
  return count;
}

Result<Image> load_image(const fs::path& path) {
  SHOAL_TRY(bytes, read_file(path, kMaxImageBytes));
  auto image = decode_image(bytes, {});
  if (!image) {
    return invalid_argument(path.string() + ": " + image.error().message);
  }
  return std::move(image).value();
}

/// The highest of one row of logits.
json top_classes(const Vector& logits, int class_offset) {
  static const std::vector<std::string> kNames = imagenet_class_names();
  const Vector shares = (logits.array() - logits.maxCoeff()).exp();
  const float total = shares.sum();
  std::vector<Eigen::Index> order(static_cast<std::size_t>(logits.size()));
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  const std::size_t count = std::min(kTop, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
      order.end(),
      [&](Eigen::Index a, Eigen::Index b) { return logits[a] > logits[b]; });
  const bool is_imagenet = logits.size() - class_offset == kImageNetClasses;
  json top = json::array();
  for (std::size_t i = 0; i < count; ++i) {
    const Eigen::Index number = order[i] - class_offset;
    json name;
    if (is_imagenet && number >= 0) {
      name = kNames[static_cast<std::size_t>(number)];
    } else if (is_imagenet) {
      name = "background";
    }
    top.push_back({{"class", number},
                   {"name", name},
                   {"probability", shares[order[i]] / total}});
  }
  return top;
}

json describe(const ModelFolder& model) {
  return {{"name", model.name},
          {"folder", model.folder.string()},
          {"architecture", model.architecture},
          {"variant", json::parse(model.variant, nullptr, false)},
          {"layer", layer_remark(model.folder)},
          {"dim", model.feature_dim},
          {"width", model.input_width},
          {"height", model.input_height},
          {"channels", model.bgr ? "bgr" : "rgb"},
          {"scale", plain(model.scale)},
          {"mean", plain(model.mean)},
          {"std", plain(model.std)},
          {"parameters", parameter_count(model)},
          {"classes", nullptr},
          {"source", model.source},
          {"licence", model.licence}};
}

/// One image's line; sets `classes` if the net has a classifier.
Result<json> look_at(View& view, const ModelFolder& model,
                     const std::string& name, const Image& image,
                     json& classes) {
  const std::vector<Image> input = {
      resize_image(image, model.input_width, model.input_height)};
  SHOAL_TRY(features, view.extract(input));
  json line = {{"image", name},
               {"feature_norm", features.norm()},
               {"top", json::array()}};
  const auto logits = cnn_logits(view, input);
  if (logits) {
    const Vector row = logits.value().row(0);
    classes = row.size();
    line["top"] = top_classes(row, model.class_offset);
  } else if (logits.error().code != ErrorCode::kUnsupported) {
    return logits.error();
  }
  return line;
}

}  // namespace

std::vector<std::string> imagenet_class_names() {
  std::vector<std::string> names;
  std::istringstream lines{std::string(imagenet_class_lines())};
  for (std::string line; std::getline(lines, line);) {
    names.push_back(std::move(line));
  }
  return names;
}

Image rendered_picture() {
  constexpr int kSide = 256;
  constexpr int kCentre = 128;
  constexpr int kRadius = 70;
  Image image;
  image.width = kSide;
  image.height = kSide;
  image.rgb.reserve(std::size_t{3} * kSide * kSide);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const int dx = x - kCentre;
      const int dy = y - kCentre;
      const bool in_disc = dx * dx + dy * dy < kRadius * kRadius;
      const bool in_stripe = (x / 16 + y / 16) % 2 == 0;
      const auto shade = static_cast<std::uint8_t>((x + y) / 2);
      image.rgb.push_back(in_disc ? 220 : shade);
      image.rgb.push_back(in_disc && in_stripe ? 60 : shade);
      image.rgb.push_back(in_disc ? 40 : static_cast<std::uint8_t>(255 - y));
    }
  }
  return image;
}

json summarize_model(const fs::path& folder) {
  json line = {{"name", folder.filename().string()},
               {"folder", folder.string()},
               {"architecture", nullptr},
               {"dim", nullptr},
               {"width", nullptr},
               {"height", nullptr},
               {"bytes", nullptr},
               {"ok", false},
               {"error", nullptr}};
  const auto model = read_model_folder(folder);
  if (!model) {
    line["error"] = model.error().message;
    return line;
  }
  const ModelFolder& m = model.value();
  line["name"] = m.name;
  line["architecture"] = m.architecture;
  line["dim"] = m.feature_dim;
  line["width"] = m.input_width;
  line["height"] = m.input_height;
  std::error_code error;
  const auto bytes = fs::file_size(m.weights, error);
  if (!error) line["bytes"] = bytes;
  const auto view = make_cnn_view(m, cpu());
  line["ok"] = view.has_value();
  if (!view) line["error"] = view.error().message;
  return line;
}

Result<std::vector<json>> inspect_model(const fs::path& folder,
                                        const std::vector<fs::path>& images) {
  SHOAL_TRY(model, read_model_folder(folder));
  SHOAL_TRY(view, make_cnn_view(model, cpu()));
  std::vector<json> lines = {describe(model)};
  json classes;
  if (images.empty()) {
    SHOAL_TRY(line,
              look_at(*view, model, "rendered", rendered_picture(), classes));
    lines.push_back(std::move(line));
  }
  for (const fs::path& path : images) {
    SHOAL_TRY(image, load_image(path));
    SHOAL_TRY(line, look_at(*view, model, path.string(), image, classes));
    lines.push_back(std::move(line));
  }
  lines.front()["classes"] = std::move(classes);
  return lines;
}

}  // namespace shoal
