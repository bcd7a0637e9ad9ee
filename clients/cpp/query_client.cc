#include <algorithm>
#include <utility>

#include "clients/cpp/client.h"
#include "clients/cpp/internal/connection.h"
#include "clients/protocol/query.h"

namespace shoal {

using internal::Clock;
using nlohmann::json;

class QueryClient::Impl {
 public:
  Impl(const QueryOptions& options,
       std::unique_ptr<internal::Connection> connection)
      : options_(options), connection_(std::move(connection)) {}

  Result<json> call(std::string_view op, const json& fields) {
    const Clock::time_point deadline = Clock::now() + options_.timeout;
    SHOAL_TRY(
        connect(std::min(deadline, Clock::now() + options_.unreachable_after)));
    const std::uint64_t seq = ++last_seq_;
    SHOAL_TRY(queued, connection_->send(encode_query(op, fields, seq)));
    if (!queued) return connection_->not_reachable();
    const std::uint64_t generation = connection_->generation();
    for (;;) {
      SHOAL_TRY(connection_->wait(internal::until(deadline)));
      SHOAL_TRY(reply, receive(seq));
      if (reply.has_value()) return answer(std::move(*reply));
      if (!connection_->is_connected() ||
          connection_->generation() != generation) {
        return unavailable("the connection to " + connection_->endpoint() +
                           " was lost before it answered");
      }
      if (Clock::now() >= deadline) {
        return Error{ErrorCode::kDeadlineExceeded,
                     connection_->endpoint() + " did not answer within " +
                         std::to_string(options_.timeout.count()) +
                         " ms: check that shoald runs well"};
      }
    }
  }

 private:
  /// Waits for the connection, and drops late replies to earlier calls.
  Result<void> connect(Clock::time_point deadline) {
    SHOAL_TRY(connection_->wait(std::chrono::milliseconds{0}));
    for (;;) {
      SHOAL_TRY(late, connection_->receive());
      if (late.has_value()) continue;
      if (connection_->is_connected()) return ok();
      if (Clock::now() >= deadline) return connection_->not_reachable();
      SHOAL_TRY(connection_->wait(internal::until(deadline)));
    }
  }

  /// The reply to `seq`, if it is there. Others, late ones to calls that were
  /// given up, are dropped.
  Result<std::optional<QueryReply>> receive(std::uint64_t seq) {
    for (;;) {
      SHOAL_TRY(frames, connection_->receive());
      if (!frames.has_value()) return std::nullopt;
      Result<QueryReply> reply = decode_query_reply(frames->back());
      if (reply.has_error()) {
        return reply.error().within(connection_->endpoint());
      }
      // A request that could not be read is answered without its seq.
      const std::uint64_t answered = reply.value().seq.value_or(seq);
      if (answered == seq) {
        return std::optional<QueryReply>(std::move(reply.value()));
      }
    }
  }

  static Result<json> answer(QueryReply reply) {
    if (reply.error.has_value()) {
      return Error{error_code_of(reply.error->code),
                   reply.error->message + " [" + reply.error->code + "]"};
    }
    return std::move(reply.fields);
  }

  QueryOptions options_;
  std::unique_ptr<internal::Connection> connection_;
  std::uint64_t last_seq_ = 0;
};

QueryClient::QueryClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
QueryClient::QueryClient(QueryClient&&) noexcept = default;
QueryClient& QueryClient::operator=(QueryClient&&) noexcept = default;
QueryClient::~QueryClient() = default;

Result<QueryClient> QueryClient::connect(const QueryOptions& options) {
  internal::ConnectionOptions connection;
  connection.endpoint = options.endpoint;
  connection.high_water_mark = 16;  // one call at a time, and late replies
  // Room for an image's bytes and for the longest list.
  connection.max_message_bytes = std::int64_t{1} << 30U;
  SHOAL_TRY(opened, internal::Connection::open(connection));
  return QueryClient(std::make_unique<Impl>(options, std::move(opened)));
}

Result<json> QueryClient::call(std::string_view op, const json& fields) {
  return impl_->call(op, fields);
}

}  // namespace shoal
