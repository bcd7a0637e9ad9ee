#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "engine/weights/internal/keras_file.h"
#include "engine/weights/stored_tensor.h"

namespace shoal::internal {

/// The weights of keras.applications under the names and in the axes that
/// `architecture` wants: kernels (h, w, in, out) -> (out, in, h, w), depthwise
/// (h, w, c, 1) -> (c, 1, h, w), dense (in, out) -> (out, in). A batch norm
/// without gamma gets ones. Borrows what the layers borrow.
/// Errors: kUnsupported for another architecture; kInvalidArgument naming the
/// layer that has no place or other weights than expected.
/// Source: keras.applications of Keras 2.2 to 2.15; fchollet/
/// deep-learning-models v0.2 for ResNet50's older names.
Result<StoredTensors> named_from_keras(const std::vector<KerasLayer>& layers,
                                       const std::string& architecture);

}  // namespace shoal::internal
