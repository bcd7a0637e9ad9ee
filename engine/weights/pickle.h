#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "engine/weights/stored_tensor.h"

namespace shoal {

/// What parse_pickle gives up at.
struct PickleLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  std::size_t max_operations = 1'000'000;
  std::size_t max_memo = 500'000;  ///< entries
  std::size_t max_marks = 100;     ///< groups open at once
  std::size_t max_depth = 100;     ///< containers inside containers
};

enum class PickleKind {
  kNone,
  kBool,
  kInteger,
  kBigInteger,  ///< past 64 bits: `text` has its digits or bytes as stored
  kFloat,
  kText,
  kBytes,
  kTuple,
  kList,
  kDict,
  kStorage,   ///< `integer` is its place in Pickle::storages
  kTensor,    ///< `integer` is its place in Pickle::tensors
  kCallable,  ///< one of the allowed names, not called
};

/// One value. Values refer to others by number, so that a value which holds
/// itself, or deep nesting, costs no recursion.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  std::int64_t integer = 0;
  double number = 0;
  std::string_view text;             ///< borrowed from the pickle
  std::vector<std::uint32_t> items;  ///< of a dict: key, value, key, value ...
  std::size_t depth = 0;             ///< containers below it, as far as known
};

/// Tensor data that the pickle names and that lies elsewhere.
struct PickledStorage {
  std::string key;
  ElementType type = ElementType::kFloat32;
  std::uint64_t count = 0;  ///< elements
};

/// A checked view of a storage: every element lies inside it and no two
/// elements are the same one.
struct PickledTensor {
  std::size_t storage = 0;  ///< place in Pickle::storages
  std::int64_t offset = 0;  ///< elements
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< elements
};

/// The content of one pickle. Immutable; borrows the bytes.
struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickledStorage> storages;  ///< each key once
  std::vector<PickledTensor> tensors;
  std::uint32_t root = 0;      ///< place in `values`
  std::size_t size_bytes = 0;  ///< up to and with STOP

  [[nodiscard]] const PickleValue& at(std::uint32_t index) const {
    return values[index];
  }
};

/// Reads the pickle (protocols 1 to 5) at the start of `bytes` as torch.save
/// writes it. Nothing is executed: it builds plain values, collections.
/// OrderedDict, and tensors by torch._utils._rebuild_tensor,
/// _rebuild_tensor_v2 and _rebuild_parameter over the storage classes of
/// torch; any other name or way to call is refused by name.
/// Errors: kCorruption with the byte at which the rule is broken;
/// kPermissionDenied for a name that is not allowed; kUnsupported for an
/// operation that torch.save does not write; kResourceExhausted for a limit.
/// Cost: time and memory O(bytes), whatever the pickle claims.
/// Source: Python's pickletools; torch/_utils.py, torch/serialization.py of
/// torch 1.13.
[[nodiscard]] Result<Pickle> parse_pickle(std::string_view bytes,
                                          const PickleLimits& limits = {});

}  // namespace shoal
