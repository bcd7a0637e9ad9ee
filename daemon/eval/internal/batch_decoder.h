#pragma once

#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "common/channel.h"
#include "daemon/eval/dataset.h"

namespace shoal::eval::internal {

/// Decodes a dataset in batches on several threads and gives them in order.
/// Thread t makes batches t, t + threads, ... and hands each over through a
/// channel of its own, so that it is never more than one batch ahead.
/// Owner-thread.
class BatchDecoder {
 public:
  struct Batch {
    std::size_t first = 0;  ///< item of the dataset
    std::vector<ImageResult<SizedImage>> images;
  };
  static constexpr std::size_t kBatchImages = 32;

  /// @param dataset  must outlive the decoder
  BatchDecoder(const Dataset& dataset, std::vector<std::pair<int, int>> sizes,
               int threads);
  /// Stops early if need be.
  ~BatchDecoder();
  BatchDecoder(const BatchDecoder&) = delete;
  BatchDecoder& operator=(const BatchDecoder&) = delete;

  [[nodiscard]] std::size_t batches() const { return batches_; }
  /// The next batch; waits for it. To be called batches() times at most.
  Batch next();

 private:
  void decode(std::size_t thread);

  const Dataset& dataset_;
  const std::vector<std::pair<int, int>> sizes_;
  const std::size_t batches_;
  std::size_t taken_ = 0;
  std::vector<std::unique_ptr<Channel<Batch>>> channels_;
  std::vector<std::thread> threads_;
};

}  // namespace shoal::eval::internal
