#include "engine/views/extractor.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <new>

#include "common/check.h"

namespace shoal {
namespace {

/// One call of a view. A view that throws has failed like one that says so.
Result<Matrix> call(View& view, const std::vector<Image>& images) {
  Result<Matrix> features = [&]() -> Result<Matrix> {
    try {
      return view.extract(images);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("no memory for a batch of this size");
    } catch (const std::exception& error) {
      return internal_error(error.what());
    }
  }();
  if (!features) return features;
  const Matrix& values = features.value();
  if (values.rows() != static_cast<Eigen::Index>(images.size()) ||
      values.cols() != view.spec().dim) {
    return internal_error("the view gave features of another shape");
  }
  if (!values.allFinite()) {
    return internal_error("the view gave values that are not finite");
  }
  return features;
}

}  // namespace

Extractor::Extractor(std::vector<std::unique_ptr<View>> views)
    : views_(std::move(views)),
      max_batch_(views_.size(), std::numeric_limits<std::size_t>::max()) {
  for (const auto& view : views_) {
    specs_.push_back(view->spec());
    const std::pair size(specs_.back().input_width, specs_.back().input_height);
    const auto place = std::find(sizes_.begin(), sizes_.end(), size);
    size_of_view_.push_back(static_cast<std::size_t>(place - sizes_.begin()));
    if (place == sizes_.end()) sizes_.push_back(size);
  }
}

Extractor::~Extractor() = default;

std::vector<Extraction> Extractor::extract(
    const std::vector<SizedImage>& images) {
  std::vector<Extraction> results(images.size());
  for (const SizedImage& image : images) {
    SHOAL_CHECK(image.size() == sizes_.size(),
                "an image comes at every input size");
  }
  for (std::size_t view = 0; view < views_.size(); ++view) {
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < images.size(); ++i) {
      if (!results[i].error) wanted.push_back(i);
    }
    run_view(view, images, wanted, results);
  }
  for (Extraction& result : results) {
    if (result.error) {
      result.features.clear();
      ++stats_.failed_images;
    }
  }
  return results;
}

void Extractor::run_view(std::size_t view,
                         const std::vector<SizedImage>& images,
                         const std::vector<std::size_t>& wanted,
                         std::vector<Extraction>& results) {
  std::size_t& max_batch = max_batch_[view];
  // Ranges of `wanted` still to be run, the next one last.
  std::vector<std::pair<std::size_t, std::size_t>> pending;
  if (!wanted.empty()) pending.emplace_back(0, wanted.size());
  const auto split = [&](std::size_t begin, std::size_t middle,
                         std::size_t end) {
    pending.emplace_back(middle, end);
    pending.emplace_back(begin, middle);
  };
  while (!pending.empty()) {
    const auto [begin, end] = pending.back();
    pending.pop_back();
    const std::size_t size = end - begin;
    if (size > max_batch) {
      split(begin, begin + max_batch, end);
      continue;
    }
    std::vector<Image> batch;
    batch.reserve(size);
    for (std::size_t i = begin; i < end; ++i) {
      batch.push_back(*images[wanted[i]][size_of_view_[view]]);
    }
    ++stats_.batches;
    const Result<Matrix> features = call(*views_[view], batch);
    if (features) {
      for (std::size_t i = begin; i < end; ++i) {
        results[wanted[i]].features.emplace_back(
            features.value().row(static_cast<Eigen::Index>(i - begin)));
      }
      continue;
    }
    if (size == 1) {
      results[wanted[begin]].error =
          features.error().within("view " + specs_[view].name);
      continue;
    }
    ++stats_.batch_retries;
    if (features.error().code == ErrorCode::kResourceExhausted) {
      max_batch = size / 2;
    }
    split(begin, begin + size / 2, end);
  }
}

}  // namespace shoal
