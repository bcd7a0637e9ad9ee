#include "daemon/eval/csv.h"

#include <algorithm>
#include <utility>

namespace shoal::eval {
namespace {

/// Reads one field after another. Owner-thread; borrows the text.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }

  /// The next line's fields; none for a blank line.
  Result<std::vector<std::string>> record() {
    std::vector<std::string> fields;
    for (;;) {
      SHOAL_TRY(field, text_.substr(at_, 1) == "\"" ? quoted() : plain());
      fields.push_back(std::move(field));
      if (at_end() || text_[at_] != ',') break;
      ++at_;
    }
    if (text_.substr(at_, 2) == "\r\n") ++at_;
    if (!at_end()) {
      ++at_;
      ++line_;
    }
    if (fields.size() == 1 && fields.front().empty()) fields.clear();
    return fields;
  }

 private:
  Result<std::string> plain() {
    const std::size_t start = at_;
    at_ = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    return std::string(text_.substr(start, at_ - start));
  }

  Result<std::string> quoted() {
    const std::size_t first_line = line_;
    std::string field;
    for (++at_;; ++at_) {
      if (at_end()) {
        return corruption("CSV line " + std::to_string(first_line) +
                          ": a quote is never closed");
      }
      if (text_[at_] == '"') {
        ++at_;
        if (at_end() || text_[at_] != '"') break;
      }
      if (text_[at_] == '\n') ++line_;
      field.push_back(text_[at_]);
    }
    if (!at_end() &&
        std::string_view(",\r\n").find(text_[at_]) == std::string_view::npos) {
      return corruption("CSV line " + std::to_string(line_) +
                        ": text follows a closing quote");
    }
    return field;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text) {
  std::vector<std::vector<std::string>> records;
  CsvReader reader(text);
  while (!reader.at_end()) {
    SHOAL_TRY(record, reader.record());
    if (!record.empty()) records.push_back(std::move(record));
  }
  return records;
}

std::string csv_field(std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
    return std::string(field);
  }
  std::string quoted = "\"";
  for (const char c : field) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

}  // namespace shoal::eval
