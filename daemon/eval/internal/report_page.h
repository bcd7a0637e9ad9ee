#pragma once

#include <string_view>

namespace shoal::eval::internal {

/// What comes before and after the report's own sections.
[[nodiscard]] std::string_view report_head();
[[nodiscard]] std::string_view report_tail();

}  // namespace shoal::eval::internal
