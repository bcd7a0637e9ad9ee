#include "clients/shoalctl/output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace shoal::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t kBlockRows = 1'000;

/// Characters of UTF-8 text; wide ones count as one.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

/// Whether `fd` is the stream to the journal that systemd has told of.
bool is_journal(int fd) {
  const char* const told = std::getenv("JOURNAL_STREAM");
  struct stat found {};
  return told != nullptr && fstat(fd, &found) == 0 &&
         told ==
             std::to_string(found.st_dev) + ":" + std::to_string(found.st_ino);
}

/// Text that cannot move a terminal's cursor.
std::string printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return text;
}

std::string list_cell(const json& value) {
  std::string text;
  for (const auto& [key, item] : value.items()) {
    if (!text.empty()) text += value.is_array() ? "," : " ";
    if (value.is_object()) text += printable(key) + "=";
    text += cell(item);
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string cell(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return "-";
    case json::value_t::boolean:
      return value.get<bool>() ? "yes" : "no";
    case json::value_t::number_float: {
      char text[32];
      std::snprintf(text, sizeof text, "%.4g", value.get<double>());
      return text;
    }
    case json::value_t::string:
      return printable(value.get<std::string>());
    case json::value_t::array:
    case json::value_t::object:
      return list_cell(value);
    default:
      return value.dump(-1, ' ', false, json::error_handler_t::replace);
  }
}

Listing::Listing(bool json, std::vector<Column> columns)
    : json_(json), columns_(std::move(columns)) {
  for (const Column& column : columns_) {
    widths_.push_back(width(column.heading));
  }
}

void Listing::add(const json& row) {
  if (json_) {
    print_json_line(row);
    return;
  }
  std::vector<std::string> cells;
  for (const Column& column : columns_) {
    cells.push_back(cell(row.value(column.field, json())));
  }
  block_.push_back(std::move(cells));
  if (block_.size() == kBlockRows) print_block();
}

void Listing::finish() {
  if (!json_) print_block();
}

void Listing::print_block() {
  for (const auto& cells : block_) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], width(cells[i]));
    }
  }
  if (!has_headings_) {
    std::vector<std::string> headings;
    for (const Column& column : columns_) headings.push_back(column.heading);
    print_line(headings);
    has_headings_ = true;
  }
  for (const auto& cells : block_) print_line(cells);
  block_.clear();
}

void Listing::print_line(const std::vector<std::string>& cells) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    const std::string padding(widths_[i] - width(cells[i]), ' ');
    line += columns_[i].is_number ? padding + cells[i] : cells[i] + padding;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  std::cout << line << '\n';
}

void print_object(bool as_json, const json& object,
                  const std::vector<std::string>& first) {
  if (as_json) {
    print_json_line(object);
    return;
  }
  std::vector<std::string> keys;
  for (const std::string& key : first) {
    if (object.contains(key)) keys.push_back(key);
  }
  for (const auto& [key, value] : object.items()) {
    if (std::find(first.begin(), first.end(), key) == first.end()) {
      keys.push_back(key);
    }
  }
  std::size_t longest = 0;
  for (const std::string& key : keys) longest = std::max(longest, width(key));
  for (const std::string& key : keys) {
    std::cout << printable(key) << std::string(longest - width(key) + 2, ' ')
              << cell(object.at(key)) << '\n';
  }
}

void print_json_line(const json& object) {
  // Flushed line by line: whoever reads a pipe acts on each.
  std::cout << object.dump(-1, ' ', false, json::error_handler_t::replace)
            << std::endl;
}

void print_message(std::string_view message, Urgency urgency) {
  if (is_journal(STDERR_FILENO)) {
    std::cerr << '<' << static_cast<int>(urgency) << '>';
  }
  std::cerr << "shoalctl: " << printable(std::string(message)) << '\n';
}

std::string clock_text(double seconds) {
  const auto total = static_cast<long>(std::lround(std::max(0.0, seconds)));
  char text[48];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600,
                  total / 60 % 60, total % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", total / 60, total % 60);
  }
  return text;
}

}  // namespace shoal::ctl
