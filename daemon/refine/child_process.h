#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "common/result.h"

namespace shoal {

/// How a child ended.
struct ChildExit {
  bool signalled = false;
  int status = 0;  ///< exit status, or the signal's number
};

/// A child process whose standard output is read line by line. Dies with its
/// parent (by the kernel's own doing). Owner-thread.
class ChildProcess {
 public:
  /// Errors: kNotFound when there is no such program, kIo.
  static Result<ChildProcess> start(const std::filesystem::path& program,
                                    const std::vector<std::string>& arguments);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  /// Kills it if it still runs, and waits.
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;

  /// The next line, waiting up to `longest`; nothing on time-out or after the
  /// end (then at_end() holds). Lines over 64 KiB are cut.
  std::optional<std::string> read_line(std::chrono::milliseconds longest);
  [[nodiscard]] bool at_end() const { return at_end_; }

  /// Waits for its end.
  ChildExit wait();

 private:
  ChildProcess(pid_t pid, int fd) : pid_(pid), fd_(fd) {}
  std::optional<std::string> take_line();

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string buffer_;
  bool at_end_ = false;
};

}  // namespace shoal
