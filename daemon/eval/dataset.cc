#include "daemon/eval/dataset.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <system_error>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "common/sha256.h"
#include "daemon/eval/csv.h"
#include "daemon/eval/idx.h"

namespace shoal::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxFileBytes = 512ULL << 20;
constexpr std::uint64_t kMaxCsvBytes = 1ULL << 30;
constexpr std::string_view kLayouts =
    "a dataset is a folder with one folder per class, a folder with "
    "X-images-idx3-ubyte and X-labels-idx1-ubyte (plain or .gz), or a CSV "
    "file of path,label";

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

class Files final : public ImageSource {
 public:
  Files(std::vector<fs::path> paths, const ImageLimits& limits)
      : paths_(std::move(paths)), limits_(limits) {}

  [[nodiscard]] ImageResult<SizedImage> at_sizes(
      std::size_t index,
      const std::vector<std::pair<int, int>>& sizes) const override {
    SHOAL_TRY(bytes, bytes_of(index));
    return decode_at_sizes(bytes, limits_, sizes);
  }
  [[nodiscard]] ImageResult<Image> image(std::size_t index) const override {
    SHOAL_TRY(bytes, bytes_of(index));
    return decode_image(bytes, limits_);
  }
  [[nodiscard]] std::string fingerprint(std::size_t index) const override {
    struct stat file {};
    if (::stat(paths_[index].c_str(), &file) != 0) return "absent";
    return fmt::format("{} {}.{:09}", file.st_size, file.st_mtim.tv_sec,
                       file.st_mtim.tv_nsec);
  }

 private:
  [[nodiscard]] ImageResult<std::string> bytes_of(std::size_t index) const {
    auto bytes = read_file(paths_[index], kMaxFileBytes);
    if (bytes) return std::move(bytes).value();
    return ImageError{ImageProblem::kBroken, bytes.error().message};
  }

  std::vector<fs::path> paths_;
  ImageLimits limits_;
};

class IdxPixels final : public ImageSource {
 public:
  explicit IdxPixels(std::vector<IdxImages> pairs) : pairs_(std::move(pairs)) {}

  [[nodiscard]] ImageResult<SizedImage> at_sizes(
      std::size_t index,
      const std::vector<std::pair<int, int>>& sizes) const override {
    SHOAL_TRY(full, image(index));
    SizedImage sized;
    for (const auto& [width, height] : sizes) {
      sized.push_back(
          std::make_shared<const Image>(resize_image(full, width, height)));
    }
    return sized;
  }
  [[nodiscard]] ImageResult<Image> image(std::size_t index) const override {
    const auto [pair, pixels] = pixels_of(index);
    Image image;
    image.width = pair->width;
    image.height = pair->height;
    image.rgb.reserve(pixels.size() * 3);
    for (const char value : pixels) {
      image.rgb.insert(image.rgb.end(), 3, static_cast<std::uint8_t>(value));
    }
    return image;
  }
  [[nodiscard]] std::string fingerprint(std::size_t index) const override {
    return to_hex(sha256(pixels_of(index).second));
  }

 private:
  [[nodiscard]] std::pair<const IdxImages*, std::string_view> pixels_of(
      std::size_t index) const {
    auto pair = pairs_.begin();
    while (index >= pair->labels.size()) {
      index -= pair->labels.size();
      ++pair;
    }
    const std::size_t count = static_cast<std::size_t>(pair->width) *
                              static_cast<std::size_t>(pair->height);
    return {&*pair,
            std::string_view(pair->pixels).substr(index * count, count)};
  }

  std::vector<IdxImages> pairs_;
};

std::optional<long> as_number(std::string_view text) {
  long value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

/// The distinct names in order: by value when all are numbers.
std::vector<std::string> ordered_classes(const std::set<std::string>& names) {
  std::vector<std::string> classes(names.begin(), names.end());
  const bool numbers =
      std::all_of(classes.begin(), classes.end(),
                  [](const std::string& name) { return as_number(name); });
  if (numbers) {
    std::stable_sort(classes.begin(), classes.end(),
                     [](const std::string& a, const std::string& b) {
                       return *as_number(a) < *as_number(b);
                     });
  }
  return classes;
}

/// What stands in a folder, in the order of names.
struct Listing {
  std::vector<fs::path> files;
  std::vector<fs::path> folders;
};

Result<Listing> list_folder(const fs::path& folder) {
  Listing listing;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.filename().string().front() == '.') continue;
    if (entry->is_directory()) {
      listing.folders.push_back(path);
    } else if (entry->is_regular_file()) {
      listing.files.push_back(path);
    }
  }
  if (error) {
    return io_error("list " + folder.string() + ": " + error.message());
  }
  std::sort(listing.files.begin(), listing.files.end());
  std::sort(listing.folders.begin(), listing.folders.end());
  return listing;
}

constexpr std::array<std::string_view, 2> kImagesEnds = {
    "-images-idx3-ubyte", "-images-idx3-ubyte.gz"};

bool is_idx_images(const fs::path& path) {
  const std::string name = path.filename().string();
  return std::any_of(
      kImagesEnds.begin(), kImagesEnds.end(),
      [&](std::string_view end) { return ends_with(name, end); });
}

/// Name of an IDX pair: what stands before "-images-idx3-ubyte".
std::string idx_stem(const fs::path& images) {
  const std::string name = images.filename().string();
  return name.substr(0, name.rfind(kImagesEnds.front()));
}

/// The labels file that goes with an images file.
Result<fs::path> idx_labels(const fs::path& images) {
  const fs::path plain =
      images.parent_path() / (idx_stem(images) + "-labels-idx1-ubyte");
  for (const fs::path& path : {plain, fs::path(plain.string() + ".gz")}) {
    if (fs::exists(path)) return path;
  }
  return not_found("no file " + plain.string() + " (or .gz) beside " +
                   images.string());
}

struct FileList {
  std::vector<std::string> names;
  std::vector<std::string> class_names;
  std::vector<fs::path> paths;
};

Result<FileList> list_classes(const std::vector<fs::path>& folders) {
  FileList list;
  for (const fs::path& folder : folders) {
    SHOAL_TRY(listing, list_folder(folder));
    const std::string name = folder.filename().string();
    for (const fs::path& file : listing.files) {
      list.names.push_back(name + "/" + file.filename().string());
      list.class_names.push_back(name);
      list.paths.push_back(file);
    }
  }
  return list;
}

Result<FileList> list_csv(const fs::path& csv) {
  SHOAL_TRY(text, read_file(csv, kMaxCsvBytes));
  auto records = parse_csv(text);
  if (!records) return records.error().within(csv.string());
  FileList list;
  for (std::vector<std::string>& record : records.value()) {
    if (record.size() != 2) {
      return corruption(
          fmt::format("{}: a record of {} fields; path,label is "
                      "expected: {}",
                      csv.string(), record.size(), fmt::join(record, ",")));
    }
    const bool header =
        list.names.empty() && record[0] == "path" && record[1] == "label";
    if (header) continue;
    list.paths.push_back(csv.parent_path() / record[0]);
    list.names.push_back(std::move(record[0]));
    list.class_names.push_back(std::move(record[1]));
  }
  return list;
}

}  // namespace

/// A dataset before classes are numbered and a part of it is chosen.
struct Dataset::Parts {
  std::vector<std::string> names;
  std::vector<std::string> class_names;  ///< of each item
  std::shared_ptr<const ImageSource> source;
};

Result<Dataset::Parts> Dataset::open_parts(const fs::path& path,
                                           const ImageLimits& limits) {
  const auto from_files = [&](FileList list) {
    return Parts{std::move(list.names), std::move(list.class_names),
                 std::make_shared<Files>(std::move(list.paths), limits)};
  };
  const auto from_idx =
      [](const std::vector<fs::path>& images) -> Result<Parts> {
    Parts parts;
    std::vector<IdxImages> pairs;
    for (const fs::path& file : images) {
      SHOAL_TRY(labels, idx_labels(file));
      SHOAL_TRY(pair, read_idx_pair(file, labels));
      for (std::size_t i = 0; i < pair.labels.size(); ++i) {
        parts.names.push_back(fmt::format("{}/{:06}", idx_stem(file), i));
        parts.class_names.push_back(std::to_string(pair.labels[i]));
      }
      pairs.push_back(std::move(pair));
    }
    parts.source = std::make_shared<IdxPixels>(std::move(pairs));
    return parts;
  };

  if (!fs::exists(path)) return not_found("no folder or file " + path.string());
  if (!fs::is_directory(path)) {
    if (is_idx_images(path)) return from_idx({path});
    if (path.extension() == ".csv") {
      SHOAL_TRY(list, list_csv(path));
      return from_files(std::move(list));
    }
    return invalid_argument(
        fmt::format("{} is no dataset: {}", path.string(), kLayouts));
  }
  SHOAL_TRY(listing, list_folder(path));
  std::vector<fs::path> idx;
  std::vector<fs::path> csvs;
  for (const fs::path& file : listing.files) {
    if (is_idx_images(file)) idx.push_back(file);
    if (file.extension() == ".csv") csvs.push_back(file);
  }
  if (!idx.empty()) return from_idx(idx);
  if (!listing.folders.empty()) {
    SHOAL_TRY(list, list_classes(listing.folders));
    return from_files(std::move(list));
  }
  if (csvs.size() == 1) {
    SHOAL_TRY(list, list_csv(csvs.front()));
    return from_files(std::move(list));
  }
  return invalid_argument(
      fmt::format("{} has no folders, no IDX pair and {} CSV files: {}",
                  path.string(), csvs.size(), kLayouts));
}

Result<Dataset> Dataset::open(const fs::path& path, const ImageLimits& limits,
                              std::size_t limit) {
  SHOAL_TRY(parts, open_parts(path, limits));
  if (parts.names.empty()) {
    return invalid_argument(
        fmt::format("{} has no images: {}", path.string(), kLayouts));
  }
  Dataset dataset;
  dataset.name_ = path.has_filename() ? path.stem().string()
                                      : path.parent_path().filename().string();
  dataset.classes_ =
      ordered_classes({parts.class_names.begin(), parts.class_names.end()});
  std::map<std::string, int> label_of;
  for (const std::string& name : dataset.classes_) {
    label_of.emplace(name, static_cast<int>(label_of.size()));
  }
  const std::size_t all = parts.names.size();
  const std::size_t count = limit == 0 ? all : std::min(limit, all);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = i * all / count;
    dataset.places_.push_back(place);
    dataset.items_.push_back(
        {std::move(parts.names[place]), label_of.at(parts.class_names[place])});
  }
  dataset.source_ = std::move(parts.source);
  return dataset;
}

Result<PixelShape> Dataset::pixel_shape() const {
  PixelShape shape;
  std::size_t first = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    const auto image = source_->image(places_[i]);
    if (!image) continue;
    const Image& found = image.value();
    if (shape.width == 0) {
      shape = {found.width, found.height, 1};
      first = i;
    }
    if (found.width != shape.width || found.height != shape.height) {
      return failed_precondition(fmt::format(
          "view pixels needs images of one size; {} has {} x {} pixels and {} "
          "has {} x {}",
          items_[first].name, shape.width, shape.height, items_[i].name,
          found.width, found.height));
    }
    for (std::size_t at = 0; shape.channels == 1 && at < found.rgb.size();
         at += 3) {
      if (found.rgb[at] != found.rgb[at + 1] ||
          found.rgb[at] != found.rgb[at + 2]) {
        shape.channels = 3;
      }
    }
  }
  if (shape.width == 0) return failed_precondition("no image decodes");
  return shape;
}

std::string Dataset::digest() const {
  Sha256 hash;
  for (std::size_t i = 0; i < size(); ++i) {
    hash.update(items_[i].name);
    hash.update(std::string_view("\0", 1));
    hash.update(source_->fingerprint(places_[i]));
    hash.update("\n");
  }
  return to_hex(hash.finish()).substr(0, 16);
}

}  // namespace shoal::eval
