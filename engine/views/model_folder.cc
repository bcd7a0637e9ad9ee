#include "engine/views/model_folder.h"

#include <algorithm>
#include <optional>
#include <system_error>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "engine/views/internal/object_reader.h"

namespace shoal {
namespace {

using internal::ObjectReader;
using internal::shown;
using nlohmann::json;

constexpr std::uint64_t kMaxJsonBytes = 1 << 20;
constexpr std::size_t kMaxNameBytes = 64;
constexpr int kMaxSide = 4096;
constexpr int kMaxDim = 1 << 20;
constexpr std::string_view kFileName = "model.json";
constexpr std::string_view kChannelOrders = "\"rgb\" or \"bgr\"";

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") ==
             std::string_view::npos;
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

Result<ModelFolder> parse(std::string_view text,
                          const std::filesystem::path& folder) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return invalid_argument("it is not a JSON object");
  ModelFolder model;
  model.folder = folder;

  ObjectReader top(root, "");
  model.name = top.text("name", std::nullopt);
  if (!is_name(model.name)) {
    top.fail("name", shown(model.name), "1 to 64 characters of a-z 0-9 _ . -");
  }
  model.architecture = top.text("architecture", std::nullopt);
  const std::string weights =
      top.text("weights", std::nullopt, "a file name in the folder");
  if (!is_plain_file_name(weights)) {
    top.fail("weights", shown(weights), "a file name in the folder");
  }
  model.weights = std::filesystem::absolute(folder) / weights;
  model.class_offset = top.integer("class_offset", 0, 0, 1000);
  model.source = top.text("source", std::nullopt);
  model.licence = top.text("licence", std::nullopt);
  if (root.contains("variant")) {
    const json& variant = root["variant"];
    if (!variant.is_object()) top.fail("variant", shown(variant), "an object");
    model.variant =
        variant.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  const json& input = top.object("input");
  const json& feature = top.object("feature");
  SHOAL_TRY(top.finish());

  ObjectReader in(input, "input.");
  model.input_width = in.integer("width", std::nullopt, 1, kMaxSide);
  model.input_height = in.integer("height", std::nullopt, 1, kMaxSide);
  const std::string channels =
      in.text("channels", std::nullopt, kChannelOrders);
  if (channels != "rgb" && channels != "bgr") {
    in.fail("channels", shown(channels), kChannelOrders);
  }
  model.bgr = channels == "bgr";
  model.scale = in.positive("scale", std::nullopt);
  model.mean = in.three("mean", false);
  model.std = in.three("std", true);
  in.ignore("formula");
  in.refuse_unknown_keys();
  SHOAL_TRY(in.finish());

  ObjectReader out(feature, "feature.");
  model.feature_dim = out.integer("dim", std::nullopt, 1, kMaxDim);
  out.ignore("layer");
  out.refuse_unknown_keys();
  SHOAL_TRY(out.finish());
  return model;
}

}  // namespace

Result<ModelFolder> parse_model_json(std::string_view text,
                                     const std::filesystem::path& folder) {
  auto model = parse(text, folder);
  if (!model) return model.error().within((folder / kFileName).string());
  return model;
}

Result<ModelFolder> read_model_folder(const std::filesystem::path& folder) {
  SHOAL_TRY(text, read_file(folder / kFileName, kMaxJsonBytes));
  SHOAL_TRY(model, parse_model_json(text, folder));
  std::error_code error;
  if (!std::filesystem::is_regular_file(model.weights, error)) {
    return not_found(fmt::format("{}: weights is {}, which is not a file",
                                 (folder / kFileName).string(),
                                 model.weights.string()));
  }
  return std::move(model);
}

Result<std::vector<std::filesystem::path>> list_model_folders(
    const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    return not_found("no folder " + folder.string());
  }
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return io_error(folder.string() + ": " + error.message());
  std::vector<std::filesystem::path> found;
  for (; entries != std::filesystem::directory_iterator();
       entries.increment(error)) {
    std::error_code absent;
    if (std::filesystem::is_regular_file(entries->path() / kFileName, absent)) {
      found.push_back(entries->path());
    }
  }
  if (error) return io_error(folder.string() + ": " + error.message());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace shoal
