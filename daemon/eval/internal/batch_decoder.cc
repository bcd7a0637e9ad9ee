#include "daemon/eval/internal/batch_decoder.h"

#include <algorithm>
#include <optional>

#include "common/check.h"

namespace shoal::eval::internal {

BatchDecoder::BatchDecoder(const Dataset& dataset,
                           std::vector<std::pair<int, int>> sizes, int threads)
    : dataset_(dataset),
      sizes_(std::move(sizes)),
      batches_((dataset.size() + kBatchImages - 1) / kBatchImages) {
  const std::size_t count =
      std::min(static_cast<std::size_t>(std::max(threads, 1)),
               std::max<std::size_t>(batches_, 1));
  for (std::size_t i = 0; i < count; ++i) {
    channels_.push_back(std::make_unique<Channel<Batch>>(1));
  }
  for (std::size_t i = 0; i < count; ++i) {
    threads_.emplace_back([this, i] { decode(i); });
  }
}

BatchDecoder::~BatchDecoder() {
  for (const auto& channel : channels_) channel->close();
  for (std::thread& thread : threads_) thread.join();
}

BatchDecoder::Batch BatchDecoder::next() {
  std::optional<Batch> batch =
      channels_[taken_++ % channels_.size()]->receive();
  SHOAL_CHECK(batch.has_value(), "next() is called batches() times at most");
  return std::move(*batch);
}

void BatchDecoder::decode(std::size_t thread) {
  for (std::size_t number = thread; number < batches_;
       number += channels_.size()) {
    Batch batch;
    batch.first = number * kBatchImages;
    const std::size_t end =
        std::min(batch.first + kBatchImages, dataset_.size());
    for (std::size_t item = batch.first; item < end; ++item) {
      batch.images.push_back(dataset_.at_sizes(item, sizes_));
    }
    if (!channels_[thread]->send(std::move(batch))) return;
  }
}

}  // namespace shoal::eval::internal
