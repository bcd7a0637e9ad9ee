#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <unistd.h>

#include "clients/shoalctl/commands.h"

namespace shoal::ctl {
namespace {

constexpr const char* kProgram = "shoal-models";

/// The program beside this one; empty: there is none.
std::string beside_this_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  const auto path = self.parent_path() / kProgram;
  return std::filesystem::exists(path, error) ? path.string() : "";
}

}  // namespace

Result<ExitCode> models(const Session& session,
                        const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {kProgram};
  if (session.as_json) words.emplace_back("--json");
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);

  const std::string beside = beside_this_program();
  if (beside.empty()) {
    ::execvp(kProgram, pointers.data());
  } else {
    ::execv(beside.c_str(), pointers.data());
  }
  return io_error(std::string(kProgram) + " does not start (" +
                  std::strerror(errno) +
                  "); it belongs beside shoalctl or on the PATH and comes "
                  "with the daemon");
}

}  // namespace shoal::ctl
