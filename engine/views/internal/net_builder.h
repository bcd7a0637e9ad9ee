#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <c10/core/Device.h>

#include "common/result.h"
#include "engine/views/internal/layers.h"
#include "engine/views/safetensors.h"

namespace at {
class Tensor;
}  // namespace at

namespace shoal::internal {

/// A convolution and what follows it.
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
  int kernel_width = 0;   ///< pixels; 0: as `kernel`, which is the height
  int padding_width = 0;  ///< used only with a kernel_width
  bool bias = true;       ///< false: the file has none, nor a batch norm
  /// The file's only input channel is BT.601 luma: the layer takes it of its
  /// three channels, which are red, green and blue (`in` is 3).
  bool luma = false;
};

/// Makes layers from the tensors of a weights file, each checked for shape
/// and finite values, or from random ones. The first fault is kept and given
/// by finish(), so that an architecture reads as a list of layers; layers made
/// after a fault must not be run. A convolution has a bias, or a batch norm,
/// which is folded into it, or both, or neither where its Conv says so. Borrows
/// the file during construction only. Owner-thread.
class NetBuilder {
 public:
  NetBuilder(const SafetensorsFile& weights, c10::Device device,
             double batch_norm_epsilon)
      : weights_(&weights),
        device_(device),
        batch_norm_epsilon_(batch_norm_epsilon) {}
  /// Without a file: weights are drawn by `seed` (He et al. 2015: normal,
  /// variance 2 / number of inputs), biases are 0, batch norms do nothing.
  NetBuilder(std::uint64_t seed, c10::Device device)
      : device_(device), random_(seed) {}

  Layer conv(const Conv& spec);
  Layer linear(const std::string& name, int in, int out,
               Activation activation = Activation::kNone);
  /// A batch norm that no convolution precedes: scale and shift per channel.
  Layer batch_norm(const std::string& name, int channels,
                   Activation activation);
  /// Whether the file has a tensor, for layouts that have two sets of names.
  [[nodiscard]] bool has(const std::string& name) const;
  /// Tensors whose names start so are no part of the net (auxiliary heads).
  void ignore(const std::string& prefix) { ignored_.push_back(prefix); }

  /// Errors: kInvalidArgument for tensors missing, of another shape or left
  /// over; kCorruption for values that are not finite.
  [[nodiscard]] Result<void> finish() const;

 private:
  at::Tensor take(const std::string& name, std::vector<std::int64_t> shape);
  at::Tensor draw(const std::string& name,
                  const std::vector<std::int64_t>& shape);
  /// A batch norm as x * first + second.
  std::pair<at::Tensor, at::Tensor> take_batch_norm(const std::string& name,
                                                    std::int64_t channels);
  void fail(Error error);

  const SafetensorsFile* weights_ = nullptr;
  c10::Device device_;
  double batch_norm_epsilon_ = 0;
  std::mt19937_64 random_;
  std::set<std::string> taken_;
  std::vector<std::string> ignored_;
  std::optional<Error> error_;
};

}  // namespace shoal::internal
