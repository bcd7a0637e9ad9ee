#include "daemon/models/download.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <curl/curl.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "common/sha256.h"
#include "common/version.h"

namespace shoal {
namespace {

constexpr long kConnectSeconds = 30;
constexpr long kStallSeconds = 60;  ///< at less than a byte a second
constexpr long kMaxRedirects = 5;
constexpr int kMaxEmptyTries = 3;

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDeleter>;

/// The library's one-time set-up, done before the first handle.
bool set_up_curl() {
  static const bool done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return done;
}

struct Address {
  bool is_loopback = false;
};

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

Result<Address> check_address(const std::string& text) {
  const std::unique_ptr<CURLU, CurlDeleter> url(curl_url());
  if (url == nullptr ||
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return invalid_argument("it is no address");
  }
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME);
  const std::string host = url_part(url.get(), CURLUPART_HOST);
  constexpr std::array kLoopback = {"127.0.0.1", "[::1]", "localhost"};
  Address address;
  address.is_loopback =
      std::find(kLoopback.begin(), kLoopback.end(), host) != kLoopback.end();
  if (scheme != "https" && !(scheme == "http" && address.is_loopback)) {
    return invalid_argument(
        "only https is used, and http to this machine alone");
  }
  return address;
}

/// The file that is being fetched, open for appending. Owner-thread.
class Target {
 public:
  static Result<std::unique_ptr<Target>> open(const DownloadRequest& request) {
    const int descriptor = ::open(
        request.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      return errno_error("create " + request.file.string(), errno);
    }
    auto target = std::unique_ptr<Target>(new Target(request, descriptor));
    struct stat status {};
    if (fstat(descriptor, &status) != 0) {
      return errno_error("read " + request.file.string(), errno);
    }
    target->have_ = static_cast<std::uint64_t>(status.st_size);
    return target;
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  ~Target() { ::close(descriptor_); }

  [[nodiscard]] std::uint64_t have() const { return have_; }
  /// Why writing stopped.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  Result<void> restart() {
    if (::ftruncate(descriptor_, 0) != 0) {
      return errno_error("empty " + request_.file.string(), errno);
    }
    have_ = 0;
    return ok();
  }

  bool append(const char* data, std::size_t size) {
    const std::uint64_t most = request_.size_bytes.value_or(request_.max_bytes);
    if (size > most || have_ > most - size) {
      error_ = resource_exhausted(
          fmt::format("it is larger than the {} bytes allowed", most));
      return false;
    }
    while (size > 0) {
      const ssize_t written = ::write(descriptor_, data, size);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        error_ = write_error(errno);
        return false;
      }
      data += written;
      size -= static_cast<std::size_t>(written);
      have_ += static_cast<std::uint64_t>(written);
    }
    return true;
  }

  void report(std::uint64_t whole) const {
    if (request_.progress) request_.progress(have_, whole);
  }

 private:
  Target(const DownloadRequest& request, int descriptor)
      : request_(request), descriptor_(descriptor) {}

  [[nodiscard]] Error write_error(int reason) const {
    const Error error = errno_error("write " + request_.file.string(), reason);
    if (reason != ENOSPC && reason != EDQUOT) return error;
    return storage_full(error.message +
                        "; make room and try again: it goes on where it "
                        "stopped");
  }

  const DownloadRequest& request_;
  int descriptor_;
  std::uint64_t have_ = 0;
  std::optional<Error> error_;
};

std::size_t on_data(char* data, std::size_t size, std::size_t count,
                    void* target) {
  const std::size_t bytes = size * count;
  return static_cast<Target*>(target)->append(data, bytes) ? bytes : 0;
}

int on_progress(void* target, curl_off_t whole, curl_off_t now, curl_off_t,
                curl_off_t) {
  auto* const file = static_cast<Target*>(target);
  // Both numbers count from where this try began.
  const std::uint64_t rest =
      static_cast<std::uint64_t>(std::max<curl_off_t>(whole - now, 0));
  file->report(whole > 0 ? file->have() + rest : 0);
  return 0;
}

template <typename Value>
void set(const CurlHandle& handle, CURLoption option, Value value) {
  curl_easy_setopt(handle.get(), option, value);
}

CurlHandle make_handle(const DownloadRequest& request, const Address& address,
                       Target& target) {
  CurlHandle handle(curl_easy_init());
  if (handle == nullptr) return handle;
  set(handle, CURLOPT_URL, request.url.c_str());
  set(handle, CURLOPT_PROTOCOLS_STR,
      address.is_loopback ? "http,https" : "https");
  set(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(handle, CURLOPT_FOLLOWLOCATION, 1L);
  set(handle, CURLOPT_MAXREDIRS, kMaxRedirects);
  set(handle, CURLOPT_FAILONERROR, 1L);
  set(handle, CURLOPT_NOSIGNAL, 1L);
  set(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(handle, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  set(handle, CURLOPT_USERAGENT,
      (std::string("shoal/") + std::string(kVersion)).c_str());
  if (address.is_loopback) set(handle, CURLOPT_NOPROXY, "*");
  set(handle, CURLOPT_RESUME_FROM_LARGE,
      static_cast<curl_off_t>(target.have()));
  set(handle, CURLOPT_WRITEFUNCTION, on_data);
  set(handle, CURLOPT_WRITEDATA, &target);
  set(handle, CURLOPT_NOPROGRESS, 0L);
  set(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
  set(handle, CURLOPT_XFERINFODATA, &target);
  return handle;
}

Error http_error(long status) {
  const std::string message = fmt::format("the server answers {}", status);
  constexpr long kServerErrors = 500;
  switch (status) {
    case 404:
    case 410:
      return not_found(message + ": there is no such file");
    case 401:
    case 403:
      return {ErrorCode::kPermissionDenied, message};
    case 408:
    case 429:
      return unavailable(message + "; try again later");
    default:
      return status >= kServerErrors ? unavailable(message) : io_error(message);
  }
}

/// What a try ended with.
struct Outcome {
  CURLcode code = CURLE_OK;
  long status = 0;
  Error error;
};

Outcome try_once(const DownloadRequest& request, const Address& address,
                 Target& target) {
  Outcome outcome;
  const CurlHandle handle = make_handle(request, address, target);
  if (handle == nullptr) {
    outcome.code = CURLE_FAILED_INIT;
    outcome.error = internal_error("the HTTP library does not start");
    return outcome;
  }
  std::array<char, CURL_ERROR_SIZE> text{};
  set(handle, CURLOPT_ERRORBUFFER, text.data());
  outcome.code = curl_easy_perform(handle.get());
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &outcome.status);
  const std::string message =
      text[0] != '\0' ? text.data() : curl_easy_strerror(outcome.code);
  switch (outcome.code) {
    case CURLE_OK:
      break;
    case CURLE_HTTP_RETURNED_ERROR:
      outcome.error = http_error(outcome.status);
      break;
    case CURLE_WRITE_ERROR:
      outcome.error = target.error().value_or(io_error(message));
      break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
      outcome.error = {ErrorCode::kPermissionDenied, message};
      break;
    default:
      outcome.error = unavailable(message);
  }
  return outcome;
}

/// Whether the server cannot go on from where we are, so that the whole file
/// must be fetched again. The library takes "range not satisfiable" for
/// success when it resumes: it thinks that everything is there.
bool needs_restart(const Outcome& outcome) {
  constexpr long kRangeNotSatisfiable = 416;
  return outcome.code == CURLE_RANGE_ERROR ||
         outcome.status == kRangeNotSatisfiable;
}

Result<void> fetch(const DownloadRequest& request, const Address& address) {
  SHOAL_TRY(target, Target::open(request));
  // A whole file of the wanted size is only checked.
  if (request.size_bytes && target->have() == *request.size_bytes) return ok();
  bool has_restarted = false;
  for (int empty_tries = 0;;) {
    const std::uint64_t before = target->have();
    const Outcome outcome = try_once(request, address, *target);
    if (needs_restart(outcome) && before > 0 && !has_restarted) {
      has_restarted = true;
      SHOAL_TRY(target->restart());
      continue;
    }
    if (outcome.code == CURLE_OK) return ok();
    const bool broke = outcome.code == CURLE_PARTIAL_FILE ||
                       outcome.code == CURLE_RECV_ERROR ||
                       outcome.code == CURLE_GOT_NOTHING ||
                       outcome.code == CURLE_OPERATION_TIMEDOUT;
    empty_tries = target->have() > before ? 0 : empty_tries + 1;
    if (broke && empty_tries < kMaxEmptyTries) continue;
    if (target->have() == 0) {
      std::error_code ignored;  // An empty file is of no use to a later try.
      std::filesystem::remove(request.file, ignored);
    }
    return outcome.error;
  }
}

Result<std::string> digest_of(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return errno_error("open " + path.string(), errno);
  Sha256 sha;
  std::array<char, 1 << 16> buffer{};
  ssize_t size = 0;
  do {
    size = ::read(descriptor, buffer.data(), buffer.size());
    if (size > 0) {
      sha.update({buffer.data(), static_cast<std::size_t>(size)});
    }
  } while (size > 0 || (size < 0 && errno == EINTR));
  const int reason = errno;
  ::close(descriptor);
  if (size < 0) return errno_error("read " + path.string(), reason);
  return to_hex(sha.finish());
}

Result<void> verify(const DownloadRequest& request) {
  std::error_code error;
  const auto size = std::filesystem::file_size(request.file, error);
  if (error) return io_error("read its size: " + error.message());
  if (request.size_bytes && size != *request.size_bytes) {
    return corruption(
        fmt::format("it has {} bytes, not {}", size, *request.size_bytes));
  }
  SHOAL_TRY(digest, digest_of(request.file));
  if (digest.compare(0, request.sha256.size(), request.sha256) != 0) {
    return corruption("its SHA-256 is " + digest +
                      ", which does not begin "
                      "with " +
                      request.sha256 + ": it is not the file that was meant");
  }
  return ok();
}

}  // namespace

Result<void> download(const DownloadRequest& request) {
  if (!set_up_curl()) return internal_error("the HTTP library does not start");
  auto address = check_address(request.url);
  if (!address) return address.error().within(request.url);
  const auto fetched = fetch(request, address.value());
  if (!fetched) return fetched.error().within(request.url);
  const auto verified = verify(request);
  if (verified) return ok();
  if (verified.error().code == ErrorCode::kCorruption) {
    std::error_code ignored;  // The error to report is the one above.
    std::filesystem::remove(request.file, ignored);
  }
  return verified.error().within(request.url);
}

}  // namespace shoal
