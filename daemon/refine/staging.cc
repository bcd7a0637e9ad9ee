#include "daemon/refine/staging.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace shoal {
namespace {

constexpr std::size_t kRowsPerTask = 256;
constexpr std::size_t kImagesPerTask = 512;

/// Row `i` of a candidate whose clusters have the ids `ids`.
StagedRow staged_row(const Candidate& candidate, std::size_t i, ImageSeq seq,
                     const std::vector<ClusterId>& ids) {
  StagedRow row;
  row.seq = seq;
  const int position = candidate.labels[i];
  if (position >= 0) {
    row.label.cluster = ids[static_cast<std::size_t>(position)];
    row.label.state = candidate.confirmed[i] != 0 ? LabelState::kConfirmed
                                                  : LabelState::kAssigned;
  }
  row.label.confidence = candidate.confidences[i];
  row.label.distance = candidate.distances[i];
  row.embedding =
      candidate.embeddings.row(static_cast<Eigen::Index>(i)).transpose();
  return row;
}

/// Does `piece` (ClusterBook& -> Result<bool>, true at the end) until it is at
/// its end.
template <typename Piece>
Result<void> until_done(const OnBook& on_book, const Piece& piece) {
  for (bool done = false; !done;) {
    SHOAL_TRY(on_book([&](ClusterBook& book) -> Result<void> {
      SHOAL_TRY(end, piece(book));
      done = end;
      return ok();
    }));
  }
  return ok();
}

}  // namespace

Result<void> stage_candidate(const OnBook& on_book, EpochId run,
                             const Candidate& candidate,
                             const std::vector<ImageSeq>& seqs,
                             const StagingControl& control) {
  std::vector<ClusterId> ids;
  SHOAL_TRY(on_book([&](ClusterBook& book) -> Result<void> {
    SHOAL_TRY(mapped, book.begin_staging(run, candidate));
    ids = std::move(mapped);
    return ok();
  }));
  const std::size_t n = seqs.size();
  for (std::size_t begin = 0; begin < n; begin += kRowsPerTask) {
    SHOAL_TRY(control.check());
    const std::size_t end = std::min(n, begin + kRowsPerTask);
    std::vector<StagedRow> rows;
    for (std::size_t i = begin; i < end; ++i) {
      rows.push_back(staged_row(candidate, i, seqs[i], ids));
    }
    SHOAL_TRY(on_book([&](ClusterBook& book) { return book.stage(rows); }));
    control.progress(static_cast<double>(end) / static_cast<double>(n));
  }
  return ok();
}

std::string reason_to_hold(const Candidate& candidate) {
  if (candidate.concerns.empty()) return "";
  std::string reason;
  for (const std::string& concern : candidate.concerns) {
    reason += concern + "; ";
  }
  return reason + "look at it, then publish it or leave it";
}

Result<void> catch_up_and_flip(const OnBook& on_book, bool publish,
                               const std::string& reason) {
  SHOAL_TRY(until_done(on_book, [](ClusterBook& book) {
    return book.catch_up(kImagesPerTask);
  }));
  return on_book(
      [&](ClusterBook& book) { return book.finish_staging(publish, reason); });
}

Result<void> settle_after_flip(const OnBook& on_book) {
  SHOAL_TRY(until_done(on_book, [](ClusterBook& book) {
    return book.note_moves(kImagesPerTask);
  }));
  return until_done(on_book,
                    [](ClusterBook& book) { return book.drop_an_old_epoch(); });
}

}  // namespace shoal
