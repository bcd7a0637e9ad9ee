#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/result.h"
#include "daemon/book/cluster_book.h"
#include "engine/refine/refinement.h"

namespace shoal {

/// One piece of work on the book.
using BookStep = std::function<Result<void>(ClusterBook&)>;

/// Does a step where the book has its owner (shoald: on the label thread) and
/// waits for it. Errors: the step's, and its own when no step is done any more.
using OnBook = std::function<Result<void>(const BookStep&)>;

/// Called between the pieces of a run's staging.
struct StagingControl {
  std::function<Result<void>()> check;         ///< an error ends the staging
  std::function<void(double share)> progress;  ///< of the rows, 0..1
};

/// Writes a run's result beside the current epoch, in pieces small enough for
/// arrivals to go on in between.
/// @param seqs  (n) the image of each row of `candidate`
/// Errors: those of the steps and of `control`; the caller ends the run.
[[nodiscard]] Result<void> stage_candidate(const OnBook& on_book, EpochId run,
                                           const Candidate& candidate,
                                           const std::vector<ImageSeq>& seqs,
                                           const StagingControl& control);

/// Why a person has to look before a run's result is published, or "".
[[nodiscard]] std::string reason_to_hold(const Candidate& candidate);

/// Labels what is missing in the staged epoch, then flips to it or holds it
/// with `reason`.
[[nodiscard]] Result<void> catch_up_and_flip(const OnBook& on_book,
                                             bool publish,
                                             const std::string& reason);

/// After a flip: tells who moved and drops old epochs. The flip stands when
/// this fails; called again, it goes on where it was.
[[nodiscard]] Result<void> settle_after_flip(const OnBook& on_book);

}  // namespace shoal
