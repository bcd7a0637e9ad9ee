#pragma once

#include <random>
#include <vector>

#include "common/matrix.h"
#include "engine/deep/internal/dense.h"

namespace shoal::internal {

/// How the reconstruction's error is counted: DEC's successors differ.
enum class ReconstructionScale {
  kMeanPerValue,  ///< IDEC's code (Keras' mse)
  kSumPerRow,     ///< DCN eq. (4): squared_l2, mean over the rows
};

/// Encoder d-hidden-code and its mirror image: ReLU on hidden layers, linear
/// code and output. Owner-thread.
class Autoencoder {
 public:
  /// @param widths  d, the hidden layers' and the code's
  Autoencoder(const std::vector<int>& widths, std::mt19937_64& random);
  Autoencoder(DenseNet encoder, DenseNet decoder);

  [[nodiscard]] const DenseNet& encoder() const { return encoder_; }
  [[nodiscard]] const DenseNet& decoder() const { return decoder_; }

  /// Mean squared error per value.
  double reconstruction_error(MatrixView batch);
  /// One step of the whole net for reconstruction, a share `noise` of the
  /// input zeroed.
  /// @return the mean squared error per value
  double pretrain(MatrixView batch, double noise, std::mt19937_64& random,
                  const AdamStep& step);
  void reset_moments();

  /// The codes of `batch`, kept for `descend`; valid until the next call.
  const Matrix& begin(MatrixView batch) { return encoder_.forward(batch); }
  /// Finishes what `begin` began: one step along `code_gradient`.
  void descend(MatrixView batch, Matrix code_gradient, const AdamStep& step);
  /// The same with the gradient of the reconstruction's error added.
  /// @return the reconstruction's error
  double descend_reconstructing(MatrixView batch, const Matrix& code_gradient,
                                ReconstructionScale scale,
                                const AdamStep& step);

 private:
  DenseNet encoder_;
  DenseNet decoder_;
  Matrix noisy_;
  Matrix error_;
  Matrix code_gradient_;
};

}  // namespace shoal::internal
