#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/views/view.h"

namespace shoal {

/// What one image's extraction gave.
struct Extraction {
  /// One vector per view, in the extractor's order; empty when failed.
  std::vector<Vector> features;
  /// Why there are none: the first view's error that even a batch of this
  /// image alone could not avoid.
  std::optional<Error> error;
};

/// Counters since construction.
struct ExtractorStats {
  std::uint64_t batches = 0;        ///< View::extract calls
  std::uint64_t batch_retries = 0;  ///< calls repeated with fewer images
  std::uint64_t failed_images = 0;
};

/// Runs all views over a batch of decoded images. A failing batch is halved
/// until the images at fault stand alone: one bad image never takes others
/// with it. A size that failed for lack of memory is not tried again for that
/// view: the next batches are cut to what worked.
/// Thread: owner.
class Extractor {
 public:
  explicit Extractor(std::vector<std::unique_ptr<View>> views);
  ~Extractor();
  Extractor(const Extractor&) = delete;
  Extractor& operator=(const Extractor&) = delete;

  [[nodiscard]] const std::vector<ViewSpec>& specs() const { return specs_; }
  /// The distinct input sizes: a decoder resizes each image once per size.
  [[nodiscard]] const std::vector<std::pair<int, int>>& input_sizes() const {
    return sizes_;
  }
  /// One image at every one of input_sizes(), in that order.
  using SizedImage = std::vector<std::shared_ptr<const Image>>;

  /// @return one Extraction per image, in order
  [[nodiscard]] std::vector<Extraction> extract(
      const std::vector<SizedImage>& images);

  [[nodiscard]] const ExtractorStats& stats() const { return stats_; }

 private:
  /// Adds one view's vector to the results of the images `wanted` (indices),
  /// or the error of those that fail alone.
  void run_view(std::size_t view, const std::vector<SizedImage>& images,
                const std::vector<std::size_t>& wanted,
                std::vector<Extraction>& results);

  std::vector<std::unique_ptr<View>> views_;
  std::vector<ViewSpec> specs_;
  std::vector<std::pair<int, int>> sizes_;
  std::vector<std::size_t> size_of_view_;
  std::vector<std::size_t> max_batch_;
  ExtractorStats stats_;
};

}  // namespace shoal
