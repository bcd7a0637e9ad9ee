#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/file.h"
#include "common/ids.h"
#include "common/matrix.h"
#include "common/result.h"
#include "daemon/book/cluster_book.h"
#include "daemon/refine/staging.h"
#include "engine/refine/refinement.h"
#include "store/store.h"

namespace shoal::eval {

/// The daemon's path of an image, from its features on, without sockets and
/// without a child process: a store in a temporary folder, the ClusterBook,
/// and runs that learn as shoal-refine does and are published as by Refinery.
/// Images are counted from 0 in the order in which they arrive. Owner-thread.
class OnlinePath {
 public:
  /// @param views  name and dimension of each
  /// Errors: kInvalidArgument for a name that the store does not take; kIo.
  static Result<std::unique_ptr<OnlinePath>> open(
      const std::vector<EmbeddingInput>& views);
  ~OnlinePath() = default;
  OnlinePath(const OnlinePath&) = delete;
  OnlinePath& operator=(const OnlinePath&) = delete;

  /// Stores the next images and gives them their labels, in batches as the
  /// daemon's extractor makes them.
  /// @param features  per view (m, its dim)
  /// @return (m)
  Result<std::vector<Label>> arrive(const std::vector<Matrix>& features);

  struct Run {
    EpochRecord epoch;  ///< what became of it
    std::string note;   ///< Candidate::note; empty when it failed
  };
  /// Learns from all images and publishes the result. A run that fails is no
  /// error: its epoch says why, and nothing published changes.
  /// Errors: kCancelled when `control` says so; those of the store.
  Result<Run> relearn(const RefinementMethod& method,
                      const RefinementOptions& options,
                      const RunControl& control);

  /// Of all images, as they stand.
  [[nodiscard]] Result<std::vector<Label>> labels() const;
  [[nodiscard]] EpochId epoch() const { return book_->current().id(); }

 private:
  OnlinePath(TemporaryFolder folder, std::unique_ptr<Store> store)
      : folder_(std::move(folder)), store_(std::move(store)) {}

  /// @return the candidate's note
  Result<std::string> learn_and_publish(EpochId run,
                                        const RefinementMethod& method,
                                        const RefinementOptions& options,
                                        const RunControl& control);
  /// Stores the `count` next images. @return the first one's place in seqs_
  Result<std::size_t> put_images(std::size_t count);

  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ClusterBook> book_;
  const OnBook on_book_ = [this](const BookStep& step) { return step(*book_); };
  std::vector<ImageSeq> seqs_;  ///< of the images
};

}  // namespace shoal::eval
