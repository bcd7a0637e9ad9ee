#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace shoal::ctl {

/// The files that `shoalctl ingest` sends: those named, those in the folders
/// named, and for "-" those listed on standard input, one path a line.
/// Owner-thread.
class Inputs {
 public:
  /// Errors: kInvalidArgument for a URL, or a folder without `recursive`;
  /// kNotFound; kIo.
  static Result<Inputs> open(const std::vector<std::string>& inputs,
                             bool recursive);

  /// The next path. Nothing when there is none: at the end, or while standard
  /// input has no complete line yet and `may_wait` is false.
  /// Errors: kIo.
  Result<std::optional<std::string>> next(bool may_wait);
  [[nodiscard]] bool at_end() const {
    return paths_.empty() && !reads_standard_input_;
  }
  /// How many there are in all; nothing when standard input lists them.
  [[nodiscard]] std::optional<std::size_t> total() const { return total_; }

 private:
  Result<void> read_standard_input(bool may_wait);

  std::deque<std::string> paths_;
  bool reads_standard_input_ = false;
  std::string partial_line_;
  std::optional<std::size_t> total_;
};

}  // namespace shoal::ctl
