#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "common/result.h"
#include "engine/weights/stored_tensor.h"

namespace shoal {

/// How a weights file is laid out.
enum class WeightsLayout { kTorch, kSafetensors, kKeras };

/// The tensors of a weights file that others published: a state_dict saved by
/// torch.save (both layouts), safetensors, or Keras weights (.h5). The layout
/// is told by the content, not by the name. Nothing in a file is executed.
/// Immutable; the tensors borrow from it.
class WeightsFile {
 public:
  /// Errors: kNotFound, kIo; kInvalidArgument for another kind of file; what
  /// parse_pickle gives; kCorruption, kUnsupported. All name the file.
  [[nodiscard]] static Result<std::unique_ptr<WeightsFile>> open(
      const std::filesystem::path& path);
  ~WeightsFile();
  WeightsFile(const WeightsFile&) = delete;
  WeightsFile& operator=(const WeightsFile&) = delete;

  [[nodiscard]] WeightsLayout layout() const;
  /// By the names in the file. Of Keras weights, "LAYER/N" is the N-th weight
  /// of a layer, counted from 0, in Keras's axes.
  [[nodiscard]] const StoredTensors& tensors() const;
  /// The same, named and laid out as `architecture` wants them: releases of
  /// torchvision, timm, Cadene and Keras. What only training needs is left
  /// out. Names that no rule covers stay as they are.
  /// Errors: kUnsupported when there is no rule for Keras weights of this
  /// architecture; kInvalidArgument naming the layer or tensor that does not
  /// fit the rule.
  [[nodiscard]] Result<StoredTensors> tensors_for(
      const std::string& architecture) const;

 private:
  struct State;
  explicit WeightsFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
