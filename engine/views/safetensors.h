#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace shoal {

/// Element types of the safetensors format that Shoal reads.
enum class TensorType { kFloat32, kFloat16, kBFloat16, kFloat64, kInt64 };

/// One tensor inside a mapped file.
struct TensorInfo {
  TensorType type = TensorType::kFloat32;
  std::vector<std::int64_t> shape;  ///< empty: a scalar
  std::string_view bytes;           ///< borrowed from the file's mapping
};

/// A safetensors file, memory-mapped read-only. Every length and offset is
/// checked against the file before anything is used; nothing is executed.
/// Format: u64 little-endian header length, JSON header, tensor bytes
/// (huggingface/safetensors). Immutable, thread-safe.
class SafetensorsFile {
 public:
  /// Errors: kNotFound, kIo, kCorruption with the tensor and the rule broken,
  /// kUnsupported for an element type not listed above.
  [[nodiscard]] static Result<std::unique_ptr<SafetensorsFile>> open(
      const std::filesystem::path& path);
  /// Parses `bytes` in place (borrowed). `name` goes into error messages.
  [[nodiscard]] static Result<std::unique_ptr<SafetensorsFile>> parse(
      std::string_view bytes, std::string_view name);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  [[nodiscard]] const std::map<std::string, TensorInfo>& tensors() const;
  /// The header's "__metadata__" map.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const;

 private:
  struct State;
  explicit SafetensorsFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A tensor to write, float32.
struct TensorToWrite {
  std::string name;
  std::vector<std::int64_t> shape;
  const float* values = nullptr;  ///< product of shape values, borrowed
};

/// Writes a safetensors file (atomically replaced).
[[nodiscard]] Result<void> write_safetensors(
    const std::filesystem::path& path,
    const std::vector<TensorToWrite>& tensors,
    const std::map<std::string, std::string>& metadata);

}  // namespace shoal
