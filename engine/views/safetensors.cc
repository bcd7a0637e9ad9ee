#include "engine/views/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/file.h"
#include "engine/views/internal/mapped_file.h"

namespace shoal {
namespace {

using nlohmann::json;

// The reference implementation's limit.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

struct TypeInfo {
  std::string_view name;
  TensorType type;
  std::uint64_t bytes;
};
constexpr std::array kTypes = {
    TypeInfo{"F32", TensorType::kFloat32, 4},
    TypeInfo{"F16", TensorType::kFloat16, 2},
    TypeInfo{"BF16", TensorType::kBFloat16, 2},
    TypeInfo{"F64", TensorType::kFloat64, 8},
    TypeInfo{"I64", TensorType::kInt64, 8},
};

/// A tensor's place in the data, from its checked header entry.
struct Span {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string_view name;
};

bool is_unsigned(const json& value) { return value.is_number_unsigned(); }

/// Parses the header; no exceptions, duplicate keys refused.
Result<json> parse_header(std::string_view text) {
  std::set<std::string> names;
  std::string duplicate;
  const auto watch_keys = [&](int depth, json::parse_event_t event,
                              json& parsed) {
    if (event == json::parse_event_t::key && depth == 1 &&
        !names.insert(parsed.get<std::string>()).second) {
      duplicate = parsed.get<std::string>();
    }
    return true;
  };
  json header = json::parse(text.begin(), text.end(), watch_keys,
                            /*allow_exceptions=*/false);
  if (header.is_discarded() || !header.is_object()) {
    return corruption("the header is not a JSON object");
  }
  if (!duplicate.empty()) {
    return corruption(fmt::format("tensor {} appears twice", duplicate));
  }
  return header;
}

/// Checks one header entry against the data's size.
Result<TensorInfo> read_entry(const json& entry, std::string_view data,
                              Span& span) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    return corruption("its entry is not {dtype, shape, data_offsets}");
  }
  const json& dtype = entry["dtype"];
  if (!dtype.is_string()) return corruption("its dtype is not a string");
  const auto& dtype_name = dtype.get_ref<const std::string&>();
  const auto* const type =
      std::find_if(kTypes.begin(), kTypes.end(),
                   [&](const TypeInfo& t) { return t.name == dtype_name; });
  if (type == kTypes.end()) {
    return unsupported(fmt::format(
        "its dtype is {}; F32, F16, BF16, F64 and I64 are read", dtype_name));
  }
  TensorInfo info;
  info.type = type->type;
  const json& shape = entry["shape"];
  if (!shape.is_array()) return corruption("its shape is not an array");
  std::uint64_t bytes = type->bytes;
  for (const json& side : shape) {
    if (!is_unsigned(side)) {
      return corruption("its shape holds something else than numbers >= 0");
    }
    const auto length = side.get<std::uint64_t>();
    // Each length must fit by itself: a later 0 must not hide an overflow.
    if (length > data.size() ||
        (length != 0 &&
         bytes > std::numeric_limits<std::int64_t>::max() / length)) {
      return corruption("its shape is larger than the file");
    }
    bytes *= length;
    info.shape.push_back(static_cast<std::int64_t>(length));
  }
  const json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !is_unsigned(offsets[0]) ||
      !is_unsigned(offsets[1])) {
    return corruption("its data_offsets are not two numbers >= 0");
  }
  span.begin = offsets[0].get<std::uint64_t>();
  span.end = offsets[1].get<std::uint64_t>();
  if (span.begin > span.end || span.end > data.size()) {
    return corruption(
        fmt::format("its offsets {}..{} lie outside the {} bytes of data",
                    span.begin, span.end, data.size()));
  }
  if (span.end - span.begin != bytes) {
    return corruption(fmt::format("its shape needs {} bytes, its offsets {}",
                                  bytes, span.end - span.begin));
  }
  info.bytes = data.substr(span.begin, bytes);
  return info;
}

}  // namespace

struct SafetensorsFile::State {
  internal::MappedFile mapping;
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;

  Result<void> read(std::string_view bytes);
};

Result<void> SafetensorsFile::State::read(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) {
    return corruption("it is shorter than its length field");
  }
  const auto header_bytes = ByteReader(bytes).number<std::uint64_t>();
  if (header_bytes > kMaxHeaderBytes ||
      header_bytes > bytes.size() - kLengthBytes) {
    return corruption(fmt::format("its header claims {} bytes of {}",
                                  header_bytes, bytes.size() - kLengthBytes));
  }
  const std::string_view data = bytes.substr(kLengthBytes + header_bytes);
  SHOAL_TRY(header, parse_header(bytes.substr(kLengthBytes, header_bytes)));
  std::vector<Span> spans;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) return corruption("__metadata__ is no object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) {
          return corruption(
              fmt::format("__metadata__ {} is not a string", key));
        }
        metadata[key] = value.get<std::string>();
      }
      continue;
    }
    Span span;
    auto info = read_entry(entry, data, span);
    if (!info) return info.error().within("tensor " + name);
    const auto place = tensors.emplace(name, std::move(info).value()).first;
    span.name = place->first;
    spans.push_back(span);
  }
  // The format's rule: tensors cover the data without holes or overlaps.
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const Span& span : spans) {
    if (span.begin != covered) {
      return corruption(
          fmt::format("tensor {} begins at {}, the one before ends at {}",
                      span.name, span.begin, covered));
    }
    covered = span.end;
  }
  if (covered != data.size()) {
    return corruption(
        fmt::format("{} bytes follow the last tensor", data.size() - covered));
  }
  return ok();
}

SafetensorsFile::SafetensorsFile(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
SafetensorsFile::~SafetensorsFile() = default;

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::open(
    const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  SHOAL_TRY(mapping, internal::MappedFile::open(path));
  state->mapping = std::move(mapping);
  auto read = state->read(state->mapping.bytes());
  if (!read) return read.error().within(path.string());
  return std::unique_ptr<SafetensorsFile>(
      new SafetensorsFile(std::move(state)));
}

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::parse(
    std::string_view bytes, std::string_view name) {
  auto state = std::make_unique<State>();
  auto read = state->read(bytes);
  if (!read) return read.error().within(name);
  return std::unique_ptr<SafetensorsFile>(
      new SafetensorsFile(std::move(state)));
}

const std::map<std::string, TensorInfo>& SafetensorsFile::tensors() const {
  return state_->tensors;
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->metadata;
}

Result<void> write_safetensors(
    const std::filesystem::path& path,
    const std::vector<TensorToWrite>& tensors,
    const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<std::string_view> data;
  std::size_t end = 0;
  for (const TensorToWrite& tensor : tensors) {
    if (tensor.name.empty() || header.contains(tensor.name) ||
        tensor.name == "__metadata__") {
      return invalid_argument("tensor names must be unique and not empty: \"" +
                              tensor.name + "\"");
    }
    std::size_t bytes = sizeof(float);
    for (const std::int64_t side : tensor.shape) {
      SHOAL_CHECK(side >= 0, "a shape is not negative");
      bytes *= static_cast<std::size_t>(side);
    }
    data.emplace_back(reinterpret_cast<const char*>(tensor.values), bytes);
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  std::string text =
      header.dump(-1, ' ', false, json::error_handler_t::replace);
  // Spaces after the JSON align the data, as the reference writer does.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  // Put together in memory of the right size: large nets are written so.
  std::string file = ByteWriter().number(std::uint64_t{text.size()}).take();
  file.reserve(file.size() + text.size() + end);
  file += text;
  for (const std::string_view values : data) file += values;
  return write_file_atomically(path, file);
}

}  // namespace shoal
