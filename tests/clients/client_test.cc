#include "clients/cpp/client.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/protocol/query.h"
#include "tests/clients/fake_daemon.h"

namespace shoal {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::FakePublisher;
using test::FakeRouter;
using test::Frames;
using ::testing::HasSubstr;

/// Nothing listens there.
constexpr char kNobody[] = "tcp://127.0.0.1:1";

IngestImage image(std::string bytes) {
  IngestImage made;
  made.header.id = "id of " + bytes;
  made.bytes = std::move(bytes);
  return made;
}

Frames answer(const Frames& message, IngestStatus status) {
  const DecodedIngestHeader decoded = decode_ingest_header(message.at(0));
  IngestReply reply;
  reply.seq = decoded.seq;
  reply.id = decoded.header->id.value_or("");
  reply.status = status;
  if (status == IngestStatus::kBusy) {
    reply.error = WireError{"queue_full", "the queue is full"};
    reply.retry_after_ms = 20;
  }
  return {encode_ingest_reply(reply)};
}

/// Polls until every image has its outcome, or an error comes.
Result<std::map<std::uint64_t, IngestReply>> finish(IngestClient& client) {
  std::map<std::uint64_t, IngestReply> replies;
  while (client.in_flight() > 0) {
    SHOAL_TRY(outcomes, client.poll(milliseconds(1'000)));
    for (const IngestOutcome& outcome : outcomes) {
      replies.emplace(outcome.seq, outcome.reply);
    }
  }
  return replies;
}

TEST(IngestClientTest, AnImageArrivesWithItsHeader) {
  Frames received;
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    received = message;
    send(answer(message, IngestStatus::kStored));
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  IngestClient client = IngestClient::connect(options).value();
  IngestImage sent = image("bytes");
  sent.header.source = "door";
  const std::uint64_t seq = client.submit(std::move(sent)).value();
  const auto replies = finish(client).value();
  server.reset();
  ASSERT_EQ(received.size(), 2U);
  const auto header = decode_ingest_header(received[0]).header;
  EXPECT_EQ(header->seq, seq);
  EXPECT_EQ(header->source, "door");
  EXPECT_EQ(received[1], "bytes");
  EXPECT_EQ(replies.at(seq).status, IngestStatus::kStored);
  EXPECT_EQ(replies.at(seq).id, "id of bytes");
}

TEST(IngestClientTest, BusyIsRetriedUntilStored) {
  std::map<std::string, int> sends;
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    const bool is_busy = ++sends[message.at(1)] <= 2;
    send(
        answer(message, is_busy ? IngestStatus::kBusy : IngestStatus::kStored));
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  IngestClient client = IngestClient::connect(options).value();
  const auto start = steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.submit(image(std::to_string(i))).has_value());
  }
  const auto replies = finish(client).value();
  server.reset();
  EXPECT_EQ(replies.size(), 20U);
  for (const auto& [seq, reply] : replies) {
    EXPECT_EQ(reply.status, IngestStatus::kStored);
  }
  for (const auto& [bytes, count] : sends) EXPECT_EQ(count, 3) << bytes;
  // Two waits of 50 ms and 100 ms at least.
  EXPECT_GE(steady_clock::now() - start, milliseconds(150));
}

TEST(IngestClientTest, RepliesInAnyOrderFindTheirImages) {
  constexpr std::size_t kCount = 10;
  std::vector<std::pair<Frames, FakeRouter::Send>> waiting;
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    waiting.emplace_back(message, send);
    if (waiting.size() < kCount) return;
    for (auto at = waiting.rbegin(); at != waiting.rend(); ++at) {
      at->second(answer(at->first, IngestStatus::kStored));
    }
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  IngestClient client = IngestClient::connect(options).value();
  std::map<std::uint64_t, std::string> ids;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string bytes = std::to_string(i);
    ids[client.submit(image(bytes)).value()] = "id of " + bytes;
  }
  const auto replies = finish(client).value();
  ASSERT_EQ(replies.size(), kCount);
  for (const auto& [seq, id] : ids) EXPECT_EQ(replies.at(seq).id, id);
}

TEST(IngestClientTest, ALostReplyMakesItSendAgain) {
  std::vector<Frames> received;
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    received.push_back(message);
    if (received.size() < 3) return;
    send(answer(message, IngestStatus::kDuplicate));
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  options.resend_after = milliseconds(50);
  IngestClient client = IngestClient::connect(options).value();
  const std::uint64_t seq = client.submit(image("bytes")).value();
  const auto replies = finish(client).value();
  server.reset();
  EXPECT_EQ(replies.at(seq).status, IngestStatus::kDuplicate);
  ASSERT_GE(received.size(), 3U);
  EXPECT_EQ(received[0], received[1]);
  EXPECT_EQ(received[0], received[2]);
}

TEST(IngestClientTest, ASecondReplyToAnImageIsIgnored) {
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    send(answer(message, IngestStatus::kStored));
    send(answer(message, IngestStatus::kDuplicate));
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  IngestClient client = IngestClient::connect(options).value();
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t seq = client.submit(image("bytes")).value();
    const auto replies = finish(client).value();
    ASSERT_EQ(replies.size(), 1U);
    EXPECT_EQ(replies.at(seq).status, IngestStatus::kStored);
  }
}

TEST(IngestClientTest, ARestartedDaemonGetsWhatTheOldOneLeftUnanswered) {
  std::set<std::string> lost;
  auto first = FakeRouter::bind(
      [&](const Frames& message, const auto&) { lost.insert(message.at(1)); });
  const std::string endpoint = first->endpoint();
  IngestOptions options;
  options.endpoint = endpoint;
  // Only the new connection can make it send again in time.
  options.resend_after = milliseconds(600'000);
  IngestClient client = IngestClient::connect(options).value();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.submit(image(std::to_string(i))).has_value());
  }
  // Long enough for them to be sent; no reply ends the wait.
  EXPECT_TRUE(client.poll(milliseconds(300)).value().empty());
  first.reset();
  EXPECT_EQ(lost.size(), 5U);

  std::unique_ptr<FakeRouter> second;
  while (second == nullptr) {
    second = FakeRouter::bind(
        [](const Frames& message, const auto& send) {
          send(answer(message, IngestStatus::kStored));
        },
        endpoint);
  }
  EXPECT_EQ(finish(client).value().size(), 5U);
}

TEST(IngestClientTest, AFullWindowTakesNoMore) {
  IngestOptions options;
  options.endpoint = kNobody;
  options.window = 3;
  IngestClient client = IngestClient::connect(options).value();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(client.has_room());
    EXPECT_TRUE(client.submit(image("x")).has_value());
  }
  EXPECT_FALSE(client.has_room());
  EXPECT_EQ(client.submit(image("x")).error().code,
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(client.in_flight(), 3U);

  options.window_bytes = 10;
  IngestClient narrow = IngestClient::connect(options).value();
  EXPECT_TRUE(narrow.submit(image(std::string(11, 'x'))).has_value());
  EXPECT_FALSE(narrow.has_room());
}

TEST(IngestClientTest, AnAbsentDaemonIsNotReachable) {
  IngestOptions options;
  options.endpoint = kNobody;
  options.unreachable_after = milliseconds(200);
  IngestClient client = IngestClient::connect(options).value();
  // Nothing waits, so nothing is wrong.
  EXPECT_TRUE(client.poll(milliseconds(300)).has_value());
  ASSERT_TRUE(client.submit(image("x")).has_value());
  const auto outcomes = client.poll(milliseconds(10'000));
  ASSERT_TRUE(outcomes.has_error());
  EXPECT_EQ(outcomes.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(outcomes.error().message, HasSubstr(kNobody));
  EXPECT_THAT(outcomes.error().message, HasSubstr("shoald"));
  EXPECT_EQ(client.in_flight(), 1U);
}

TEST(IngestClientTest, ASilentDaemonTimesOut) {
  auto server = FakeRouter::bind([](const Frames&, const auto&) {});
  IngestOptions options;
  options.endpoint = server->endpoint();
  options.silent_after = milliseconds(300);
  IngestClient client = IngestClient::connect(options).value();
  ASSERT_TRUE(client.submit(image("x")).has_value());
  const auto outcomes = client.poll(milliseconds(10'000));
  ASSERT_TRUE(outcomes.has_error());
  EXPECT_EQ(outcomes.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(outcomes.error().message, HasSubstr(server->endpoint()));
}

TEST(IngestClientTest, AForeverBusyDaemonIsReportedWithItsReason) {
  auto server = FakeRouter::bind([](const Frames& message, const auto& send) {
    send(answer(message, IngestStatus::kBusy));
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  options.busy_after = milliseconds(300);
  IngestClient client = IngestClient::connect(options).value();
  ASSERT_TRUE(client.submit(image("x")).has_value());
  const auto outcomes = client.poll(milliseconds(10'000));
  ASSERT_TRUE(outcomes.has_error());
  EXPECT_EQ(outcomes.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(outcomes.error().message, HasSubstr("the queue is full"));
}

TEST(IngestClientTest, APeerThatSpeaksSomethingElseIsReported) {
  auto server = FakeRouter::bind(
      [](const Frames&, const auto& send) { send({"good day"}); });
  IngestOptions options;
  options.endpoint = server->endpoint();
  IngestClient client = IngestClient::connect(options).value();
  ASSERT_TRUE(client.submit(image("x")).has_value());
  const auto outcomes = client.poll(milliseconds(10'000));
  ASSERT_TRUE(outcomes.has_error());
  EXPECT_EQ(outcomes.error().code, ErrorCode::kInvalidArgument);
}

TEST(IngestClientTest, BusyMakesItSendFewerAtOnce) {
  constexpr std::size_t kWindow = 32;
  std::size_t received = 0;
  std::set<std::string> sent_at_once;
  bool answers = false;
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    if (++received <= kWindow) {
      send(answer(message, IngestStatus::kBusy));
      return;
    }
    // Silent until an image comes again: by then the client has sent all
    // that it is willing to have unanswered.
    answers = answers || !sent_at_once.insert(message.at(1)).second;
    if (answers) send(answer(message, IngestStatus::kStored));
  });
  IngestOptions options;
  options.endpoint = server->endpoint();
  options.window = kWindow;
  options.resend_after = milliseconds(300);
  IngestClient client = IngestClient::connect(options).value();
  for (std::size_t i = 0; i < kWindow; ++i) {
    ASSERT_TRUE(client.submit(image(std::to_string(i))).has_value());
  }
  std::size_t finished = 0;
  while (client.in_flight() > 0) {
    finished += client.poll(milliseconds(1'000)).value().size();
  }
  server.reset();
  EXPECT_EQ(finished, kWindow);
  // Beside the refused ones and the answered ones there are only those, half
  // as many, that were sent together and met with silence.
  EXPECT_EQ(received, 2 * kWindow + kWindow / 2);
}

// ---------------------------------------------------------------- queries

QueryClient query_client(const std::string& endpoint, int timeout_ms = 10'000) {
  QueryOptions options;
  options.endpoint = endpoint;
  options.timeout = milliseconds(timeout_ms);
  options.unreachable_after = milliseconds(3'000);
  return QueryClient::connect(options).value();
}

TEST(QueryClientTest, GetsTheFieldsOfTheReply) {
  auto server = FakeRouter::bind([](const Frames& message, const auto& send) {
    const QueryRequest request = decode_query(message.at(0));
    send({encode_query_reply(request,
                             json({{"asked", request.op}, {"id", "a"}}))});
  });
  QueryClient client = query_client(server->endpoint());
  EXPECT_EQ(client.call("status").value(),
            json({{"asked", "status"}, {"id", "a"}}));
  EXPECT_EQ(client.call("epochs").value()["asked"], "epochs");
}

TEST(QueryClientTest, RefusalsKeepTheirKindAndCode) {
  auto server = FakeRouter::bind([](const Frames& message, const auto& send) {
    const QueryRequest request = decode_query(message.at(0));
    send({encode_query_reply(
        request, WireError{request.op == "image" ? "not_found" : "no_epoch",
                           "it is so"})});
  });
  QueryClient client = query_client(server->endpoint());
  const Result<json> image = client.call("image");
  EXPECT_EQ(image.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(image.error().message, "it is so [not_found]");
  EXPECT_EQ(client.call("similar").error().code,
            ErrorCode::kFailedPrecondition);
}

TEST(QueryClientTest, ALateReplyIsNotTakenForTheNext) {
  std::optional<FakeRouter::Send> first_send;
  std::optional<QueryRequest> first;
  auto server = FakeRouter::bind([&](const Frames& message, const auto& send) {
    const QueryRequest request = decode_query(message.at(0));
    if (!first.has_value()) {
      first = request;
      first_send = send;
      return;
    }
    (*first_send)({encode_query_reply(*first, json({{"n", 1}}))});
    send({encode_query_reply(request, json({{"n", 2}}))});
  });
  QueryClient client = query_client(server->endpoint(), 300);
  const Result<json> given_up = client.call("status");
  ASSERT_TRUE(given_up.has_error());
  EXPECT_EQ(given_up.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(given_up.error().message, HasSubstr("300 ms"));
  EXPECT_EQ(client.call("status").value()["n"], 2);
}

TEST(QueryClientTest, AnAbsentDaemonIsNotReachable) {
  QueryOptions options;
  options.endpoint = kNobody;
  options.unreachable_after = milliseconds(200);
  QueryClient client = QueryClient::connect(options).value();
  const Result<json> reply = client.call("status");
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(reply.error().message, HasSubstr(kNobody));
}

TEST(QueryClientTest, ALostConnectionEndsTheWait) {
  std::promise<void> asked;
  auto server =
      FakeRouter::bind([&](const Frames&, const auto&) { asked.set_value(); });
  QueryClient client = query_client(server->endpoint(), 60'000);
  std::thread stopper([&] {
    asked.get_future().wait();
    server.reset();
  });
  const Result<json> reply = client.call("status");
  stopper.join();
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(reply.error().message, HasSubstr("lost"));
}

TEST(QueryClientTest, AMalformedEndpointIsRefused) {
  QueryOptions options;
  options.endpoint = "localhost";
  const auto client = QueryClient::connect(options);
  ASSERT_TRUE(client.has_error());
  EXPECT_EQ(client.error().code, ErrorCode::kInvalidArgument);
}

// ----------------------------------------------------------------- events

TEST(EventClientTest, GetsTheEventsOfItsTopics) {
  auto publisher = FakePublisher::bind(
      {{"refine.progress", encode_event({{"run", 1}})},
       {"image.moved", encode_event({{"id", "a"}, {"to", 4}})}});
  EventOptions options;
  options.endpoint = publisher->endpoint();
  options.topics = {"image."};
  EventClient client = EventClient::connect(options).value();
  ASSERT_TRUE(client.wait_connected(milliseconds(10'000)).has_value());
  for (int i = 0; i < 3; ++i) {
    const auto event = client.next(milliseconds(10'000)).value();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->topic, "image.moved");
    EXPECT_EQ(event->fields, json({{"v", 1}, {"id", "a"}, {"to", 4}}));
  }
}

TEST(EventClientTest, SaysWhenNothingComesAndWhenNobodyIsThere) {
  auto publisher = FakePublisher::bind({});
  EventOptions options;
  options.endpoint = publisher->endpoint();
  EventClient client = EventClient::connect(options).value();
  EXPECT_TRUE(client.wait_connected(milliseconds(10'000)).has_value());
  EXPECT_FALSE(client.next(milliseconds(50)).value().has_value());

  options.endpoint = kNobody;
  EventClient alone = EventClient::connect(options).value();
  EXPECT_EQ(alone.wait_connected(milliseconds(100)).error().code,
            ErrorCode::kUnavailable);
}

// -------------------------------------------------------------- endpoints

TEST(EndpointsTest, FollowThePortBase) {
  const Endpoints endpoints = Endpoints::from_port_base(9000).value();
  EXPECT_EQ(endpoints.ingest, "tcp://127.0.0.1:9000");
  EXPECT_EQ(endpoints.query, "tcp://127.0.0.1:9001");
  EXPECT_EQ(endpoints.events, "tcp://127.0.0.1:9002");
  for (const int port : {-1, 0, 65'533, 70'000}) {
    EXPECT_FALSE(Endpoints::from_port_base(port).has_value()) << port;
  }
}

TEST(EndpointsTest, AreReadFromText) {
  EXPECT_EQ(Endpoints::parse("tcp://gate").value().query, "tcp://gate:7302");
  EXPECT_EQ(Endpoints::parse("tcp://gate:10").value().query, "tcp://gate:11");
  EXPECT_EQ(Endpoints::parse("tcp://[::1]").value().query, "tcp://[::1]:7302");
  EXPECT_EQ(Endpoints::parse("tcp://[::1]:10").value().query, "tcp://[::1]:11");
  for (const char* const text :
       {"", "gate", "tcp://", "tcp://:10", "tcp://gate:", "tcp://gate:x",
        "tcp://gate:0", "udp://gate:10", "tcp://gate:99999999999"}) {
    EXPECT_FALSE(Endpoints::parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace shoal
