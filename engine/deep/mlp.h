#pragma once

#include <vector>

#include "common/matrix.h"

namespace shoal {

/// The weights of a plain net of linear layers with ReLU between them (none
/// after the last). Value; the form in which learned nets leave engine/deep.
struct Mlp {
  struct Layer {
    Matrix weight;  ///< (out, in)
    Vector bias;    ///< (out)
  };
  std::vector<Layer> layers;
  bool limit_input = false;  ///< longer rows of the input scaled to length 1
  bool normalise = false;    ///< rows of the output scaled to length 1

  /// (n, in) -> (n, out), in blocks of rows. A row of zeros before `normalise`
  /// stays zero. Without layers the rows pass through. Thread-safe; uses the
  /// process's BLAS threads.
  [[nodiscard]] Matrix run(MatrixView input) const;
};

}  // namespace shoal
