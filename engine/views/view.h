#pragma once

#include <string>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/image/image.h"

namespace shoal {

/// What a view is. Two views with equal name, weights_hash and
/// preprocessing_hash give the same vector for the same image, up to the
/// rounding of the precision that it is computed in.
struct ViewSpec {
  std::string name;                ///< [a-z0-9_.-]+, unique in a daemon
  int dim = 0;                     ///< length of the vector
  int input_width = 0;             ///< pixels
  int input_height = 0;            ///< pixels
  std::string weights_hash;        ///< hex; "none" without weights
  std::string preprocessing_hash;  ///< hex
};

/// A function image -> vector (ALGORITHMS section 1; MV paper section 2.3,
/// TL paper section 4.1).
class View {
 public:
  virtual ~View() = default;
  [[nodiscard]] virtual const ViewSpec& spec() const = 0;

  /// @param images  each of the spec's input size (resize_image)
  /// @return (images, dim), all finite
  /// Errors: kResourceExhausted when the device has no memory for a batch of
  /// this size (a smaller one may do), kInternal when the net fails or gives
  /// a value that is not finite.
  /// Thread: one at a time per view.
  [[nodiscard]] virtual Result<Matrix> extract(
      const std::vector<Image>& images) = 0;
};

}  // namespace shoal
