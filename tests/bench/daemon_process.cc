#include "tests/bench/daemon_process.h"

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <unistd.h>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace shoal::bench {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPorts = 4;
constexpr int kHttpPort = 3;
constexpr seconds kLongestStart{60};
constexpr milliseconds kPause{50};

bool is_free(int port) {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context);
  boost::system::error_code error;
  acceptor.open(asio::ip::tcp::v4(), error);
  if (error) return false;
  acceptor.bind(
      {asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)},
      error);
  return !error;
}

Result<int> free_ports() {
  const int offset = static_cast<int>(::getpid() % 1000) * kPorts;
  for (int i = 0; i < 1000; ++i) {
    const int base = 20'000 + (offset + i * kPorts) % 4000;
    bool all_free = true;
    for (int port = base; port < base + kPorts; ++port) {
      all_free = all_free && is_free(port);
    }
    if (all_free) return base;
  }
  return unavailable("no four free ports in a row");
}

}  // namespace

Result<std::unique_ptr<DaemonProcess>> DaemonProcess::connect(int port_base) {
  std::unique_ptr<DaemonProcess> daemon(new DaemonProcess);
  SHOAL_TRY(endpoints, Endpoints::from_port_base(port_base));
  daemon->port_base_ = port_base;
  daemon->endpoints_ = endpoints;
  QueryOptions options;
  options.endpoint = endpoints.query;
  SHOAL_TRY(queries, QueryClient::connect(options));
  daemon->queries_ = std::make_unique<QueryClient>(std::move(queries));
  return daemon;
}

Result<std::unique_ptr<DaemonProcess>> DaemonProcess::attach(int port_base) {
  SHOAL_TRY(daemon, connect(port_base));
  SHOAL_TRY(daemon->ask("status"));
  return std::move(daemon);
}

Result<std::unique_ptr<DaemonProcess>> DaemonProcess::start(
    const std::filesystem::path& bin, int port_base,
    const std::vector<std::string>& settings) {
  if (port_base == 0) {
    SHOAL_TRY(base, free_ports());
    port_base = base;
  }
  SHOAL_TRY(daemon, connect(port_base));
  SHOAL_TRY(folder, TemporaryFolder::create("shoal-load"));
  daemon->folder_ = std::make_unique<TemporaryFolder>(std::move(folder));
  std::vector<std::string> arguments = {
      "--data-dir", daemon->folder_->path() / "data", "--port-base",
      std::to_string(port_base)};
  for (const std::string& setting : settings) {
    arguments.emplace_back("--set");
    arguments.push_back(setting);
  }
  SHOAL_TRY(child, ChildProcess::start(bin / "shoald", arguments));
  daemon->child_ = std::make_unique<ChildProcess>(std::move(child));
  SHOAL_TRY(daemon->wait_until_ready());
  return std::move(daemon);
}

DaemonProcess::~DaemonProcess() {
  if (!child_) return;
  child_->signal(SIGTERM);
  // Its standard output ends with it, at the latest when its own drain
  // time-out is over.
  const auto deadline = Clock::now() + seconds(30);
  while (!child_->at_end() && Clock::now() < deadline) {
    child_->read_line(milliseconds(500));
  }
}

Result<void> DaemonProcess::wait_until_ready() {
  const auto deadline = Clock::now() + kLongestStart;
  for (;;) {
    const auto status = ask("status");
    if (status) return ok();
    child_->read_line(milliseconds(0));
    if (child_->at_end()) return unavailable("shoald ended; its log says why");
    if (Clock::now() >= deadline) return status.error().within("shoald");
  }
}

Result<nlohmann::json> DaemonProcess::ask(const std::string& op,
                                          const nlohmann::json& fields) {
  return queries_->call(op, fields);
}

Result<void> DaemonProcess::wait_until_idle(seconds longest) {
  const auto deadline = Clock::now() + longest;
  for (;;) {
    SHOAL_TRY(status, ask("status"));
    if (status.value("pending", 0) == 0) return ok();
    if (Clock::now() >= deadline) {
      return Error{ErrorCode::kDeadlineExceeded, "images are still pending"};
    }
    std::this_thread::sleep_for(kPause);
  }
}

Result<void> DaemonProcess::wait_for_epoch(seconds longest) {
  SHOAL_TRY(wait_until_idle(longest));
  const auto deadline = Clock::now() + longest;
  for (;;) {
    SHOAL_TRY(status, ask("status"));
    if (!status["epoch"].is_null() && !status.value("refining", true)) {
      return ok();
    }
    if (Clock::now() >= deadline) {
      return Error{ErrorCode::kDeadlineExceeded, "no epoch was published"};
    }
    std::this_thread::sleep_for(kPause);
  }
}

Result<std::map<std::string, double>> DaemonProcess::metrics() {
  namespace http = boost::beast::http;
  asio::io_context context;
  asio::ip::tcp::socket socket(context);
  boost::system::error_code error;
  socket.connect({asio::ip::address_v4::loopback(),
                  static_cast<std::uint16_t>(port_base_ + kHttpPort)},
                 error);
  if (error) return unavailable("connect to /metrics: " + error.message());
  http::request<http::empty_body> request(http::verb::get, "/metrics", 11);
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  http::write(socket, request, error);
  if (error) return unavailable("ask for /metrics: " + error.message());
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> response;
  http::read(socket, buffer, response, error);
  if (error) return unavailable("read /metrics: " + error.message());

  std::map<std::string, double> samples;
  std::istringstream lines(response.body());
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.rfind(' ');
    if (line.empty() || line.front() == '#' || space == std::string::npos) {
      continue;
    }
    samples[line.substr(0, space)] =
        std::strtod(line.c_str() + space + 1, nullptr);
  }
  return samples;
}

}  // namespace shoal::bench
