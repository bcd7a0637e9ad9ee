#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace shoal::eval {

/// The records of a CSV text (RFC 4180; lines may end with LF alone). Blank
/// lines are passed over.
/// Errors: kCorruption for a quote that is never closed or is followed by
/// text, naming the line.
[[nodiscard]] Result<std::vector<std::vector<std::string>>> parse_csv(
    std::string_view text);

/// `field` quoted where its content needs it.
[[nodiscard]] std::string csv_field(std::string_view field);

}  // namespace shoal::eval
