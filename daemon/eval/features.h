#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "daemon/eval/dataset.h"
#include "daemon/eval/views.h"

namespace shoal::eval {

struct FeatureOptions {
  /// Where features are kept between runs; empty: nowhere.
  std::filesystem::path cache;
  int threads = 1;  ///< that decode, beside those of the views
  /// Set by another thread to end the work.
  const std::atomic<bool>* stop = nullptr;
  std::ostream* messages = nullptr;  ///< progress and warnings; may be null
  bool terminal = false;             ///< `messages` is one
};

/// The features of a dataset's usable images.
struct FeatureSet {
  std::vector<std::string> views;
  std::vector<Matrix> values;      ///< of each view: (items, its dim)
  std::vector<std::size_t> items;  ///< of the dataset, ascending
  struct Skipped {
    std::string name;
    std::string reason;
  };
  std::vector<Skipped> skipped;  ///< images that some view has no vector of
};

/// Features of every image under every view, by the daemon's own decoding and
/// Extractor. Light views share one pass over the images; the others follow
/// one by one. Images are decoded ahead while a batch is in a view; batches
/// are always the same. With a cache, a view that it has under the same
/// version and dataset is read, and each pass is kept as soon as it ends.
/// Memory: the result, one view, and a few batches and decoded images a
/// thread.
/// Errors: those of making a view; kCancelled when stopped;
/// kFailedPrecondition when no image is usable; kResourceExhausted; kIo.
[[nodiscard]] Result<FeatureSet> extract_features(
    const Dataset& dataset, const std::vector<ViewRequest>& requests,
    const FeatureOptions& options);

/// Writes OUT/features/VIEW.npy for every view. Errors: kIo.
[[nodiscard]] Result<void> write_features(const std::filesystem::path& out,
                                          const FeatureSet& features);

/// Writes OUT/index.csv with the columns row, name, label, class.
/// @param items  of the rows (FeatureSet::items)
/// Errors: kIo.
[[nodiscard]] Result<void> write_index(const std::filesystem::path& out,
                                       const Dataset& dataset,
                                       const std::vector<std::size_t>& items);

}  // namespace shoal::eval
