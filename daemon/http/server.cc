#include "daemon/http/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <exception>
#include <limits>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <spdlog/spdlog.h>

#include "common/channel.h"
#include "common/check.h"
#include "common/log.h"
#include "common/version.h"

namespace shoal {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

// How long and how much is read and thrown away after a refusal, so that the
// client sees the answer and not a reset.
constexpr std::chrono::milliseconds kLingerTime{1000};
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr std::chrono::milliseconds kAcceptRetry{100};

HttpResponse overloaded(std::string_view what) {
  HttpResponse response = http_text(503, std::string(what) + "\n");
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

std::string lower_case(beast::string_view text) {
  std::string out(text.data(), text.size());
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

HttpResponse call(const HttpHandler& handler, const HttpRequest& request) {
  try {
    return handler(request);
  } catch (const std::exception& error) {
    // A handler reports what it expects as a response; this is a bug that must
    // not take the daemon down.
    spdlog::error("event=http_handler_failed path={} error={}",
                  log_value(request.path), log_value(error.what()));
    return http_text(500, "internal error\n");
  }
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, HttpObserver observer)
      : options_(std::move(options)),
        observer_(std::move(observer)),
        jobs_(options_.worker_queue),
        acceptor_(io_),
        accept_timer_(io_) {}
  ~Impl();

  void add_route(Route route) { routes_.push_back(std::move(route)); }
  Result<std::uint16_t> start();

 private:
  class Session;
  struct Job {
    std::shared_ptr<Session> session;
    const Route* route = nullptr;
    HttpRequest request;
  };
  // Which route takes a request, or why none does.
  struct Found {
    const Route* route = nullptr;
    std::string allow;  // methods, when only the method is wrong
  };

  [[nodiscard]] Found find(std::string_view method,
                           const std::string& path) const;
  void accept();
  void on_accept(error_code error, tcp::socket socket);
  void work();
  void observe(int status) {
    if (observer_) observer_(status);
  }

  const HttpOptions options_;
  const HttpObserver observer_;
  std::vector<Route> routes_;
  // Owned by the I/O thread once it runs.
  std::size_t serving_ = 0;
  std::size_t refusing_ = 0;
  // Sessions in jobs and in io_'s handlers hold sockets of io_, and count
  // themselves above: destroyed in the right order by ~Impl and this order.
  asio::io_context io_{1};
  Channel<Job> jobs_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_timer_;
  std::atomic<bool> stopping_{false};  // tells workers to drop what waits
  std::vector<std::thread> workers_;
  std::thread io_thread_;
};

// One connection. Lives as long as one of its operations is under way; all
// members belong to the I/O thread, a worker only carries the pointer.
class HttpServer::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  // `refused`: answer 503 and close.
  Session(Impl& server, tcp::socket socket, bool refused)
      : server_(server),
        stream_(std::move(socket)),
        buffer_(server.options_.max_header_bytes + (64U << 10)),
        counter_(refused ? server.refusing_ : server.serving_) {
    ++counter_;
  }
  ~Session() { --counter_; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void serve() { read_header(); }
  void refuse() { fail(overloaded("too many connections")); }
  // The answer of a worker; on the I/O thread.
  void finish(HttpResponse response) { answer(std::move(response)); }

 private:
  using Parser = http::request_parser<http::string_body>;

  void read_header() {
    request_started_ = buffer_.size() > 0;
    head_ = false;
    keep_alive_ = false;
    version_ = 11;
    parser_.emplace();
    parser_->header_limit(server_.options_.max_header_bytes);
    // The route decides, once the header is known. (boost::none would be
    // taken for a limit of nothing by Boost 1.74.)
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());
    stream_.expires_after(server_.options_.timeout);
    http::async_read_header(
        stream_, buffer_, *parser_,
        beast::bind_front_handler(&Session::on_header, shared_from_this()));
  }

  void on_header(error_code error, std::size_t) {
    if (error) return on_read_error(error);
    const auto& message = parser_->get();
    version_ = message.version();
    head_ = message.method() == http::verb::head;
    if (version_ >= 11 && message.find(http::field::host) == message.end()) {
      return fail(http_text(400, "the Host header is missing\n"));
    }
    auto target =
        parse_http_target({message.target().data(), message.target().size()});
    if (!target) return fail(http_text(400, target.error().message + "\n"));
    request_ = HttpRequest{};
    request_.path = std::move(target.value().path);
    request_.parameters = std::move(target.value().parameters);
    const auto method = message.method_string();
    request_.method = head_ ? "GET" : std::string(method.data(), method.size());

    const Found found = server_.find(request_.method, request_.path);
    route_ = found.route;
    const std::uint64_t limit = route_ == nullptr ? 0 : route_->max_body_bytes;
    const auto length = parser_->content_length();
    if (route_ == nullptr) {
      HttpResponse response =
          found.allow.empty()
              ? http_text(404, "there is nothing here\n")
              : http_text(405, "allowed: " + found.allow + "\n");
      if (!found.allow.empty()) {
        response.headers.emplace_back("Allow", found.allow);
      }
      const bool has_body = parser_->chunked() || (length && *length > 0);
      if (has_body) return fail(std::move(response));
      keep_alive_ = message.keep_alive();
      return answer(std::move(response));
    }
    if (length && *length > limit) return fail(too_large(limit));
    parser_->body_limit(limit);
    if (lower_case(message[http::field::expect]) == "100-continue") {
      return send_continue();
    }
    read_body();
  }

  void send_continue() {
    interim_.emplace(http::status::continue_, version_);
    http::async_write(
        stream_, *interim_,
        [self = shared_from_this()](error_code error, std::size_t) {
          // Otherwise the client has gone; so does the session.
          if (!error) self->read_body();
        });
  }

  void read_body() {
    http::async_read(
        stream_, buffer_, *parser_,
        beast::bind_front_handler(&Session::on_body, shared_from_this()));
  }

  void on_body(error_code error, std::size_t) {
    if (error) return on_read_error(error);
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    for (const auto& field : message) {
      request_.headers[lower_case(field.name_string())] =
          std::string(field.value().data(), field.value().size());
    }
    request_.body = std::move(message.body());
    if (route_->match == Match::kPrefix) {
      request_.rest = request_.path.substr(route_->path.size());
    }
    if (route_->run == Run::kInline) {
      return answer(call(route_->handler, request_));
    }
    Job job{shared_from_this(), route_, std::move(request_)};
    if (server_.jobs_.try_send(job) != Channel<Job>::SendStatus::kSent) {
      answer(overloaded("too many requests are waiting"));
    }
  }

  void on_read_error(error_code error) {
    if (error == http::error::header_limit ||
        error == http::error::buffer_overflow) {
      return fail(
          http_text(431, "the header is larger than " +
                             std::to_string(server_.options_.max_header_bytes) +
                             " bytes\n"));
    }
    if (error == http::error::body_limit) {
      return fail(too_large(route_ == nullptr ? 0 : route_->max_body_bytes));
    }
    if (error == beast::error::timeout) {
      // The stream has closed the socket. Between two requests that is the
      // normal end of a connection.
      if (request_started_ || buffer_.size() > 0 || parser_->got_some()) {
        server_.observe(408);
      }
      return;
    }
    const bool malformed =
        error.category() == make_error_code(http::error::bad_method).category();
    if (malformed && error != http::error::end_of_stream &&
        error != http::error::partial_message) {
      return fail(
          http_text(400, "malformed request: " + error.message() + "\n"));
    }
    // The client has gone.
  }

  static HttpResponse too_large(std::uint64_t limit) {
    return http_text(
        413, "the body is larger than " + std::to_string(limit) + " bytes\n");
  }

  // Answers, then closes: the rest of the request cannot be made sense of.
  void fail(HttpResponse response) {
    keep_alive_ = false;
    answer(std::move(response));
  }

  void answer(HttpResponse response) {
    server_.observe(response.status);
    response_.emplace();
    auto& message = *response_;
    message.version(version_);
    message.result(static_cast<unsigned>(response.status));
    message.set(http::field::server, "shoal/" + std::string(kVersion));
    message.set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) {
      message.set(name, value);
    }
    message.keep_alive(keep_alive_);
    message.body() = std::move(response.body);
    message.prepare_payload();
    // A HEAD answer has the length of what GET would give, and no body.
    if (head_) message.body().clear();
    stream_.expires_after(server_.options_.timeout);
    http::async_write(
        stream_, message,
        beast::bind_front_handler(&Session::on_written, shared_from_this()));
  }

  void on_written(error_code error, std::size_t) {
    if (error) return;  // The client has gone, or does not read.
    if (keep_alive_) return read_header();
    error_code ignored;  // It may have closed already.
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kLingerTime);
    linger(0);
  }

  void linger(std::size_t so_far) {
    if (so_far >= kLingerBytes) return;
    stream_.async_read_some(
        asio::buffer(waste_),
        [self = shared_from_this(), so_far](error_code error, std::size_t n) {
          if (!error) self->linger(so_far + n);
        });
  }

  Impl& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::size_t& counter_;
  std::optional<Parser> parser_;
  bool request_started_ = false;
  bool head_ = false;
  bool keep_alive_ = false;
  unsigned version_ = 11;
  const Route* route_ = nullptr;
  HttpRequest request_;
  std::optional<http::response<http::empty_body>> interim_;
  std::optional<http::response<http::string_body>> response_;
  std::array<char, 4096> waste_{};
};

HttpServer::Impl::~Impl() {
  io_.stop();
  if (io_thread_.joinable()) io_thread_.join();
  stopping_ = true;
  jobs_.close();
  for (std::thread& worker : workers_) worker.join();
}

Result<std::uint16_t> HttpServer::Impl::start() {
  SHOAL_CHECK(workers_.empty(), "start() is called once");
  error_code error;
  const auto address = asio::ip::make_address_v4(options_.host, error);
  if (error) {
    return invalid_argument("'" + options_.host + "' is not an IPv4 address");
  }
  const tcp::endpoint endpoint(address, options_.port);
  const std::string place =
      "port " + std::to_string(options_.port) + " on " + options_.host;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error)
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use) {
    return io_error(place +
                    " is in use: is another shoald running? use --port-base");
  }
  if (error) return io_error("open " + place + ": " + error.message());
  const std::uint16_t port = acceptor_.local_endpoint(error).port();
  if (error) return io_error("open " + place + ": " + error.message());

  accept();
  for (std::size_t i = 0; i < std::max<std::size_t>(1, options_.worker_threads);
       ++i) {
    workers_.emplace_back([this] { work(); });
  }
  io_thread_ = std::thread([this] { io_.run(); });
  return port;
}

HttpServer::Impl::Found HttpServer::Impl::find(std::string_view method,
                                               const std::string& path) const {
  // How well a route fits the path; 0: not at all.
  const auto rank = [&path](const Route& route) -> std::size_t {
    if (route.match == Match::kExact) {
      return route.path == path ? path.size() + 2 : 0;
    }
    return path.compare(0, route.path.size(), route.path) == 0
               ? route.path.size() + 1
               : 0;
  };
  std::size_t best = 0;
  for (const Route& route : routes_) best = std::max(best, rank(route));
  Found found;
  if (best == 0) return found;
  std::set<std::string> methods;
  for (const Route& route : routes_) {
    if (rank(route) != best) continue;
    if (route.method == method) found.route = &route;
    methods.insert(route.method);
  }
  if (methods.count("GET") > 0) methods.insert("HEAD");
  for (const std::string& name : methods) {
    found.allow += (found.allow.empty() ? "" : ", ") + name;
  }
  return found;
}

void HttpServer::Impl::accept() {
  acceptor_.async_accept([this](error_code error, tcp::socket socket) {
    on_accept(error, std::move(socket));
  });
}

void HttpServer::Impl::on_accept(error_code error, tcp::socket socket) {
  if (error == asio::error::operation_aborted) return;
  if (error) {
    // Out of descriptors, most likely: trying at once would spin.
    spdlog::warn("event=http_accept_failed error={}",
                 log_value(error.message()));
    accept_timer_.expires_after(kAcceptRetry);
    accept_timer_.async_wait([this](error_code stopped) {
      if (!stopped) accept();
    });
    return;
  }
  if (serving_ < options_.max_connections) {
    std::make_shared<Session>(*this, std::move(socket), false)->serve();
  } else if (refusing_ < options_.max_connections) {
    std::make_shared<Session>(*this, std::move(socket), true)->refuse();
  } else {
    observe(503);  // Closed without a word: even refusals are bounded.
  }
  accept();
}

void HttpServer::Impl::work() {
  while (auto job = jobs_.receive()) {
    HttpResponse response = stopping_ ? overloaded("shutting down")
                                      : call(job->route->handler, job->request);
    // Always handed back, even when nothing runs io_ any more: a session ends
    // on the I/O thread or with io_, never here.
    asio::post(io_, [session = std::move(job->session),
                     answer = std::move(response)]() mutable {
      session->finish(std::move(answer));
    });
  }
}

HttpServer::HttpServer(HttpOptions options, HttpObserver observer)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(observer))) {}
HttpServer::~HttpServer() = default;

void HttpServer::add_route(Route route) { impl_->add_route(std::move(route)); }

Result<std::uint16_t> HttpServer::start() { return impl_->start(); }

}  // namespace shoal
