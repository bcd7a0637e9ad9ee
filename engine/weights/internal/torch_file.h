#pragma once

#include <string_view>

#include "common/result.h"
#include "engine/weights/stored_tensor.h"

namespace shoal::internal {

/// The tensors of a file of torch.save, borrowed from its bytes: those of a
/// state_dict, or of the state_dict below the key state_dict, model_state_dict
/// or model of a training checkpoint. "module." before every name
/// (DataParallel) is dropped. Other values are left out.
/// Errors: as parse_pickle and read_zip; kInvalidArgument without tensors.

/// torch 1.6 and later: a zip with NAME/data.pkl and NAME/data/KEY.
Result<StoredTensors> read_torch_zip(std::string_view bytes);

/// Before torch 1.6: pickles of a magic number, a version, the machine, the
/// object and the storages' keys; then each storage's length and bytes.
Result<StoredTensors> read_torch_legacy(std::string_view bytes);

/// Whether the bytes begin as such a file does.
bool is_torch_legacy(std::string_view bytes);

}  // namespace shoal::internal
