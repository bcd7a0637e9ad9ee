#pragma once

#include <string_view>

namespace shoal {

/// config/models.toml as it was when this was built.
[[nodiscard]] std::string_view built_in_manifest();

/// config/imagenet_classes.txt: the 1,000 class names of ILSVRC 2012, one a
/// line, in the order of the classes.
[[nodiscard]] std::string_view imagenet_class_lines();

}  // namespace shoal
