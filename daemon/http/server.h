#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/result.h"
#include "daemon/http/message.h"

namespace shoal {

struct HttpOptions {
  std::string host = "127.0.0.1";  ///< IPv4 address to bind to
  std::uint16_t port = 7304;       ///< 0: any free one
  /// Served at once; further ones are answered 503 and closed.
  std::size_t max_connections = 64;
  /// For a whole request to arrive, for an answer to be taken, and between
  /// two requests of a connection.
  std::chrono::milliseconds timeout{10'000};
  std::uint32_t max_header_bytes = 16 * 1024;
  std::size_t worker_threads = 2;
  /// Requests that may wait for a worker; further ones are answered 503.
  std::size_t worker_queue = 64;
};

/// Called once per answer, refusals included, on the server's I/O thread. 408
/// stands for a client that was cut off in the middle of a request, unanswered.
using HttpObserver = std::function<void(int status)>;

/// Answers a request. Must be callable from several threads at once when it
/// runs on workers. An exception that escapes becomes a 500 and a log line.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

/// A small HTTP/1.1 server: one I/O thread, bounded connections, headers,
/// bodies, times and queues. Handlers that only look at memory run on the I/O
/// thread; those that may wait run on a bounded pool, so that they never hold
/// up a health check.
///
/// Not for the open network: no TLS and no authentication.
/// Thread: routes are added and start() is called by one thread, the owner.
class HttpServer {
 public:
  enum class Match {
    kExact,
    kPrefix,  ///< the path starts with it; the longest prefix wins
  };
  enum class Run {
    kInline,    ///< on the I/O thread: must not wait for anything
    kOnWorker,  ///< on the pool
  };
  struct Route {
    std::string method;  ///< a GET route answers HEAD too
    std::string path;
    Match match = Match::kExact;
    Run run = Run::kInline;
    std::uint64_t max_body_bytes = 0;
    HttpHandler handler;
  };

  explicit HttpServer(HttpOptions options, HttpObserver observer = nullptr);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  /// Stops taking connections, lets running handlers return, drops what is not
  /// answered yet, joins all threads.
  ~HttpServer();

  /// Before start(). An exact route comes before any prefix route.
  void add_route(Route route);

  /// Binds and starts serving; call once.
  /// @return the port bound
  /// Errors: kInvalidArgument for the address; kIo when the port is taken or
  /// not allowed, saying so.
  [[nodiscard]] Result<std::uint16_t> start();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal
