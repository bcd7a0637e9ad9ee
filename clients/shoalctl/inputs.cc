#include "clients/shoalctl/inputs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <poll.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace shoal::ctl {
namespace {

namespace fs = std::filesystem;

bool is_url(const std::string& text) {
  return text.rfind("http://", 0) == 0 || text.rfind("https://", 0) == 0;
}

/// The regular files below `folder`, in order; hidden files and folders are
/// left out and links to folders not followed.
Result<std::vector<std::string>> files_below(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (; !error && at != fs::recursive_directory_iterator();
       at.increment(error)) {
    const bool is_hidden = at->path().filename().string().front() == '.';
    std::error_code unreadable;
    if (is_hidden) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file(unreadable)) {
      files.push_back(at->path().string());
    }
  }
  if (error) return io_error("read folder " + folder + ": " + error.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Result<Inputs> Inputs::open(const std::vector<std::string>& inputs,
                            bool recursive) {
  Inputs opened;
  for (const std::string& input : inputs) {
    if (input == "-") {
      opened.reads_standard_input_ = true;
      continue;
    }
    if (is_url(input)) {
      return invalid_argument("'" + input +
                              "': this version does not fetch URLs; fetch the "
                              "file and give its path");
    }
    std::error_code error;
    if (!fs::is_directory(input, error)) {
      // A file that cannot be read is told when its turn comes.
      opened.paths_.push_back(input);
      continue;
    }
    if (!recursive) {
      return invalid_argument("'" + input +
                              "' is a folder; add --recursive to send the "
                              "files below it");
    }
    SHOAL_TRY(files, files_below(input));
    opened.paths_.insert(opened.paths_.end(), files.begin(), files.end());
  }
  if (!opened.reads_standard_input_) opened.total_ = opened.paths_.size();
  return opened;
}

Result<std::optional<std::string>> Inputs::next(bool may_wait) {
  while (paths_.empty() && reads_standard_input_) {
    SHOAL_TRY(read_standard_input(may_wait));
    if (!may_wait) break;
  }
  if (paths_.empty()) return std::nullopt;
  std::string path = std::move(paths_.front());
  paths_.pop_front();
  return std::optional<std::string>(std::move(path));
}

Result<void> Inputs::read_standard_input(bool may_wait) {
  pollfd item{STDIN_FILENO, POLLIN, 0};
  const int ready = poll(&item, 1, may_wait ? -1 : 0);
  if (ready < 0 && errno != EINTR) {
    return errno_error("wait for standard input", errno);
  }
  if (ready <= 0) return ok();
  std::array<char, 4096> buffer{};
  const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
  if (got < 0) {
    if (errno == EINTR) return ok();
    return errno_error("read standard input", errno);
  }
  partial_line_.append(buffer.data(), static_cast<std::size_t>(got));
  if (got == 0) {
    reads_standard_input_ = false;
    partial_line_ += '\n';
  }
  std::size_t begin = 0;
  for (std::size_t end = partial_line_.find('\n'); end != std::string::npos;
       end = partial_line_.find('\n', begin)) {
    if (end > begin) paths_.push_back(partial_line_.substr(begin, end - begin));
    begin = end + 1;
  }
  partial_line_.erase(0, begin);
  return ok();
}

}  // namespace shoal::ctl
