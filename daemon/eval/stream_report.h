#pragma once

#include <filesystem>
#include <string>

#include "common/result.h"
#include "daemon/eval/stream.h"

namespace shoal::eval {

/// Replaces `file` by a JSON list of all rows of `report`: "run", "end" and
/// "orders" by their field `row` (docs/eval.md). Errors: kIo, kStorageFull.
[[nodiscard]] Result<void> write_stream_rows(const std::filesystem::path& file,
                                             const StreamReport& report);

/// Two text tables a stream, the labels after each run and the arrivals before
/// it, then the streams' ends beside the batch result.
[[nodiscard]] std::string stream_table(const StreamReport& report);

}  // namespace shoal::eval
