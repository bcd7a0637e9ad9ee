#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "engine/image/image.h"

namespace shoal::eval {

/// One image of a dataset.
struct DatasetItem {
  std::string name;  ///< path below the dataset, or FILE/NUMBER in an IDX pair
  int label = 0;     ///< index of its class in Dataset::classes()
};

/// Width, height and channels that all images of a dataset share.
struct PixelShape {
  int width = 0;     ///< pixels
  int height = 0;    ///< pixels
  int channels = 0;  ///< 1 when every image is grey, else 3
};

/// Where a dataset's images come from: files, or pixels in memory. Immutable,
/// thread-safe.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// Upright images of item `index` at `sizes`.
  [[nodiscard]] virtual ImageResult<SizedImage> at_sizes(
      std::size_t index,
      const std::vector<std::pair<int, int>>& sizes) const = 0;
  /// Item `index` with all its pixels.
  [[nodiscard]] virtual ImageResult<Image> image(std::size_t index) const = 0;
  /// A text that changes when item `index` does.
  [[nodiscard]] virtual std::string fingerprint(std::size_t index) const = 0;
};

/// Labelled images in a fixed order. Opening lists them; whether a file
/// decodes is found when it is read. Immutable, thread-safe.
class Dataset {
 public:
  /// Opens what `path` is:
  ///  - a folder with one folder per class; files whose names begin with a
  ///    dot are passed over, folders inside a class are too,
  ///  - a folder with IDX pairs (X-images-idx3-ubyte and X-labels-idx1-ubyte,
  ///    each plain or .gz), or one such images file; the class is the label,
  ///  - a CSV file of `path,label` (a header line of these two words may
  ///    come first), or a folder with one CSV file and no folders. Paths
  ///    count from the CSV file's folder.
  /// Items are in the order of their names (CSV: of its lines), classes in
  /// that of theirs; labels that are all numbers are ordered by value.
  /// @param limit  takes about every n/limit-th image so that `limit` are
  /// left and all classes keep their share; 0: all
  /// Errors: kNotFound, kIo, kInvalidArgument for a layout that is none of
  /// these or has no image, kCorruption for a broken IDX or CSV file.
  static Result<Dataset> open(const std::filesystem::path& path,
                              const ImageLimits& limits, std::size_t limit);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] const DatasetItem& item(std::size_t index) const {
    return items_[index];
  }
  [[nodiscard]] const std::vector<std::string>& classes() const {
    return classes_;
  }
  [[nodiscard]] ImageResult<SizedImage> at_sizes(
      std::size_t index, const std::vector<std::pair<int, int>>& sizes) const {
    return source_->at_sizes(places_[index], sizes);
  }

  /// What all images that decode have in common; reads every one.
  /// Errors: kFailedPrecondition when two differ in size, or none decodes.
  [[nodiscard]] Result<PixelShape> pixel_shape() const;

  /// 16 hex digits that change with the items: their names and the size and
  /// time of their files, or their pixels.
  [[nodiscard]] std::string digest() const;

 private:
  struct Parts;
  Dataset() = default;
  static Result<Parts> open_parts(const std::filesystem::path& path,
                                  const ImageLimits& limits);

  std::string name_;
  std::vector<DatasetItem> items_;
  std::vector<std::size_t> places_;  ///< of the items in the source
  std::vector<std::string> classes_;
  std::shared_ptr<const ImageSource> source_;
};

}  // namespace shoal::eval
