#include "engine/weights/internal/torch_file.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/bytes.h"
#include "engine/weights/internal/zip.h"
#include "engine/weights/pickle.h"

namespace shoal::internal {
namespace {

constexpr std::string_view kMagicBytes(
    "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::string_view kMagicDigits = "119547037146038801333356";
constexpr std::int64_t kLegacyProtocol = 1001;
constexpr std::string_view kModulePrefix = "module.";

/// The bytes of each storage by its key.
using StorageBytes = std::map<std::string, std::string_view>;

bool is_tensor(const Pickle& pickle, std::uint32_t index) {
  return pickle.at(index).kind == PickleKind::kTensor;
}

/// Whether `value` is a dict with at least one tensor in it.
bool has_tensors(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != PickleKind::kDict) return false;
  for (std::size_t i = 1; i < value.items.size(); i += 2) {
    if (is_tensor(pickle, value.items[i])) return true;
  }
  return false;
}

/// The value of a text key in a dict; the last one wins, as in Python.
const PickleValue* find(const Pickle& pickle, const PickleValue& dict,
                        std::string_view key) {
  const PickleValue* found = nullptr;
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& name = pickle.at(dict.items[i]);
    if (name.kind == PickleKind::kText && name.text == key) {
      found = &pickle.at(dict.items[i + 1]);
    }
  }
  return found;
}

Result<const PickleValue*> find_state(const Pickle& pickle) {
  const PickleValue& root = pickle.at(pickle.root);
  if (root.kind != PickleKind::kDict) {
    return invalid_argument(
        "it holds no dict of tensors; save the net's state_dict()");
  }
  if (has_tensors(pickle, root)) return &root;
  for (const char* key : {"state_dict", "model_state_dict", "model"}) {
    const PickleValue* const inner = find(pickle, root, key);
    if (inner != nullptr && has_tensors(pickle, *inner)) return inner;
  }
  return invalid_argument(
      "it has no tensors, neither at its top nor below state_dict, "
      "model_state_dict or model");
}

Result<StoredTensor> locate(const Pickle& pickle, const PickledTensor& tensor,
                            const StorageBytes& storages) {
  const PickledStorage& storage = pickle.storages[tensor.storage];
  const auto bytes = storages.find(storage.key);
  if (bytes == storages.end()) {
    return corruption("storage " + storage.key + " is missing");
  }
  const std::size_t width = size_bytes(storage.type);
  if (storage.count > bytes->second.size() / width ||
      storage.count * width != bytes->second.size()) {
    return corruption(fmt::format(
        "storage {} is said to have {} elements of {} bytes and has {} bytes",
        storage.key, storage.count, width, bytes->second.size()));
  }
  StoredTensor stored;
  stored.type = storage.type;
  stored.shape = tensor.shape;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    stored.axes.push_back({tensor.shape[i], tensor.strides[i]});
  }
  stored.bytes =
      bytes->second.substr(static_cast<std::size_t>(tensor.offset) * width);
  return stored;
}

/// Drops "module." where every name has it.
StoredTensors without_module_prefix(StoredTensors tensors) {
  const bool all =
      std::all_of(tensors.begin(), tensors.end(), [](const auto& entry) {
        return entry.first.compare(0, kModulePrefix.size(), kModulePrefix) == 0;
      });
  if (!all) return tensors;
  StoredTensors renamed;
  for (auto& [name, tensor] : tensors) {
    renamed.emplace(name.substr(kModulePrefix.size()), std::move(tensor));
  }
  return renamed;
}

/// @param file_bytes  what the tensors may have elements in all: many of
///     them can share one storage
Result<StoredTensors> collect(const Pickle& pickle,
                              const StorageBytes& storages,
                              std::size_t file_bytes) {
  SHOAL_TRY(state, find_state(pickle));
  StoredTensors tensors;
  std::size_t elements = 0;
  for (std::size_t i = 0; i + 1 < state->items.size(); i += 2) {
    const PickleValue& name = pickle.at(state->items[i]);
    const PickleValue& value = pickle.at(state->items[i + 1]);
    if (value.kind != PickleKind::kTensor) continue;
    if (name.kind != PickleKind::kText) {
      return corruption("a tensor's name is not text");
    }
    const std::string key(name.text);
    auto tensor =
        locate(pickle, pickle.tensors[static_cast<std::size_t>(value.integer)],
               storages);
    if (!tensor) return tensor.error().within("tensor " + key);
    elements += static_cast<std::size_t>(element_count(tensor.value()));
    if (elements > file_bytes) {
      return resource_exhausted(
          "its tensors share their data so often that they would take many "
          "times the file's size");
    }
    tensors.insert_or_assign(key, std::move(tensor).value());
  }
  return without_module_prefix(std::move(tensors));
}

/// Takes the pickle at the start of `rest`.
Result<Pickle> next_pickle(std::string_view& rest, std::string_view what) {
  auto pickle = parse_pickle(rest);
  if (!pickle) return pickle.error().within(what);
  rest.remove_prefix(pickle.value().size_bytes);
  return pickle;
}

Result<void> check_machine(const Pickle& pickle) {
  const PickleValue& root = pickle.at(pickle.root);
  if (root.kind != PickleKind::kDict) {
    return corruption("the pickle of the machine is no dict");
  }
  const PickleValue* const little = find(pickle, root, "little_endian");
  if (little != nullptr && little->integer != 1) {
    return unsupported("it was written by a big-endian machine");
  }
  return ok();
}

/// The raw storages that follow the last pickle.
Result<StorageBytes> read_storages(const Pickle& object, const Pickle& keys,
                                   std::string_view rest) {
  const PickleValue& list = keys.at(keys.root);
  if (list.kind != PickleKind::kList) {
    return corruption("its storage keys are no list");
  }
  std::map<std::string_view, const PickledStorage*> known;
  for (const PickledStorage& storage : object.storages) {
    known[storage.key] = &storage;
  }
  StorageBytes storages;
  ByteReader reader(rest);
  for (const std::uint32_t index : list.items) {
    const PickleValue& key = keys.at(index);
    const auto storage = known.find(key.text);
    if (key.kind != PickleKind::kText || storage == known.end()) {
      return corruption("it lists a storage that no tensor has");
    }
    const auto count = reader.number<std::uint64_t>();
    const std::size_t width = size_bytes(storage->second->type);
    if (reader.failed() || count > reader.remaining() / width) {
      return corruption(
          fmt::format("storage {} is cut short", storage->second->key));
    }
    if (!storages.emplace(storage->second->key, reader.raw(count * width))
             .second) {
      return corruption("storage " + storage->second->key + " appears twice");
    }
  }
  return storages;
}

}  // namespace

Result<StoredTensors> read_torch_zip(std::string_view bytes) {
  constexpr std::string_view kPickleName = "/data.pkl";
  SHOAL_TRY(entries, read_zip(bytes));
  std::optional<std::string> prefix;
  for (const auto& [name, entry] : entries) {
    const std::size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash) == kPickleName) {
      prefix = name.substr(0, slash + 1);
    }
  }
  if (!prefix) {
    return invalid_argument(
        "it is a zip file, but not one of torch.save: it "
        "has no data.pkl");
  }
  if (entries.count(*prefix + "constants.pkl") != 0) {
    return invalid_argument(
        "it is a TorchScript module, which is code; put it in a model folder "
        "of architecture torchscript yourself if you trust it");
  }
  for (const auto& [name, entry] : entries) {
    if (entry.is_packed) {
      return unsupported("entry " + name +
                         " is compressed or encrypted; torch.save stores "
                         "entries as they are");
    }
  }
  const auto order = entries.find(*prefix + "byteorder");
  if (order != entries.end() && order->second.bytes != "little") {
    return unsupported("it was written by a big-endian machine");
  }
  auto pickle = parse_pickle(entries.at(*prefix + "data.pkl").bytes);
  if (!pickle) return pickle.error().within("data.pkl");
  StorageBytes storages;
  const std::string data = *prefix + "data/";
  for (const auto& [name, entry] : entries) {
    if (name.compare(0, data.size(), data) == 0) {
      storages.emplace(name.substr(data.size()), entry.bytes);
    }
  }
  return collect(pickle.value(), storages, bytes.size());
}

bool is_torch_legacy(std::string_view bytes) {
  constexpr std::size_t kSearched = 32;  // PROTO, FRAME, LONG1 come before
  if (bytes.substr(0, 1) == "L") {
    return bytes.substr(1, kMagicDigits.size()) == kMagicDigits;
  }
  return bytes.substr(0, 1) == "\x80" &&
         bytes.substr(0, kSearched).find(kMagicBytes) != std::string_view::npos;
}

Result<StoredTensors> read_torch_legacy(std::string_view bytes) {
  std::string_view rest = bytes;
  SHOAL_TRY(magic, next_pickle(rest, "the magic number"));
  const PickleValue& number = magic.at(magic.root);
  if (number.kind != PickleKind::kBigInteger ||
      (number.text != kMagicBytes && number.text != kMagicDigits)) {
    return corruption("its magic number is not that of torch.save");
  }
  SHOAL_TRY(protocol, next_pickle(rest, "the version"));
  if (protocol.at(protocol.root).integer != kLegacyProtocol) {
    return unsupported(fmt::format("its version is {}; {} is read",
                                   protocol.at(protocol.root).integer,
                                   kLegacyProtocol));
  }
  SHOAL_TRY(machine, next_pickle(rest, "the machine"));
  SHOAL_TRY(check_machine(machine));
  SHOAL_TRY(object, next_pickle(rest, "the object"));
  SHOAL_TRY(keys, next_pickle(rest, "the storage keys"));
  SHOAL_TRY(storages, read_storages(object, keys, rest));
  return collect(object, storages, bytes.size());
}

}  // namespace shoal::internal
