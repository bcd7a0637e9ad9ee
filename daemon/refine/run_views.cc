#include "daemon/refine/run_views.h"

#include <algorithm>

namespace shoal {
namespace {

Result<std::string> key_of(const std::string& setting, const std::string& name,
                           const std::vector<ActiveView>& active) {
  std::string known;
  for (const ActiveView& view : active) {
    if (view.key.name == name) return view.key.text();
    known += (known.empty() ? "" : ", ") + view.key.name;
  }
  return invalid_argument(setting + " names " + name +
                          ", which is not among the views: " + known);
}

}  // namespace

Result<RunViews> choose_run_views(const RefineConfig& config,
                                  const std::vector<ActiveView>& active) {
  RunViews chosen;
  for (const std::string& name : config.views) {
    SHOAL_TRY(key, key_of("refine.views", name, active));
    chosen.keys.push_back(key);
  }
  if (config.views.empty()) {
    for (const ActiveView& view : active) {
      chosen.keys.push_back(view.key.text());
    }
  }
  if (config.transfer_net.empty()) return chosen;
  SHOAL_TRY(net, key_of("refine.transfer_net", config.transfer_net, active));
  const auto at = std::find(chosen.keys.begin(), chosen.keys.end(), net);
  chosen.net = static_cast<std::size_t>(at - chosen.keys.begin());
  if (at == chosen.keys.end()) {
    chosen.cluster_net = false;
    chosen.keys.push_back(net);
  }
  return chosen;
}

}  // namespace shoal
