#include "daemon/eval/views.h"

#include <algorithm>
#include <set>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/check.h"
#include "common/sha256.h"
#include "engine/views/handcrafted.h"
#include "engine/views/model_folder.h"

namespace shoal::eval {
namespace {

constexpr std::string_view kPixels = "pixels";
constexpr std::string_view kRawPixelPca = "rp_pca";
/// Images that the basis of rp_pca is learned from, at most.
constexpr std::size_t kBasisImages = 2000;

class PixelsView final : public View {
 public:
  explicit PixelsView(const PixelShape& shape) : shape_(shape) {
    spec_.name = kPixels;
    spec_.dim = shape.width * shape.height * shape.channels;
    spec_.input_width = shape.width;
    spec_.input_height = shape.height;
    spec_.weights_hash = "none";
    spec_.preprocessing_hash =
        to_hex(sha256(fmt::format("pixels; {} x {} x {}; / 255", shape.width,
                                  shape.height, shape.channels)))
            .substr(0, 16);
  }

  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    Matrix features(static_cast<Eigen::Index>(images.size()), spec_.dim);
    float* target = features.data();
    const std::size_t step = shape_.channels == 1 ? 3 : 1;
    for (const Image& image : images) {
      SHOAL_CHECK(image.width == spec_.input_width &&
                      image.height == spec_.input_height,
                  "images come at the view's input size");
      for (std::size_t i = 0; i < image.rgb.size(); i += step) {
        *target++ = static_cast<float>(image.rgb[i]) / 255;
      }
    }
    return features;
  }

 private:
  PixelShape shape_;
  ViewSpec spec_;
};

/// rp_pca with the basis of the images that decode.
Result<std::unique_ptr<View>> fit_raw_pixel_pca(const Dataset& dataset) {
  const std::size_t count = std::min(kBasisImages, dataset.size());
  std::vector<Image> images;
  for (std::size_t i = 0; i < count; ++i) {
    const auto sized = dataset.at_sizes(
        i * dataset.size() / count, {{RawPixelPca::kSide, RawPixelPca::kSide}});
    if (sized) images.push_back(*sized.value().front());
  }
  return RawPixelPca::fit(images);
}

bool contains(const std::vector<std::string_view>& names,
              std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::unique_ptr<View> make_pixels_view(const PixelShape& shape) {
  return std::make_unique<PixelsView>(shape);
}

Result<std::vector<ViewRequest>> find_views(
    const std::vector<std::string>& names, const std::filesystem::path& models,
    const DeviceOptions& device, const Dataset& dataset) {
  const std::vector<std::string_view> handcrafted = handcrafted_view_names();
  std::vector<std::string> folders;
  if (!models.empty()) {
    SHOAL_TRY(paths, list_model_folders(models));
    for (const auto& path : paths) folders.push_back(path.filename().string());
  }
  std::vector<std::string> wanted = names;
  if (wanted.empty()) {
    wanted.assign(handcrafted.begin(), handcrafted.end());
    wanted.insert(wanted.end(), folders.begin(), folders.end());
  }
  std::vector<ViewRequest> requests;
  std::set<std::string> seen;
  for (const std::string& name : wanted) {
    if (!seen.insert(name).second) {
      return invalid_argument("view " + name + " is asked for twice");
    }
    ViewRequest request;
    request.name = name;
    if (contains(handcrafted, name)) {
      request.light = true;
      request.make = [name] { return make_handcrafted_view(name); };
    } else if (name == kPixels) {
      request.light = true;
      request.make = [&dataset]() -> Result<std::unique_ptr<View>> {
        SHOAL_TRY(shape, dataset.pixel_shape());
        return make_pixels_view(shape);
      };
    } else if (name == kRawPixelPca) {
      request.light = true;
      request.make = [&dataset] { return fit_raw_pixel_pca(dataset); };
    } else if (std::find(folders.begin(), folders.end(), name) !=
               folders.end()) {
      request.net = true;
      request.variant = device.precision;
      request.make = [folder = models / name,
                      device]() -> Result<std::unique_ptr<View>> {
        SHOAL_TRY(model, read_model_folder(folder));
        return make_cnn_view(model, device);
      };
    } else {
      return not_found(fmt::format(
          "no view {}: there are {}, {}, {} and {}", name,
          fmt::join(handcrafted, ", "), kRawPixelPca, kPixels,
          models.empty()    ? "no nets, since --models names no folder"
          : folders.empty() ? "no nets in " + models.string()
                            : fmt::format("{}", fmt::join(folders, ", "))));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace shoal::eval
