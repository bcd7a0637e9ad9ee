#pragma once

#include <string_view>
#include <vector>

#include "clients/demo/scene.h"

namespace shoal::demo {

/// A kind of object that can be drawn.
struct Kind {
  std::string_view name;
  /// Paints one specimen: proportions, colours and details vary.
  void (*draw)(Scene& scene, Random& random);
};

/// The 20 kinds, by name.
[[nodiscard]] const std::vector<Kind>& kinds();

}  // namespace shoal::demo
