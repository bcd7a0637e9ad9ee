#pragma once

#include <string>

#include "common/result.h"
#include "engine/weights/stored_tensor.h"

namespace shoal::internal {

/// The tensors of a PyTorch release under the names that `architecture`
/// wants: from timm's and Cadene's names and torchvision's older ones. Names
/// that no rule covers stay. Batch norms' counters and auxiliary heads are
/// left out.
/// Errors: kInvalidArgument naming the tensor that does not fit its rule.
/// Source: torchvision 0.14.1 models/; huggingface/pytorch-image-models
/// timm/models/{_efficientnet_blocks,efficientnet,vgg,xception}.py;
/// Cadene/pretrained-models.pytorch xception.py.
Result<StoredTensors> named_from_torch(const StoredTensors& tensors,
                                       const std::string& architecture);

}  // namespace shoal::internal
