#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "common/result.h"
#include "engine/views/internal/layers.h"
#include "engine/views/safetensors.h"

namespace shoal::internal {

enum class Activation { kNone, kRelu, kRelu6 };

/// TensorFlow's "SAME": output size = ceil(input size / stride); an odd pixel
/// of padding goes to the right and the bottom.
constexpr int kSamePadding = -1;

/// A square convolution and what follows it.
struct Conv {
  std::string name;        ///< its tensors are `name`.weight and .bias
  std::string batch_norm;  ///< name of its batch norm, where the file has it
  int in = 0;              ///< channels
  int out = 0;             ///< channels
  int kernel = 1;          ///< pixels
  int stride = 1;
  int padding = 0;  ///< pixels on every side, or kSamePadding
  int groups = 1;
  Activation activation = Activation::kRelu;
};

/// Makes layers from the tensors of a weights file, each checked for shape
/// and finite values. The first fault is kept and given by finish(), so that
/// an architecture reads as a list of layers; layers made after a fault must
/// not be run. A convolution has either a bias, or a batch norm, which is
/// folded into it. Borrows the file during construction only. Owner-thread.
class NetBuilder {
 public:
  NetBuilder(const SafetensorsFile& weights, c10::Device device,
             double batch_norm_epsilon)
      : weights_(weights),
        device_(device),
        batch_norm_epsilon_(batch_norm_epsilon) {}

  Layer conv(const Conv& spec);
  Layer linear(const std::string& name, int in, int out);
  /// Tensors whose names start so are no part of the net (auxiliary heads).
  void ignore(const std::string& prefix) { ignored_.push_back(prefix); }

  /// Errors: kInvalidArgument for tensors missing, of another shape or left
  /// over; kCorruption for values that are not finite.
  [[nodiscard]] Result<void> finish() const;

 private:
  [[nodiscard]] bool has(const std::string& name) const;
  at::Tensor take(const std::string& name, std::vector<std::int64_t> shape);
  void fold_batch_norm(const std::string& name, at::Tensor& weight,
                       at::Tensor& bias);
  void fail(Error error);

  const SafetensorsFile& weights_;
  c10::Device device_;
  double batch_norm_epsilon_;
  std::set<std::string> taken_;
  std::vector<std::string> ignored_;
  std::optional<Error> error_;
};

}  // namespace shoal::internal
