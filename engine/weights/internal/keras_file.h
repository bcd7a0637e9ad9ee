#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"
#include "engine/weights/stored_tensor.h"

namespace shoal::internal {

/// The weights of one layer, in the layer's own order.
struct KerasLayer {
  std::string name;
  std::vector<std::string> weight_names;
  std::vector<StoredTensor> weights;  ///< borrowed from KerasFile::data
};

/// A Keras weights file, read as a whole.
struct KerasFile {
  std::vector<KerasLayer> layers;  ///< those with weights, in file order
  std::deque<std::vector<float>> data;
};

/// Reads the HDF5 file that Keras 1 or 2's save_weights or save wrote: the
/// attribute layer_names, and weight_names of each layer's group. The file is
/// parsed by the HDF5 library; links out of it, filters and external data are
/// refused.
/// Errors: kCorruption, kUnsupported, kInvalidArgument naming the object.
Result<KerasFile> read_keras_file(const std::filesystem::path& path);

}  // namespace shoal::internal
