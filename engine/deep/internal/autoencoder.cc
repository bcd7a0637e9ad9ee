#include "engine/deep/internal/autoencoder.h"

#include <cstdint>
#include <utility>

namespace shoal::internal {
namespace {

/// `input` with a share `noise` of its values zeroed; the others keep their
/// size. Eight values a draw: the share is a multiple of 1/256.
void zero_some(MatrixView input, double noise, std::mt19937_64& random,
               Matrix& out) {
  out = input;
  const auto limit = static_cast<std::uint64_t>(noise * 256);
  if (limit == 0) return;
  std::uint64_t bits = 0;
  for (Eigen::Index i = 0; i < out.size(); ++i) {
    bits = i % 8 == 0 ? random() : bits >> 8;
    if ((bits & 255U) < limit) out.data()[i] = 0;
  }
}

/// Turns `output` - `wanted` into the gradient of the squared error's sum
/// times `share`.
/// @return that sum times `share`
double squared_error(const Matrix& output, MatrixView wanted, double share,
                     Matrix& gradient) {
  gradient = output - wanted;
  double sum = 0;
  for (Eigen::Index i = 0; i < gradient.rows(); ++i) {
    sum += gradient.row(i).squaredNorm();
  }
  gradient *= static_cast<float>(2 * share);
  return sum * share;
}

double per_value(MatrixView batch) {
  return 1.0 / static_cast<double>(batch.size());
}

}  // namespace

Autoencoder::Autoencoder(const std::vector<int>& widths,
                         std::mt19937_64& random) {
  const std::size_t depth = widths.size() - 1;
  for (std::size_t i = 0; i < depth; ++i) {
    encoder_.layers.emplace_back(widths[i], widths[i + 1], i + 1 < depth,
                                 random);
  }
  for (std::size_t i = depth; i > 0; --i) {
    decoder_.layers.emplace_back(widths[i], widths[i - 1], i > 1, random);
  }
}

Autoencoder::Autoencoder(DenseNet encoder, DenseNet decoder)
    : encoder_(std::move(encoder)), decoder_(std::move(decoder)) {}

double Autoencoder::reconstruction_error(MatrixView batch) {
  const Matrix& output = decoder_.forward(encoder_.forward(batch));
  return squared_error(output, batch, per_value(batch), error_);
}

double Autoencoder::pretrain(MatrixView batch, double noise,
                             std::mt19937_64& random, const AdamStep& step) {
  zero_some(batch, noise, random, noisy_);
  const Matrix& codes = encoder_.forward(noisy_);
  const Matrix& output = decoder_.forward(codes);
  const double error = squared_error(output, batch, per_value(batch), error_);
  decoder_.backward(codes, error_, &code_gradient_);
  encoder_.backward(noisy_, code_gradient_, nullptr);
  decoder_.update(step);
  encoder_.update(step);
  return error;
}

void Autoencoder::reset_moments() {
  encoder_.reset_moments();
  decoder_.reset_moments();
}

void Autoencoder::descend(MatrixView batch, Matrix code_gradient,
                          const AdamStep& step) {
  encoder_.backward(batch, code_gradient, nullptr);
  encoder_.update(step);
}

double Autoencoder::descend_reconstructing(MatrixView batch,
                                           const Matrix& code_gradient,
                                           ReconstructionScale scale,
                                           const AdamStep& step) {
  const Matrix& codes = encoder_.layers.back().output();
  const Matrix& output = decoder_.forward(codes);
  const double share = scale == ReconstructionScale::kMeanPerValue
                           ? per_value(batch)
                           : 1.0 / static_cast<double>(batch.rows());
  const double error = squared_error(output, batch, share, error_);
  decoder_.backward(codes, error_, &code_gradient_);
  code_gradient_ += code_gradient;
  decoder_.update(step);
  encoder_.backward(batch, code_gradient_, nullptr);
  encoder_.update(step);
  return error;
}

}  // namespace shoal::internal
