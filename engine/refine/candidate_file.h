#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "engine/refine/refinement.h"

namespace shoal {

/// Writes a run's result and the images it is about (row i is seqs[i]) so that
/// the file is there whole or not at all; a checksum at its end.
[[nodiscard]] Result<void> write_candidate(const std::filesystem::path& file,
                                           const Candidate& candidate,
                                           const std::vector<ImageSeq>& seqs);

struct LoadedCandidate {
  Candidate candidate;
  std::vector<ImageSeq> seqs;
};

/// Errors: kNotFound, kIo, kCorruption (checksum, sizes, labels out of range,
/// values that are not finite).
[[nodiscard]] Result<LoadedCandidate> read_candidate(
    const std::filesystem::path& file);

}  // namespace shoal
