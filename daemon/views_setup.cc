#include "daemon/views_setup.h"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "common/log.h"
#include "engine/image/image.h"
#include "engine/views/cnn.h"
#include "engine/views/handcrafted.h"
#include "engine/views/model_folder.h"

namespace shoal {
namespace {

constexpr char kPcaName[] = "rp_pca";
constexpr std::size_t kPage = 1024;

std::filesystem::path pca_file(const std::filesystem::path& data_dir) {
  return data_dir / "views" / "rp_pca.safetensors";
}

bool is_handcrafted(const std::string& name) {
  const auto names = handcrafted_view_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<std::unique_ptr<View>> load_model(const std::filesystem::path& folder,
                                         const DeviceOptions& device) {
  SHOAL_TRY(model, read_model_folder(folder));
  SHOAL_TRY(view, make_cnn_view(model, device));
  if (const auto info = cnn_info(*view)) {
    spdlog::info(
        "event=view_ready view={} executor={} device={} precision={} "
        "threads={} arena_bytes={} reason={}",
        view->spec().name, log_value(info->executor), info->device,
        info->precision, info->threads, info->arena_bytes,
        log_value(info->reason));
  }
  return std::move(view);
}

}  // namespace

Result<ViewSet> make_views(const ViewsConfig& config,
                           const std::filesystem::path& data_dir) {
  DeviceOptions device;
  device.device = config.device;
  device.precision = config.precision;
  std::vector<std::string> names = config.use;
  if (names.empty() && !config.models.empty()) {
    SHOAL_TRY(folders, list_model_folders(config.models));
    if (folders.empty()) {
      return invalid_argument("views.models: " + config.models.string() +
                              " holds no model folder (a folder with a "
                              "model.json)");
    }
    for (const auto& folder : folders) {
      names.push_back(folder.filename().string());
    }
  }
  if (names.empty()) names = {"hog", "gabor", "color"};

  ViewSet set;
  std::string problems;
  for (const std::string& name : names) {
    if (name == kPcaName) {
      if (!std::filesystem::exists(pca_file(data_dir))) {
        set.needs_pca = true;
        continue;
      }
      SHOAL_TRY(view, RawPixelPca::load(pca_file(data_dir)));
      set.views.push_back(std::move(view));
      continue;
    }
    auto view = is_handcrafted(name) ? make_handcrafted_view(name)
                                     : load_model(config.models / name, device);
    if (!is_handcrafted(name) && config.models.empty()) {
      view = not_found(
          "it is no built-in view, and views.models (--models) names no "
          "folder of models");
    }
    if (view) {
      set.views.push_back(std::move(view).value());
    } else {
      problems += (problems.empty() ? "" : "; ") + std::string("view '") +
                  name + "': " + view.error().message;
    }
  }
  if (!problems.empty()) return invalid_argument(problems);
  return set;
}

Result<std::unique_ptr<View>> learn_raw_pixel_pca(
    const Store& store, int count, const ImageLimits& limits,
    const std::filesystem::path& data_dir) {
  const auto wanted = static_cast<std::size_t>(count);
  const auto too_few = [&](std::uint64_t there) {
    return failed_precondition("rp_pca learns its basis from " +
                               std::to_string(wanted) + " images; " +
                               std::to_string(there) + " are there");
  };
  // Asked again whenever images were stored: decode none before there can be
  // enough.
  SHOAL_TRY(totals, store.ingest_totals());
  if (totals.stored < wanted) return too_few(totals.stored);
  std::vector<Image> images;
  for (ImageSeq after; images.size() < wanted;) {
    SHOAL_TRY(page, store.arrivals(after, kPage));
    if (page.empty()) return too_few(images.size());
    for (const ImageSeq seq : page) {
      after = seq;
      if (images.size() == wanted) break;
      SHOAL_TRY(bytes, store.image_bytes(seq));
      const auto sized = decode_at_sizes(
          bytes, limits, {{RawPixelPca::kSide, RawPixelPca::kSide}});
      if (sized) images.push_back(*sized.value().front());
    }
  }
  SHOAL_TRY(view, RawPixelPca::fit(images));
  std::error_code error;
  std::filesystem::create_directories(pca_file(data_dir).parent_path(), error);
  if (error) return io_error("make the views folder: " + error.message());
  SHOAL_TRY(RawPixelPca::save(*view, pca_file(data_dir)));
  // Read back: what the next start will use.
  return RawPixelPca::load(pca_file(data_dir));
}

Result<std::vector<ActiveView>> open_views(Store& store,
                                           const Extractor& extractor) {
  std::vector<ActiveView> views;
  for (const ViewSpec& spec : extractor.specs()) {
    ActiveView view;
    view.key.name = spec.name;
    view.key.weights_hash = spec.weights_hash;
    view.key.preprocessing_hash = spec.preprocessing_hash;
    view.key.dim = static_cast<std::uint32_t>(spec.dim);
    SHOAL_TRY(slot, store.open_view(view.key));
    view.slot = slot;
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace shoal
