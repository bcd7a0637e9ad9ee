#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "config/config.h"
#include "daemon/book/cluster_book.h"

namespace shoal {

/// What a run reads of the views that the daemon extracts.
struct RunViews {
  std::vector<std::string> keys;   ///< ViewKey::text() each
  std::optional<std::size_t> net;  ///< position in `keys` of the transfer net
  bool cluster_net = true;         ///< it is one of the views to cluster
};

/// The views of refine.views (none: all there are) and refine.transfer_net.
/// Errors: kInvalidArgument naming the setting, the view and those there are.
[[nodiscard]] Result<RunViews> choose_run_views(
    const RefineConfig& config, const std::vector<ActiveView>& active);

}  // namespace shoal
