#include "engine/weights/weights_file.h"

#include <utility>

#include "common/mapped_file.h"
#include "engine/views/safetensors.h"
#include "engine/weights/internal/keras_file.h"
#include "engine/weights/internal/keras_names.h"
#include "engine/weights/internal/torch_file.h"
#include "engine/weights/internal/torch_names.h"

namespace shoal {
namespace {

ElementType element_type(TensorType type) {
  switch (type) {
    case TensorType::kFloat32:
      return ElementType::kFloat32;
    case TensorType::kFloat16:
      return ElementType::kFloat16;
    case TensorType::kBFloat16:
      return ElementType::kBFloat16;
    case TensorType::kFloat64:
      return ElementType::kFloat64;
    case TensorType::kInt64:
      break;
  }
  return ElementType::kInt64;
}

bool begins_with(std::string_view bytes, std::string_view signature) {
  return bytes.substr(0, signature.size()) == signature;
}

}  // namespace

struct WeightsFile::State {
  WeightsLayout layout = WeightsLayout::kTorch;
  MappedFile mapping;
  std::unique_ptr<SafetensorsFile> safetensors;
  internal::KerasFile keras;
  StoredTensors tensors;

  Result<void> read(const std::filesystem::path& path);
  Result<void> read_keras(const std::filesystem::path& path);
  Result<void> read_safetensors(const std::filesystem::path& path);
};

Result<void> WeightsFile::State::read_keras(const std::filesystem::path& path) {
  layout = WeightsLayout::kKeras;
  SHOAL_TRY(file, internal::read_keras_file(path));
  keras = std::move(file);
  for (const internal::KerasLayer& layer : keras.layers) {
    for (std::size_t i = 0; i < layer.weights.size(); ++i) {
      tensors[layer.name + "/" + std::to_string(i)] = layer.weights[i];
    }
  }
  return ok();
}

Result<void> WeightsFile::State::read_safetensors(
    const std::filesystem::path& path) {
  layout = WeightsLayout::kSafetensors;
  SHOAL_TRY(file, SafetensorsFile::parse(mapping.bytes(), path.string()));
  safetensors = std::move(file);
  for (const auto& [name, info] : safetensors->tensors()) {
    tensors[name] =
        contiguous_tensor(element_type(info.type), info.shape, info.bytes);
  }
  return ok();
}

Result<void> WeightsFile::State::read(const std::filesystem::path& path) {
  constexpr std::string_view kZip("PK\x03\x04", 4);
  constexpr std::string_view kHdf5("\x89HDF\r\n\x1a\n", 8);
  constexpr std::size_t kLengthBytes = 8;
  const std::string_view bytes = mapping.bytes();
  if (begins_with(bytes, kHdf5)) return read_keras(path);
  if (begins_with(bytes, kZip)) {
    SHOAL_TRY(read, internal::read_torch_zip(bytes));
    tensors = std::move(read);
    return ok();
  }
  if (internal::is_torch_legacy(bytes)) {
    SHOAL_TRY(read, internal::read_torch_legacy(bytes));
    tensors = std::move(read);
    return ok();
  }
  if (bytes.size() > kLengthBytes && bytes[kLengthBytes] == '{') {
    return read_safetensors(path);
  }
  return invalid_argument(
      "it is neither a file of torch.save, nor safetensors, nor HDF5 (Keras)");
}

WeightsFile::WeightsFile(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
WeightsFile::~WeightsFile() = default;

Result<std::unique_ptr<WeightsFile>> WeightsFile::open(
    const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  SHOAL_TRY(mapping, MappedFile::open(path));
  state->mapping = std::move(mapping);
  const auto read = state->read(path);
  if (!read) {
    // SafetensorsFile names its file itself.
    return state->layout == WeightsLayout::kSafetensors
               ? read.error()
               : read.error().within(path.string());
  }
  return std::unique_ptr<WeightsFile>(new WeightsFile(std::move(state)));
}

WeightsLayout WeightsFile::layout() const { return state_->layout; }

const StoredTensors& WeightsFile::tensors() const { return state_->tensors; }

Result<StoredTensors> WeightsFile::tensors_for(
    const std::string& architecture) const {
  return state_->layout == WeightsLayout::kKeras
             ? internal::named_from_keras(state_->keras.layers, architecture)
             : internal::named_from_torch(state_->tensors, architecture);
}

}  // namespace shoal
