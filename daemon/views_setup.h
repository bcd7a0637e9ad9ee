#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "config/config.h"
#include "daemon/book/cluster_book.h"
#include "engine/views/extractor.h"
#include "engine/views/view.h"
#include "store/store.h"

namespace shoal {

/// The views a configuration asks for. `rp_pca` is among `names` but not in
/// `views` until its basis has been learned from images.
struct ViewSet {
  std::vector<std::unique_ptr<View>> views;
  bool needs_pca = false;  ///< rp_pca is asked for and has no basis yet
};

/// Makes the configured views: those of views.use (handcrafted names, rp_pca,
/// or folders of views.models by name), or else every folder of views.models,
/// or else hog, gabor and color.
/// Errors: everything that is wrong with a name or a model folder, with what
/// to do; several in one message.
Result<ViewSet> make_views(const ViewsConfig& config,
                           const std::filesystem::path& data_dir);

/// Learns the basis of rp_pca from the first `count` images of the store that
/// decode, and keeps it in the data folder: the view never changes again.
/// Errors: kFailedPrecondition while the store has fewer.
Result<std::unique_ptr<View>> learn_raw_pixel_pca(
    const Store& store, int count, const ImageLimits& limits,
    const std::filesystem::path& data_dir);

/// Registers the extractor's views in the store.
Result<std::vector<ActiveView>> open_views(Store& store,
                                           const Extractor& extractor);

}  // namespace shoal
