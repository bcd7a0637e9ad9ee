#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::ctl {

/// How a listing shows one field to people.
struct Column {
  std::string field;       ///< key of the row
  std::string heading;     ///< "CLUSTER"
  bool is_number = false;  ///< aligned to the right
};

/// A list of maps on standard output: one JSON object a line, or an aligned
/// table. Rows are printed in blocks, so that a list of any length can pass
/// through; a column never gets narrower from one block to the next.
/// Owner-thread.
class Listing {
 public:
  Listing(bool json, std::vector<Column> columns);
  void add(const nlohmann::json& row);
  /// Prints what is still held, and the headings of an empty table.
  void finish();

 private:
  void print_block();
  void print_line(const std::vector<std::string>& cells) const;

  bool json_;
  std::vector<Column> columns_;
  std::vector<std::size_t> widths_;  ///< characters
  std::vector<std::vector<std::string>> block_;
  bool has_headings_ = false;
};

/// One map on standard output: a line of JSON, or one line per key.
/// @param first  keys to show before the others, in this order
void print_object(bool json, const nlohmann::json& object,
                  const std::vector<std::string>& first);

/// One JSON object on a line of standard output.
void print_json_line(const nlohmann::json& object);

/// How much a message matters: the levels of syslog.
enum class Urgency { kError = 3, kWarning = 4, kInfo = 6 };

/// A line on standard error that begins with the program's name. Where that is
/// the journal, the line says its priority, too.
void print_message(std::string_view message, Urgency urgency = Urgency::kInfo);

/// `value` for people: "-" for null, four digits of a fraction, lists with
/// commas, no control characters.
[[nodiscard]] std::string cell(const nlohmann::json& value);

/// "1:02:03" or "2:03".
[[nodiscard]] std::string clock_text(double seconds);

}  // namespace shoal::ctl
