#pragma once

#include <csignal>
#include <cstdio>
#include <spawn.h>
#include <string>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/check.h"

extern char** environ;

namespace shoal::test {

/// store_child, with its standard output in a pipe. Killed and waited for at
/// the latest at the end of the scope. (Spawned, because RocksDB's threads do
/// not survive a fork.)
class StoreChild {
 public:
  explicit StoreChild(std::vector<std::string> arguments) {
    int ends[2] = {-1, -1};
    SHOAL_CHECK(::pipe(ends) == 0, "no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    arguments.insert(arguments.begin(), SHOAL_STORE_CHILD);
    std::vector<char*> pointers;
    for (auto& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const int spawned = ::posix_spawn(&pid_, SHOAL_STORE_CHILD, &actions,
                                      nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    SHOAL_CHECK(spawned == 0, "cannot start " SHOAL_STORE_CHILD);
    ::close(ends[1]);
    output_ = ::fdopen(ends[0], "r");
  }
  StoreChild(const StoreChild&) = delete;
  StoreChild& operator=(const StoreChild&) = delete;
  ~StoreChild() {
    kill();
    std::fclose(output_);
  }

  /// The next line without its end; empty at the end of the output, also when
  /// the last line was cut off.
  std::string read_line() {
    std::string line;
    for (int c = std::fgetc(output_); c != EOF; c = std::fgetc(output_)) {
      if (c == '\n') return line;
      line.push_back(static_cast<char>(c));
    }
    return "";
  }

  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  std::FILE* output_ = nullptr;
};

}  // namespace shoal::test
