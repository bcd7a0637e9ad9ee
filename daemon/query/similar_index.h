#pragma once

#include <cstddef>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "common/ids.h"
#include "common/matrix.h"
#include "common/result.h"
#include "daemon/book/cluster_book.h"

namespace shoal {

struct Neighbour {
  ImageSeq seq;
  float score = 0;  ///< cosine similarity of the embeddings, -1..1
};

/// Exact nearest neighbours among the current epoch's embeddings, held in
/// memory as fp16 (2 bytes a dimension and image). Fed by the label thread as
/// images settle; after a start and after a publish the rest is loaded in the
/// background, so `similar` answers at once from what is there.
///
/// The mutex is the exception to one owner: searches run on query threads
/// beside the label thread's additions, which are short.
/// Thread-safe.
class SimilarIndex : public EmbeddingListener {
 public:
  /// @param max_images  beyond it, the images stored later are not found
  explicit SimilarIndex(std::size_t max_images);
  ~SimilarIndex() override;

  void on_embedding(EpochId epoch, ImageSeq seq,
                    const Eigen::Ref<const Vector>& embedding) override;
  void on_removed(ImageSeq seq) override;
  void on_epoch(EpochId epoch, int dim) override;

  /// The `k` most similar images, best first, `except` left out.
  /// @param embedding  (d) of the current epoch
  /// Errors: kFailedPrecondition while there is no epoch, or when `embedding`
  /// is from another one.
  [[nodiscard]] Result<std::vector<Neighbour>> search(
      const Eigen::Ref<const Vector>& embedding, std::size_t k,
      ImageSeq except) const;

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t left_out() const;

 private:
  struct State;
  std::size_t max_images_;
  mutable std::shared_mutex mutex_;
  std::unique_ptr<State> state_;
};

}  // namespace shoal
