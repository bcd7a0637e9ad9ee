#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace shoal {

/// Element types that weights files hold.
enum class ElementType {
  kFloat64,
  kFloat32,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUint8,
  kBool,
};

[[nodiscard]] std::size_t size_bytes(ElementType type);
[[nodiscard]] bool is_floating(ElementType type);

/// One step of a walk through a tensor's elements.
struct Axis {
  std::int64_t size = 0;
  std::int64_t stride = 0;  ///< elements
};

/// A tensor as it lies in a file: `axes`, walked row by row, visit its
/// elements in the order of `shape`. Both have as many elements in all; they
/// differ where the axes of a file are to be joined. Borrows the file.
struct StoredTensor {
  ElementType type = ElementType::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<Axis> axes;
  std::string_view bytes;  ///< from its first element on, little-endian
};

using StoredTensors = std::map<std::string, StoredTensor>;

/// A tensor of `shape` whose elements follow each other.
[[nodiscard]] StoredTensor contiguous_tensor(ElementType type,
                                             std::vector<std::int64_t> shape,
                                             std::string_view bytes);

/// Number of elements; shapes of stored tensors are checked not to overflow.
[[nodiscard]] std::int64_t element_count(const StoredTensor& tensor);

/// The elements in the order of the shape, as float32: exact for types of 32
/// bits and fewer that are floating point.
/// Errors: kUnsupported when it holds whole numbers or truth values.
[[nodiscard]] Result<std::vector<float>> read_values(
    const StoredTensor& tensor);

}  // namespace shoal
