#include "daemon/http/server.h"

#include <arpa/inet.h>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <future>
#include <map>
#include <random>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/mutex.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

// A plain client socket; gives up reading after ten seconds.
class Client {
 public:
  explicit Client(std::uint16_t port)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address),
                           sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }

  // False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void end_of_sending() { ::shutdown(fd_, SHUT_WR); }

  // Everything until the server closes.
  std::string read_all() {
    while (read_some()) {
    }
    return std::exchange(received_, {});
  }
  // One answer: its header and, unless `head`, its body. What came so far when
  // the server closes first.
  std::string read_answer(bool head = false) {
    std::size_t end = std::string::npos;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_some()) return std::exchange(received_, {});
    }
    end += 4;
    const std::size_t at = received_.find("Content-Length: ");
    if (at < end && !head) {
      end += std::stoul(received_.substr(at + std::strlen("Content-Length: ")));
    }
    while (received_.size() < end) {
      if (!read_some()) return std::exchange(received_, {});
    }
    std::string answer = received_.substr(0, end);
    received_.erase(0, end);
    return answer;
  }
  bool closed_by_server() { return received_.empty() && !read_some(); }

 private:
  bool read_some() {
    char buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }

  int fd_;
  bool connected_ = false;
  std::string received_;
};

// Opens once; wait() returns when it is open.
class Gate {
 public:
  void open() {
    {
      const MutexLock lock(mutex_);
      open_ = true;
    }
    opened_.notify_all();
  }
  void wait() {
    MutexLock lock(mutex_);
    while (!open_) lock.wait(opened_);
  }

 private:
  Mutex mutex_;
  std::condition_variable opened_;
  bool open_ SHOAL_GUARDED_BY(mutex_) = false;
};

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    options_.port = 0;
    options_.timeout = milliseconds(5000);
  }
  ~HttpServerTest() override { gate_.open(); }

  void serve() {
    server_ = std::make_unique<HttpServer>(options_, [this](int status) {
      const MutexLock lock(mutex_);
      ++answers_[status];
      answered_.notify_all();
    });
    using Match = HttpServer::Match;
    using Run = HttpServer::Run;
    const auto add = [this](const char* method, const char* path, Match match,
                            Run run, std::uint64_t body, HttpHandler handler) {
      server_->add_route({method, path, match, run, body, std::move(handler)});
    };
    add("GET", "/healthz", Match::kExact, Run::kInline, 0,
        [](const HttpRequest&) { return http_text(200, "ok\n"); });
    add("GET", "/thumb/", Match::kPrefix, Run::kOnWorker, 0,
        [](const HttpRequest& request) {
          return http_text(200, "thumb of " + request.rest);
        });
    add("POST", "/echo", Match::kExact, Run::kOnWorker, 100'000,
        [](const HttpRequest& request) {
          return http_text(
              200, request.body + "|" + request.headers.at("content-type"));
        });
    add("GET", "/slow", Match::kExact, Run::kOnWorker, 0,
        [this](const HttpRequest&) {
          ++slow_started_;
          gate_.wait();
          return http_text(200, "slow\n");
        });
    add("GET", "/throws", Match::kExact, Run::kInline, 0,
        [](const HttpRequest&) -> HttpResponse {
          throw std::runtime_error("boom");
        });
    add("GET", "/", Match::kExact, Run::kInline, 0,
        [](const HttpRequest&) { return http_text(200, "root\n"); });
    port_ = server_->start().value();
  }

  std::string ask(const std::string& request) {
    Client client(port_);
    client.send(request);
    return client.read_answer();
  }
  static std::string get(const std::string& path,
                         const std::string& method = "GET") {
    return method + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  int answers(int status) {
    const MutexLock lock(mutex_);
    return answers_[status];
  }
  void wait_for_answers(int status, int count) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(10);
    MutexLock lock(mutex_);
    while (answers_[status] < count) {
      if (lock.wait_until(answered_, deadline) == std::cv_status::timeout) {
        break;
      }
    }
  }

  HttpOptions options_;
  Gate gate_;
  std::atomic<int> slow_started_{0};
  Mutex mutex_;
  std::condition_variable answered_;
  std::map<int, int> answers_ SHOAL_GUARDED_BY(mutex_);
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
};

TEST_F(HttpServerTest, AnswersExactAndPrefixRoutes) {
  serve();
  EXPECT_THAT(ask(get("/healthz")), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(ask(get("/thumb/cam%201/a.jpg?w=9")),
              testing::EndsWith("thumb of cam 1/a.jpg"));
  EXPECT_THAT(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n"
                  "Content-Length: 5\r\n\r\nhello"),
              testing::EndsWith("hello|a/b"));
  EXPECT_EQ(answers(200), 3);
}

TEST_F(HttpServerTest, TakesChunkedBodiesAndExpectContinue) {
  serve();
  EXPECT_THAT(ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: t\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
                  "0\r\n\r\n"),
              testing::EndsWith("abcde|t"));
  Client client(port_);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: t\r\n"
      "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 100 Continue"));
  client.send("hi");
  EXPECT_THAT(client.read_answer(), testing::EndsWith("hi|t"));
}

TEST_F(HttpServerTest, SaysClearlyWhatItDoesNotServe) {
  serve();
  EXPECT_THAT(ask(get("/nothing")), StartsWith("HTTP/1.1 404 "));
  const std::string answer = ask(get("/healthz", "DELETE"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n"));
  EXPECT_THAT(ask("GET /healthz HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask(get("/%zz")), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask(get("/throws")), StartsWith("HTTP/1.1 500 "));
  EXPECT_EQ(answers(404), 1);
  EXPECT_EQ(answers(405), 1);
  EXPECT_EQ(answers(400), 2);
  EXPECT_EQ(answers(500), 1);
}

TEST_F(HttpServerTest, HeadGivesTheHeaderOfGetWithoutItsBody) {
  serve();
  Client client(port_);
  client.send(get("/healthz", "HEAD"));
  const std::string head = client.read_answer(true);
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 3\r\n"));
  // The next answer follows at once, so no body was sent.
  client.send(get("/healthz"));
  EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  serve();
  Client client(port_);
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += get("/thumb/" + std::to_string(i));
    requests += get("/healthz");
  }
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(client.read_answer(),
                testing::EndsWith("thumb of " + std::to_string(i)));
    EXPECT_THAT(client.read_answer(), testing::EndsWith("ok\n"));
  }
}

TEST_F(HttpServerTest, ClosesWhenAskedAndForHttp10) {
  serve();
  for (const char* request :
       {"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n"}) {
    Client client(port_);
    client.send(request);
    EXPECT_THAT(client.read_answer(), testing::EndsWith("ok\n"));
    EXPECT_TRUE(client.closed_by_server());
  }
}

TEST_F(HttpServerTest, HugeHeadersGet431) {
  serve();
  const std::string answer =
      ask("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(1'000'000, 'a') +
          "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(ask("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(answers(431), 2);
}

TEST_F(HttpServerTest, LargeBodiesGet413WithoutBeingRead) {
  serve();
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: t\r\n";
  EXPECT_THAT(ask(head + "Content-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(ask(head + "Transfer-Encoding: chunked\r\n\r\n40000\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(
      ask(head + "Content-Length: 100001\r\n\r\n" + std::string(100'001, 'x')),
      StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(
      ask(head + "Content-Length: 100000\r\n\r\n" + std::string(100'000, 'x')),
      StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                  "\r\nx"),
              StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, GarbageGets400AndServingGoesOn) {
  serve();
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(1 + random() % 600, '\0');
    for (char& c : bytes) c = static_cast<char>(random() & 0xff);
    if (round % 2 == 0) {
      // Valid but for one byte.
      const std::string valid = get("/thumb/abc?x=1");
      const std::size_t at = random() % valid.size();
      bytes = valid;
      bytes[at] = static_cast<char>(random() & 0xff);
    }
    Client client(port_);
    client.send(bytes);
    client.end_of_sending();
    const std::string answer = client.read_all();
    if (!answer.empty()) {
      EXPECT_THAT(answer, StartsWith("HTTP/1."));
    }
  }
  EXPECT_THAT(ask("\x16\x03\x01 TLS hello\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask(get("/healthz")), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, ASlowClientIsCutOffInTheMiddleOfItsRequest) {
  options_.timeout = milliseconds(100);
  serve();
  Client header(port_);
  header.send("GET /healthz HT");
  EXPECT_TRUE(header.closed_by_server());
  Client body(port_);
  body.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: t\r\n"
      "Content-Length: 10\r\n\r\nhal");
  EXPECT_TRUE(body.closed_by_server());
  wait_for_answers(408, 2);
  EXPECT_EQ(answers(408), 2);
}

TEST_F(HttpServerTest, SendingByteByByteDoesNotExtendTheTime) {
  options_.timeout = milliseconds(100);
  serve();
  Client client(port_);
  const auto start = std::chrono::steady_clock::now();
  // Ends when the server closes; each byte alone is in time.
  while (client.send("G")) {
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(8)) {
      FAIL() << "still connected";
    }
  }
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosedWithoutBeingCounted) {
  options_.timeout = milliseconds(100);
  serve();
  Client client(port_);
  client.send(get("/healthz"));
  EXPECT_THAT(client.read_answer(), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(answers(408), 0);
}

TEST_F(HttpServerTest, SlowHandlersDoNotHoldUpHealthChecks) {
  options_.worker_threads = 1;
  options_.worker_queue = 2;
  serve();
  std::vector<std::unique_ptr<Client>> waiting;
  const auto ask_slow = [&] {
    waiting.push_back(std::make_unique<Client>(port_));
    waiting.back()->send(get("/slow"));
  };
  ask_slow();
  while (slow_started_ == 0) std::this_thread::yield();
  // One runs; of these, two wait and the others are refused.
  for (int i = 0; i < 5; ++i) ask_slow();
  wait_for_answers(503, 3);
  EXPECT_EQ(answers(503), 3);
  EXPECT_THAT(ask(get("/healthz")), StartsWith("HTTP/1.1 200 "));
  gate_.open();
  int served = 0;
  int refused = 0;
  for (auto& client : waiting) {
    const std::string answer = client->read_answer();
    if (answer.find(" 200 ") != std::string::npos) ++served;
    if (answer.find(" 503 ") != std::string::npos) {
      ++refused;
      EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
    }
  }
  EXPECT_EQ(served, 3);
  EXPECT_EQ(refused, 3);
}

TEST_F(HttpServerTest, ConnectionsBeyondTheLimitGet503) {
  options_.max_connections = 10;
  options_.worker_threads = 1;
  serve();
  // Ten connections, known to be served.
  std::vector<std::unique_ptr<Client>> served;
  for (int i = 0; i < 10; ++i) {
    served.push_back(std::make_unique<Client>(port_));
    served.back()->send(get("/healthz"));
    ASSERT_THAT(served.back()->read_answer(), StartsWith("HTTP/1.1 200 "));
  }
  std::vector<std::future<std::string>> others;
  for (int i = 0; i < 90; ++i) {
    others.push_back(std::async(std::launch::async, [this] {
      Client client(port_);
      client.send(get("/healthz"));
      return client.read_all();
    }));
  }
  int refused = 0;
  for (auto& other : others) {
    const std::string answer = other.get();
    // Past the limit of refusals under way a connection is just closed.
    if (answer.empty()) continue;
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    ++refused;
  }
  EXPECT_GE(refused, 10);
  EXPECT_EQ(answers(503), 90);
  for (auto& client : served) {
    client->send(get("/healthz"));
    EXPECT_THAT(client->read_answer(), StartsWith("HTTP/1.1 200 "));
  }
  // A place becomes free when a client goes; the server learns it by itself.
  served.clear();
  std::string answer;
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
  do {
    answer = ask(get("/healthz"));
  } while (answer.find(" 200 ") == std::string::npos &&
           std::chrono::steady_clock::now() < deadline);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, AHundredParallelClientsAreServedWithinTheLimit) {
  options_.max_connections = 200;
  serve();
  std::vector<std::future<std::string>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::async(std::launch::async, [this, i] {
      return ask(get("/thumb/" + std::to_string(i)));
    }));
  }
  int good = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string answer = clients[static_cast<std::size_t>(i)].get();
    // The queue in front of the workers may refuse some, clearly.
    if (answer.find(" 200 ") != std::string::npos) {
      EXPECT_THAT(answer, testing::EndsWith("thumb of " + std::to_string(i)));
      ++good;
    } else {
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    }
  }
  EXPECT_GE(good, 1);
  EXPECT_EQ(answers(200) + answers(503), 100);
}

TEST_F(HttpServerTest, StopsWhileClientsAreConnectedAndRequestsWait) {
  options_.worker_threads = 1;
  serve();
  Client idle(port_);
  Client half(port_);
  half.send("GET /hea");
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<Client>(port_));
    slow.back()->send(get("/slow"));
  }
  while (slow_started_ == 0) std::this_thread::yield();
  auto stopped = std::async(std::launch::async, [this] { server_.reset(); });
  gate_.open();
  stopped.get();
  EXPECT_TRUE(half.closed_by_server());
  EXPECT_FALSE(Client(port_).connected());
}

TEST_F(HttpServerTest, APortInUseIsReportedWithWhatToDo) {
  serve();
  HttpOptions options;
  options.port = port_;
  HttpServer second(options);
  const auto result = second.start();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message,
            "port " + std::to_string(port_) +
                " on 127.0.0.1 is in use: is another shoald running? use "
                "--port-base");
}

TEST_F(HttpServerTest, AnAddressThatIsNoneIsRefused) {
  HttpOptions options;
  options.host = "localhost:80";
  HttpServer server(options);
  EXPECT_EQ(server.start().error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
