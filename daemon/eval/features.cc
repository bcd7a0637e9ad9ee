#include "daemon/eval/features.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <new>
#include <optional>
#include <ostream>
#include <system_error>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "daemon/eval/csv.h"
#include "daemon/eval/internal/batch_decoder.h"
#include "daemon/eval/npy.h"
#include "daemon/eval/progress.h"
#include "engine/views/extractor.h"

namespace shoal::eval {
namespace {

namespace fs = std::filesystem;

/// Decoding threads beyond these would wait for views.
constexpr int kMaxDecodeThreads = 16;
constexpr std::uint64_t kMaxNpyHeaderBytes = 1 << 17;

Result<void> make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return io_error("make folder " + folder.string() + ": " + error.message());
  }
  return ok();
}

bool lacks(const Matrix& values, std::size_t item) {
  return values.cols() > 0 &&
         std::isnan(values(static_cast<Eigen::Index>(item), 0));
}

/// One run of extract_features. Owner-thread.
class FeatureRun {
 public:
  FeatureRun(const Dataset& dataset, const std::vector<ViewRequest>& requests,
             const FeatureOptions& options)
      : dataset_(dataset),
        requests_(requests),
        options_(options),
        values_(requests.size()) {}

  Result<FeatureSet> run() {
    if (!options_.cache.empty()) {
      folder_ = options_.cache / dataset_.digest();
      SHOAL_TRY(make_folder(folder_));
    }
    std::vector<std::size_t> light;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i].light) light.push_back(i);
    }
    SHOAL_TRY(pass(light));
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i].light) continue;
      SHOAL_TRY(pass({i}));
    }
    return collect();
  }

 private:
  /// A view of this pass that the cache does not have.
  struct Open {
    std::size_t request = 0;
    fs::path file;  ///< in the cache; empty without one
  };

  [[nodiscard]] bool stopped() const {
    return options_.stop != nullptr && *options_.stop;
  }

  void say(const std::string& message) const {
    if (options_.messages != nullptr) {
      *options_.messages << message << "\n" << std::flush;
    }
  }

  /// Fills values_ of the requests `wanted` from the cache or the images.
  Result<void> pass(const std::vector<std::size_t>& wanted) {
    if (stopped()) return Error{ErrorCode::kCancelled, "stopped"};
    std::vector<Open> open;
    std::vector<std::unique_ptr<View>> views;
    for (const std::size_t request : wanted) {
      auto view = requests_[request].make();
      if (!view) {
        return view.error().within("view " + requests_[request].name);
      }
      const ViewSpec& spec = view.value()->spec();
      const fs::path file = cache_file(requests_[request], spec);
      if (read_cached(file, request, spec.dim)) continue;
      open.push_back({request, file});
      views.push_back(std::move(view).value());
    }
    if (open.empty()) return ok();
    SHOAL_TRY(extract(open, std::move(views)));
    for (const Open& view : open) {
      if (!view.file.empty()) {
        SHOAL_TRY(write_npy(view.file, values_[view.request]));
      }
    }
    return ok();
  }

  [[nodiscard]] fs::path cache_file(const ViewRequest& request,
                                    const ViewSpec& spec) const {
    if (folder_.empty()) return {};
    std::string name =
        request.name + "-" + spec.weights_hash + "-" + spec.preprocessing_hash;
    if (!request.variant.empty()) name += "-" + request.variant;
    return folder_ / (name + ".npy");
  }

  /// False when there is no such file or it is unusable.
  bool read_cached(const fs::path& file, std::size_t request, int dim) {
    if (file.empty()) return false;
    const std::string& name = requests_[request].name;
    auto values = read_npy(file, dataset_.size() * sizeof(float) *
                                         static_cast<std::uint64_t>(dim) +
                                     kMaxNpyHeaderBytes);
    if (!values) {
      if (values.error().code != ErrorCode::kNotFound) {
        say(name + ": extracted again: " + values.error().message);
      }
      return false;
    }
    if (values.value().rows() != static_cast<Eigen::Index>(dataset_.size()) ||
        values.value().cols() != dim) {
      say(name + ": extracted again: " + file.string() + " has another shape");
      return false;
    }
    say(name + ": read from " + file.string());
    values_[request] = std::move(values).value();
    return true;
  }

  Result<void> extract(const std::vector<Open>& open,
                       std::vector<std::unique_ptr<View>> views) {
    std::string names;
    for (std::size_t i = 0; i < open.size(); ++i) {
      names += (i == 0 ? "" : ", ") + requests_[open[i].request].name;
      SHOAL_TRY(reserve(open[i].request, views[i]->spec().dim));
    }
    Extractor extractor(std::move(views));
    internal::BatchDecoder decoder(
        dataset_, extractor.input_sizes(),
        std::min(options_.threads, kMaxDecodeThreads));
    std::optional<Progress> progress;
    if (options_.messages != nullptr) {
      progress.emplace(*options_.messages, options_.terminal, names,
                       dataset_.size(), Progress::Clock::now());
    }
    for (std::size_t i = 0; i < decoder.batches(); ++i) {
      if (stopped()) return Error{ErrorCode::kCancelled, "stopped"};
      internal::BatchDecoder::Batch batch = decoder.next();
      const std::size_t end = batch.first + batch.images.size();
      add(open, extractor, std::move(batch));
      if (progress) progress->update(end, Progress::Clock::now());
    }
    return ok();
  }

  /// Makes room for a view's values, none of them known yet.
  Result<void> reserve(std::size_t request, int dim) {
    try {
      values_[request] =
          Matrix::Constant(static_cast<Eigen::Index>(dataset_.size()), dim,
                           std::numeric_limits<float>::quiet_NaN());
    } catch (const std::bad_alloc&) {
      return resource_exhausted(
          fmt::format("view {}: no memory for {} x {} values; --limit takes "
                      "fewer images",
                      requests_[request].name, dataset_.size(), dim));
    }
    return ok();
  }

  /// Runs a batch through the views into values_.
  void add(const std::vector<Open>& open, Extractor& extractor,
           internal::BatchDecoder::Batch batch) {
    std::vector<std::size_t> items;
    std::vector<SizedImage> images;
    for (std::size_t i = 0; i < batch.images.size(); ++i) {
      auto& image = batch.images[i];
      if (image) {
        items.push_back(batch.first + i);
        images.push_back(std::move(image).value());
      } else {
        reasons_[batch.first + i] = image.error().message;
      }
    }
    const auto extractions = extractor.extract(images);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (extractions[i].error) {
        reasons_[items[i]] = extractions[i].error->message;
        continue;
      }
      for (std::size_t view = 0; view < open.size(); ++view) {
        values_[open[view].request].row(static_cast<Eigen::Index>(items[i])) =
            extractions[i].features[view];
      }
    }
  }

  Result<FeatureSet> collect() {
    FeatureSet set;
    for (const ViewRequest& request : requests_) {
      set.views.push_back(request.name);
    }
    for (std::size_t item = 0; item < dataset_.size(); ++item) {
      const bool usable = std::none_of(
          values_.begin(), values_.end(),
          [&](const Matrix& values) { return lacks(values, item); });
      if (usable) {
        set.items.push_back(item);
      } else {
        set.skipped.push_back({dataset_.item(item).name, reason(item)});
      }
    }
    if (set.items.empty()) {
      return failed_precondition(fmt::format(
          "none of the {} images is usable; {}: {}", dataset_.size(),
          set.skipped.front().name, set.skipped.front().reason));
    }
    set.values = std::move(values_);
    if (set.skipped.empty()) return set;
    for (Matrix& values : set.values) {
      for (std::size_t row = 0; row < set.items.size(); ++row) {
        values.row(static_cast<Eigen::Index>(row)) =
            values.row(static_cast<Eigen::Index>(set.items[row]));
      }
      values.conservativeResize(static_cast<Eigen::Index>(set.items.size()),
                                Eigen::NoChange);
    }
    return set;
  }

  /// Why an image is not usable. The cache knows only that it is not.
  std::string reason(std::size_t item) const {
    const auto known = reasons_.find(item);
    if (known != reasons_.end()) return known->second;
    const auto image = dataset_.at_sizes(item, {{1, 1}});
    return image ? "a view failed on it when its features were cached"
                 : image.error().message;
  }

  const Dataset& dataset_;
  const std::vector<ViewRequest>& requests_;
  const FeatureOptions& options_;
  fs::path folder_;             ///< of this dataset in the cache
  std::vector<Matrix> values_;  ///< of each request; NaN: no vector
  std::map<std::size_t, std::string> reasons_;
};

}  // namespace

Result<FeatureSet> extract_features(const Dataset& dataset,
                                    const std::vector<ViewRequest>& requests,
                                    const FeatureOptions& options) {
  return FeatureRun(dataset, requests, options).run();
}

Result<void> write_features(const fs::path& out, const FeatureSet& features) {
  SHOAL_TRY(make_folder(out / "features"));
  for (std::size_t i = 0; i < features.views.size(); ++i) {
    SHOAL_TRY(write_npy(out / "features" / (features.views[i] + ".npy"),
                        features.values[i]));
  }
  return ok();
}

Result<void> write_index(const fs::path& out, const Dataset& dataset,
                         const std::vector<std::size_t>& items) {
  SHOAL_TRY(make_folder(out));
  std::string index = "row,name,label,class\n";
  for (std::size_t row = 0; row < items.size(); ++row) {
    const DatasetItem& item = dataset.item(items[row]);
    const auto label = static_cast<std::size_t>(item.label);
    index += fmt::format("{},{},{},{}\n", row, csv_field(item.name), item.label,
                         csv_field(dataset.classes()[label]));
  }
  return write_file_atomically(out / "index.csv", index);
}

}  // namespace shoal::eval
