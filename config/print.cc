#include "config/config.h"
#include "config/internal/fields.h"

namespace shoal {
namespace {

constexpr std::size_t kLineWidth = 78;

// `text` in comment lines of at most kLineWidth columns.
std::string comment(std::string_view text) {
  std::string out;
  std::string line = "#";
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, space);
    if (line.size() + 1 + word.size() > kLineWidth && line != "#") {
      out += line + "\n";
      line = "#";
    }
    line += " " + std::string(word);
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out + line + "\n";
}

}  // namespace

std::string print_config(const Config& config) {
  std::string out = comment(
      "Configuration of shoald. Every key is shown with its value; a key that "
      "is left out has its default. Sizes may be written like \"64MiB\" or in "
      "bytes, durations like \"250ms\", \"5s\", \"2min\" or \"1h\". Keys "
      "marked (reload) are taken up on SIGHUP, the others at a restart.");
  for (const SectionInfo& section : config_sections()) {
    out += "\n" + comment(section.doc) + "[" + section.name + "]\n";
    for (const Field& field : config_fields()) {
      if (field.section != section.name) continue;
      out += "\n" + comment(field.doc);
      out += comment("Allowed: " + allowed_values(field) +
                     ". Default: " + format_value(field, field.default_value) +
                     "." + (field.reloads ? " (reload)" : ""));
      out += field.key + " = " + format_value(field, field.get(config)) + "\n";
    }
  }
  return out;
}

std::string config_reference() {
  std::string out =
      "# Configuration of shoald\n\n"
      "<!-- Generated from config/fields.cc: build the target "
      "`update_config_files` after a change. -->\n\n"
      "`shoald` runs on defaults without a file. `--config FILE` reads a TOML "
      "file, `--set section.key=value`\n(repeatable) overrides it, "
      "`--check-config` reports everything that is wrong with both, and\n"
      "`--print-config` prints the effective values as a documented TOML file "
      "(`config/shoal.toml` is that for the\ndefaults). Sizes may be written "
      "like `\"64MiB\"` or in bytes, durations like `\"250ms\"`, `\"5s\"`, "
      "`\"2min\"`\nor `\"1h\"`. Keys with *yes* under reload are taken up on "
      "SIGHUP, the others at a restart.\n";
  for (const SectionInfo& section : config_sections()) {
    out += "\n## [" + section.name + "]\n\n" + section.doc +
           "\n\n| key | default | allowed | reload | what |\n"
           "|---|---|---|---|---|\n";
    for (const Field& field : config_fields()) {
      if (field.section != section.name) continue;
      out += "| `" + field.key + "` | `" +
             format_value(field, field.default_value) + "` | " +
             allowed_values(field) + " | " + (field.reloads ? "yes" : "no") +
             " | " + field.doc + " |\n";
    }
  }
  return out;
}

}  // namespace shoal
