#include "engine/weights/stored_tensor.h"

#include <cstring>
#include <utility>

#include <Eigen/Core>

#include "common/check.h"

namespace shoal {
namespace {

template <typename T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float element(ElementType type, const char* from) {
  switch (type) {
    case ElementType::kFloat64:
      return static_cast<float>(load<double>(from));
    case ElementType::kFloat16:
      return static_cast<float>(load<Eigen::half>(from));
    case ElementType::kBFloat16:
      return static_cast<float>(load<Eigen::bfloat16>(from));
    default:
      return load<float>(from);
  }
}

/// Number of elements from the first to the last that the axes reach.
std::int64_t extent(const std::vector<Axis>& axes) {
  std::int64_t last = 0;
  for (const Axis& axis : axes) {
    if (axis.size == 0) return 0;
    last += (axis.size - 1) * axis.stride;
  }
  return last + 1;
}

}  // namespace

std::size_t size_bytes(ElementType type) {
  switch (type) {
    case ElementType::kFloat64:
    case ElementType::kInt64:
      return 8;
    case ElementType::kFloat32:
    case ElementType::kInt32:
      return 4;
    case ElementType::kFloat16:
    case ElementType::kBFloat16:
    case ElementType::kInt16:
      return 2;
    case ElementType::kInt8:
    case ElementType::kUint8:
    case ElementType::kBool:
      break;
  }
  return 1;
}

bool is_floating(ElementType type) {
  return type == ElementType::kFloat64 || type == ElementType::kFloat32 ||
         type == ElementType::kFloat16 || type == ElementType::kBFloat16;
}

StoredTensor contiguous_tensor(ElementType type,
                               std::vector<std::int64_t> shape,
                               std::string_view bytes) {
  StoredTensor tensor;
  tensor.type = type;
  tensor.bytes = bytes;
  tensor.axes.resize(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    tensor.axes[i] = {shape[i], stride};
    stride *= shape[i];
  }
  tensor.shape = std::move(shape);
  return tensor;
}

std::int64_t element_count(const StoredTensor& tensor) {
  std::int64_t count = 1;
  for (const Axis& axis : tensor.axes) count *= axis.size;
  return count;
}

Result<std::vector<float>> read_values(const StoredTensor& tensor) {
  if (!is_floating(tensor.type)) {
    return unsupported("it holds whole numbers; expected floating point");
  }
  const auto width = static_cast<std::int64_t>(size_bytes(tensor.type));
  SHOAL_CHECK(extent(tensor.axes) * width <=
                  static_cast<std::int64_t>(tensor.bytes.size()),
              "a stored tensor lies inside its bytes");
  std::vector<float> values(static_cast<std::size_t>(element_count(tensor)));
  std::vector<std::int64_t> position(tensor.axes.size());
  std::int64_t at = 0;
  for (float& value : values) {
    value = element(tensor.type, tensor.bytes.data() + at * width);
    // To the next element: the last axis moves fastest.
    for (std::size_t i = tensor.axes.size(); i-- > 0;) {
      at += tensor.axes[i].stride;
      if (++position[i] < tensor.axes[i].size) break;
      at -= tensor.axes[i].stride * tensor.axes[i].size;
      position[i] = 0;
    }
  }
  return values;
}

}  // namespace shoal
