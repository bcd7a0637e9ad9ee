#include "daemon/models/manifest.h"

#include <algorithm>
#include <set>
#include <toml++/toml.h>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "daemon/models/built_in.h"

namespace shoal {
namespace {

constexpr std::uint64_t kMaxFileBytes = 256 << 10;
constexpr std::size_t kMinDigits = 8;
constexpr std::size_t kMaxDigits = 64;
// The parser follows dotted keys by recursion.
constexpr std::size_t kMaxDotsPerLine = 64;

bool is_digest_start(std::string_view text) {
  return text.size() >= kMinDigits && text.size() <= kMaxDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The name becomes that of a folder and of a file.
bool is_folder_name(std::string_view name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") ==
             std::string_view::npos;
}

bool has_deep_line(std::string_view text) {
  std::size_t dots = 0;
  return std::any_of(text.begin(), text.end(), [&](char c) {
    if (c == '\n') dots = 0;
    if (c == '.') ++dots;
    return dots > kMaxDotsPerLine;
  });
}

/// Takes texts from one [[model]] table. The first fault is kept.
class ModelReader {
 public:
  explicit ModelReader(const toml::table& table) : table_(table) {}

  std::string text(std::string_view key) {
    known_.insert(key);
    const auto* const value = table_[key].as_string();
    if (value != nullptr && !value->get().empty()) return value->get();
    fail(fmt::format("{} is missing or no text", key));
    return "";
  }

  std::optional<std::string> optional_text(std::string_view key) {
    known_.insert(key);
    return table_.contains(key) ? std::optional(text(key)) : std::nullopt;
  }

  std::optional<std::uint64_t> optional_size(std::string_view key) {
    known_.insert(key);
    if (!table_.contains(key)) return std::nullopt;
    const auto* const value = table_[key].as_integer();
    if (value != nullptr && value->get() > 0) {
      return static_cast<std::uint64_t>(value->get());
    }
    fail(fmt::format("{} is no whole number above 0", key));
    return std::nullopt;
  }

  void fail(std::string message) {
    if (!fault_) fault_ = std::move(message);
  }

  Result<void> finish() {
    for (const auto& [key, value] : table_) {
      if (known_.count(key.str()) == 0) {
        fail(fmt::format("{} is not a known key; known are {}", key.str(),
                         fmt::join(known_, ", ")));
      }
    }
    if (!fault_) return ok();
    return invalid_argument(
        fmt::format("{}: [[model]]: {}", table_.source().begin.line, *fault_));
  }

 private:
  const toml::table& table_;
  std::set<std::string_view> known_;
  std::optional<std::string> fault_;
};

Result<DownloadableModel> read_model(const toml::table& table) {
  ModelReader reader(table);
  DownloadableModel model;
  model.name = reader.text("name");
  if (!is_folder_name(model.name)) {
    reader.fail("name is " + model.name +
                "; expected a-z 0-9 _ . -, not a dot first");
  }
  model.architecture = reader.text("architecture");
  model.url = reader.text("url");
  model.sha256 = reader.text("sha256");
  if (!is_digest_start(model.sha256)) {
    reader.fail("sha256 is not 8 to 64 digits of 0-9 a-f");
  }
  model.size_bytes = reader.optional_size("size_bytes");
  if (const auto text = reader.optional_text("preprocessing")) {
    const auto preprocessing = parse_preprocessing(*text);
    if (preprocessing) {
      model.preprocessing = preprocessing.value();
    } else {
      reader.fail(preprocessing.error().message);
    }
  }
  model.licence = reader.text("licence");
  SHOAL_TRY(reader.finish());
  return model;
}

Result<std::vector<DownloadableModel>> parse(std::string_view text) {
  if (has_deep_line(text)) {
    return invalid_argument(
        fmt::format("a line has more than {} dots", kMaxDotsPerLine));
  }
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return invalid_argument(fmt::format("{}: not valid TOML: {}",
                                        error.source().begin.line,
                                        error.description()));
  }
  const toml::array* const list = file["model"].as_array();
  if (list == nullptr || file.size() != 1) {
    return invalid_argument("it is not a list of [[model]] tables");
  }
  std::vector<DownloadableModel> models;
  std::set<std::string> names;
  for (const toml::node& node : *list) {
    const toml::table* const table = node.as_table();
    if (table == nullptr) return invalid_argument("a model is no table");
    SHOAL_TRY(model, read_model(*table));
    if (!names.insert(model.name).second) {
      return invalid_argument("model " + model.name + " is listed twice");
    }
    models.push_back(std::move(model));
  }
  return models;
}

}  // namespace

Result<std::vector<DownloadableModel>> parse_manifest(
    std::string_view text, const std::string& where) {
  auto models = parse(text);
  if (!models) return models.error().within(where);
  return models;
}

Result<std::vector<DownloadableModel>> read_manifest(
    const std::optional<std::filesystem::path>& file) {
  if (!file) return parse_manifest(built_in_manifest(), "the built-in list");
  SHOAL_TRY(text, read_file(*file, kMaxFileBytes));
  return parse_manifest(text, file->string());
}

}  // namespace shoal
