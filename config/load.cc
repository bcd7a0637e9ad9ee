#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <toml++/toml.h>

#include "common/file.h"
#include "config/internal/fields.h"

namespace shoal {
namespace {

constexpr std::uint64_t kMaxFileBytes = 256ULL * 1024;
// The parser follows dotted keys by recursion, so a line of dots could exhaust
// the stack; no honest line comes near this.
constexpr int kMaxDotsPerLine = 64;

// Edits (insert, delete, replace) that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// At most 80 bytes of what somebody wrote, for a message.
std::string excerpt(std::string_view text) {
  constexpr std::size_t kMost = 80;
  if (text.size() <= kMost) return std::string(text);
  return std::string(text.substr(0, kMost)) + "...";
}

std::string nearest_section(std::string_view section) {
  const auto& all = config_sections();
  const auto wanted = excerpt(section);
  return std::min_element(all.begin(), all.end(),
                          [&](const SectionInfo& a, const SectionInfo& b) {
                            return edit_distance(a.name, wanted) <
                                   edit_distance(b.name, wanted);
                          })
      ->name;
}

// The valid name nearest to section.key: a right key in a wrong section is
// nearer than anything else.
std::string nearest_field(std::string_view section, std::string_view key) {
  const auto wanted_key = excerpt(key);
  const auto wanted_section = excerpt(section);
  const Field* best = &config_fields().front();
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const Field& field : config_fields()) {
    const std::size_t of_key = edit_distance(field.key, wanted_key);
    const std::size_t of_section = edit_distance(field.section, wanted_section);
    const std::size_t distance =
        2 * of_key +
        (of_key == 0 ? std::min<std::size_t>(of_section, 1) : of_section);
    if (distance < best_distance) {
      best = &field;
      best_distance = distance;
    }
  }
  return best->name();
}

// Collects values and problems, whatever their source.
class Loader {
 public:
  void problem(std::string place, std::string message) {
    problems_.push_back({std::move(place), std::move(message)});
  }

  void set(const std::string& place, const std::string& section,
           const std::string& key, const FieldValue& raw) {
    const Field* field = find_field(section, key);
    if (field == nullptr) return unknown(place, section, key);
    auto value = read_value(*field, raw);
    if (!value) {
      return problem(place, field->name() + ": " + value.error().message);
    }
    field->set(config_, value.value());
    places_[field->name()] = place;
  }

  void unknown(const std::string& place, const std::string& section,
               const std::string& key) {
    problem(place, excerpt(section + "." + key) +
                       ": no such key; did you mean " +
                       nearest_field(section, key) + "?");
  }

  ConfigResult finish() {
    for (const BrokenRule& rule : broken_rules(config_)) {
      const auto place = places_.find(rule.field);
      problem(place == places_.end() ? "default" : place->second,
              rule.field + ": " + rule.message);
    }
    if (!problems_.empty()) return std::move(problems_);
    return config_;
  }

 private:
  Config config_ = default_config();
  std::map<std::string, std::string> places_;
  std::vector<ConfigProblem> problems_;
};

// A TOML value as a FieldValue, or nothing when no field could hold it.
std::optional<FieldValue> from_toml(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return FieldValue(value->get());
  if (const auto* value = node.as_integer()) return FieldValue(value->get());
  if (const auto* value = node.as_floating_point()) {
    return FieldValue(value->get());
  }
  if (const auto* value = node.as_string()) return FieldValue(value->get());
  const auto* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> list;
  for (const toml::node& item : *array) {
    const auto* text = item.as_string();
    if (text == nullptr) return std::nullopt;
    list.push_back(text->get());
  }
  return FieldValue(std::move(list));
}

bool has_deep_line(std::string_view text) {
  int dots = 0;
  for (const char c : text) {
    if (c == '\n') dots = 0;
    if (c == '.' && ++dots > kMaxDotsPerLine) return true;
  }
  return false;
}

void load_text(std::string_view text, const std::string& name, Loader& loader) {
  if (has_deep_line(text)) {
    return loader.problem(name, "a line has more than " +
                                    std::to_string(kMaxDotsPerLine) + " dots");
  }
  const auto place = [&](const toml::source_region& source) {
    return name + ":" + std::to_string(source.begin.line);
  };
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return loader.problem(
        place(error.source()),
        "not valid TOML: " + std::string(error.description()));
  }
  for (const auto& [section, content] : file) {
    const std::string section_name(section.str());
    const auto& sections = config_sections();
    const bool known = std::any_of(
        sections.begin(), sections.end(),
        [&](const auto& info) { return info.name == section_name; });
    const toml::table* table = content.as_table();
    if (!known) {
      loader.problem(place(section.source()),
                     "[" + excerpt(section_name) +
                         "]: no such section; did you mean [" +
                         nearest_section(section_name) + "]?");
      continue;
    }
    if (table == nullptr) {
      loader.problem(place(section.source()),
                     "[" + section_name + "]: is a section, not a value");
      continue;
    }
    for (const auto& [key, node] : *table) {
      const std::string key_name(key.str());
      const auto value = from_toml(node);
      if (value) {
        loader.set(place(key.source()), section_name, key_name, *value);
      } else if (find_field(section_name, key_name) == nullptr) {
        loader.unknown(place(key.source()), section_name, key_name);
      } else {
        loader.problem(place(key.source()),
                       find_field(section_name, key_name)->name() +
                           ": must not be a table, a date or a mixed list");
      }
    }
  }
}

template <typename T>
std::optional<FieldValue> whole_number(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return FieldValue(value);
}

// What `text` means for a field of this type; text that does not fit stays a
// string and is refused as one.
FieldValue from_text(FieldType type, const std::string& text) {
  std::optional<FieldValue> value;
  switch (type) {
    case FieldType::kBool:
      if (text == "true") return true;
      if (text == "false") return false;
      break;
    case FieldType::kInteger:
    case FieldType::kIntegerOrAuto:
      value = whole_number<std::int64_t>(text);
      break;
    case FieldType::kFloat:
      value = whole_number<double>(text);
      break;
    case FieldType::kList: {
      std::vector<std::string> list;
      for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        list.push_back(text.substr(begin, comma - begin));
        begin = comma + 1;
      }
      return list;
    }
    case FieldType::kString:
    case FieldType::kBytes:
    case FieldType::kDuration:
      break;
  }
  return value ? *value : FieldValue(text);
}

void load_override(const std::string& text, Loader& loader) {
  const std::string place = "--set " + excerpt(text);
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const std::size_t dot = name.find('.');
  if (equals == std::string::npos || dot == std::string::npos) {
    return loader.problem(place, "is not of the form section.key=value");
  }
  const std::string section = name.substr(0, dot);
  const std::string key = name.substr(dot + 1);
  const Field* field = find_field(section, key);
  if (field == nullptr) return loader.unknown(place, section, key);
  loader.set(place, section, key,
             from_text(field->type, text.substr(equals + 1)));
}

}  // namespace

std::string to_string(const std::vector<ConfigProblem>& problems) {
  std::string lines;
  for (const ConfigProblem& problem : problems) {
    lines += problem.place + ": " + problem.message + "\n";
  }
  return lines;
}

bool operator==(const Config& a, const Config& b) {
  const auto& fields = config_fields();
  return std::all_of(fields.begin(), fields.end(), [&](const Field& field) {
    return field.get(a) == field.get(b);
  });
}

Config default_config() {
  Config config;
  for (const Field& field : config_fields()) {
    field.set(config, field.default_value);
  }
  return config;
}

ConfigResult parse_config(std::string_view text, const std::string& name,
                          const std::vector<std::string>& overrides) {
  Loader loader;
  load_text(text, name, loader);
  for (const std::string& item : overrides) load_override(item, loader);
  return loader.finish();
}

ConfigResult load_config(const std::optional<std::filesystem::path>& file,
                         const std::vector<std::string>& overrides) {
  Loader loader;
  if (file) {
    const auto text = read_file(*file, kMaxFileBytes);
    if (text) {
      load_text(text.value(), file->string(), loader);
    } else {
      loader.problem(file->string(), text.error().message);
    }
  }
  for (const std::string& item : overrides) load_override(item, loader);
  return loader.finish();
}

ConfigReload reload_config(const Config& running, const Config& loaded) {
  ConfigReload reload{running, {}};
  for (const Field& field : config_fields()) {
    const FieldValue value = field.get(loaded);
    if (value == field.get(running)) continue;
    if (field.reloads) {
      field.set(reload.config, value);
    } else {
      reload.need_restart.push_back(field.name());
    }
  }
  return reload;
}

}  // namespace shoal
