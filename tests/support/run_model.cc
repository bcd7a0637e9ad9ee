// shoal-run-model FOLDER PIXELS OUT [--precision PRECISION]: runs a model
// folder's net on PIXELS, a file of RGB images (n, h, w, 3) of the net's input
// size, and writes OUT/features.f32 and, where the net has a classifier,
// OUT/logits.f32 (rows of little-endian float32).

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "engine/views/cnn.h"

namespace shoal {
namespace {

Result<std::vector<Image>> read_images(const std::filesystem::path& path,
                                       int width, int height) {
  constexpr std::uint64_t kMaxBytes = 1ULL << 30;
  SHOAL_TRY(bytes, read_file(path, kMaxBytes));
  const std::size_t size =
      static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
  if (bytes.empty() || bytes.size() % size != 0) {
    return invalid_argument(
        fmt::format("{} has {} bytes; expected a multiple of {} x {} x 3",
                    path.string(), bytes.size(), width, height));
  }
  std::vector<Image> images;
  for (std::size_t start = 0; start < bytes.size(); start += size) {
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(start);
    images.push_back(
        {width, height, {first, first + static_cast<std::ptrdiff_t>(size)}});
  }
  return images;
}

Result<void> write_rows(const std::filesystem::path& path, const Matrix& rows) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(rows.data()),
             static_cast<std::streamsize>(
                 rows.size() * static_cast<Eigen::Index>(sizeof(float))));
  if (!file.flush()) return io_error("write " + path.string());
  return ok();
}

Result<void> run(const std::filesystem::path& folder,
                 const std::filesystem::path& pixels,
                 const std::filesystem::path& out, const char* precision) {
  SHOAL_TRY(model, read_model_folder(folder));
  DeviceOptions options;
  if (precision != nullptr) options.precision = precision;
  SHOAL_TRY(view, make_cnn_view(model, options));
  SHOAL_TRY(images, read_images(pixels, model.input_width, model.input_height));
  SHOAL_TRY(features, view->extract(images));
  std::filesystem::create_directories(out);
  SHOAL_TRY(write_rows(out / "features.f32", features));
  const auto logits = cnn_logits(*view, images);
  if (logits) return write_rows(out / "logits.f32", logits.value());
  if (logits.error().code == ErrorCode::kUnsupported) return ok();
  return logits.error();
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  const bool has_precision =
      argc == 6 && std::string_view(argv[4]) == "--precision";
  if (argc != 4 && !has_precision) {
    std::fprintf(stderr,
                 "usage: shoal-run-model FOLDER PIXELS OUT "
                 "[--precision PRECISION]\n");
    return 2;
  }
  const auto done =
      shoal::run(argv[1], argv[2], argv[3], has_precision ? argv[5] : nullptr);
  if (!done) {
    std::fprintf(stderr, "shoal-run-model: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
