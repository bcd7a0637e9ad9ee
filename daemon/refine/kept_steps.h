#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace shoal {

/// Finished parts of a run as files with checksums in a folder. Thread: one.
class KeptSteps {
 public:
  /// @param folder  made when the first step is kept
  explicit KeptSteps(std::filesystem::path folder)
      : folder_(std::move(folder)) {}

  /// Nothing where there is none, or a damaged one.
  [[nodiscard]] std::optional<std::string> find(const std::string& name) const;
  /// Errors: kIo, kStorageFull, kInvalidArgument for a name with other
  /// characters than letters, digits and "-".
  [[nodiscard]] Result<void> keep(const std::string& name,
                                  std::string_view bytes) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace shoal
