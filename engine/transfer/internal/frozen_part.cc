#include "engine/transfer/internal/frozen_part.h"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <spdlog/fmt/fmt.h>

#include "engine/transfer/augment.h"
#include "engine/views/internal/aten_graph.h"

namespace shoal::internal {

FrozenPart::FrozenPart(const Graph& graph, std::vector<at::Tensor> parameters,
                       Value end, const PixelTransform& transform,
                       ImageSource images, const NetOptions& options)
    : graph_(graph),
      parameters_(std::move(parameters)),
      end_(end),
      transform_(transform),
      images_(std::move(images)),
      variants_(static_cast<std::size_t>(options.variants)),
      cache_bytes_(options.cache_bytes),
      kept_(images_.rows * variants_) {}

Result<at::Tensor> FrozenPart::run(const std::vector<Form>& forms) {
  std::vector<at::Tensor> values(forms.size());
  std::vector<std::size_t> missing;
  std::vector<Form> missing_forms;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    values[i] = kept(forms[i]);
    if (values[i].defined()) continue;
    missing.push_back(i);
    missing_forms.push_back(forms[i]);
  }
  if (missing.empty()) return at::cat(values);
  SHOAL_TRY(computed, compute(missing_forms));
  for (std::size_t i = 0; i < missing.size(); ++i) {
    values[missing[i]] = computed.narrow(0, static_cast<std::int64_t>(i), 1);
    keep(missing_forms[i], values[missing[i]]);
  }
  return missing.size() == forms.size() ? computed : at::cat(values);
}

at::Tensor& FrozenPart::kept(const Form& form) {
  return kept_[form.row * variants_ + static_cast<std::size_t>(form.variant)];
}

void FrozenPart::keep(const Form& form, const at::Tensor& value) {
  // With nothing frozen there is only the image, which the source has.
  if (end_ == graph_.input() || kept_bytes_ + value.nbytes() > cache_bytes_) {
    return;
  }
  kept_bytes_ += value.nbytes();
  kept(form) = value.clone();
}

Result<at::Tensor> FrozenPart::compute(const std::vector<Form>& forms) {
  // Not InferenceMode: what this gives is trained on.
  const at::NoGradGuard no_grad;
  const at::Tensor pixels =
      at::empty({static_cast<std::int64_t>(forms.size()), transform_.height(),
                 transform_.width(), 3},
                at::kFloat);
  for (std::size_t i = 0; i < forms.size(); ++i) {
    SHOAL_TRY(write_pixels(
        forms[i], pixels[static_cast<std::int64_t>(i)].data_ptr<float>()));
  }
  return run_graph(graph_, graph_.input(), pixels.permute({0, 3, 1, 2}), end_,
                   parameters_);
}

Result<void> FrozenPart::write_pixels(const Form& form, float* out) const {
  SHOAL_TRY(image, images_.read(form.row));
  if (image.width != transform_.width() ||
      image.height != transform_.height()) {
    return invalid_argument(fmt::format(
        "net learner: image {} is {} x {}; the net's input is {} x {}",
        form.row, image.width, image.height, transform_.width(),
        transform_.height()));
  }
  transform_.write(image_variant(image, form.variant),
                   PixelTransform::Layout::kInterleaved, out);
  return ok();
}

}  // namespace shoal::internal
