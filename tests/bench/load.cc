#include "tests/bench/load.h"

#include <algorithm>
#include <utility>

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Load::Load(const JpegSource& source, std::uint64_t first_number,
           const LoadOptions& options)
    : source_(source),
      options_(options),
      started_(Clock::now()),
      next_(first_number),
      end_(first_number + options.images),
      clients_(static_cast<std::size_t>(options.clients)) {
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    Client& client = clients_[i];
    client.thread = std::thread([this, &client, i] {
      client.result = run_client(static_cast<int>(i));
    });
  }
}

Load::~Load() {
  stop();
  for (Client& client : clients_) {
    if (client.thread.joinable()) client.thread.join();
  }
}

Result<LoadResult> Load::finish() {
  LoadResult all;
  for (Client& client : clients_) client.thread.join();
  for (Client& client : clients_) {
    SHOAL_TRY(part, std::move(client.result));
    all.images += part.images;
    all.bytes += part.bytes;
    all.seconds = std::max(all.seconds, part.seconds);
    all.latencies.insert(all.latencies.end(), part.latencies.begin(),
                         part.latencies.end());
    all.sent_at.insert(all.sent_at.end(), part.sent_at.begin(),
                       part.sent_at.end());
  }
  return all;
}

Result<LoadResult> Load::run_client(int number) {
  IngestOptions client_options;
  client_options.endpoint = options_.endpoint;
  client_options.window = options_.window;
  SHOAL_TRY(client, IngestClient::connect(client_options));

  LoadResult result;
  struct Sent {
    Clock::time_point at;
    std::uint64_t bytes = 0;
  };
  std::vector<Sent> sent;  // by the client's seq, which counts from 1
  const auto deadline = started_ + options_.longest;
  // With a rate: when this client's next image is due. The clients take turns.
  const bool paced = options_.rate > 0;
  const auto apart = [&](double images) {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(paced ? images / options_.rate : 0));
  };
  auto due = started_ + apart(number);
  for (;;) {
    while (client.has_room() && !stopping_ && Clock::now() < deadline &&
           !(paced && Clock::now() < due)) {
      const std::uint64_t next = next_++;
      if (next >= end_) break;
      IngestImage image;
      image.header.id = source_.id(next);
      image.header.source = "shoal-load";
      image.header.ack = options_.ack;
      image.bytes = source_.file(next);
      sent.push_back({paced ? due : Clock::now(), image.bytes.size()});
      due += apart(options_.clients);
      SHOAL_TRY(client.submit(std::move(image)));
    }
    const bool more = paced && !stopping_ && next_ < end_ && due < deadline;
    if (client.in_flight() == 0) {
      if (!more) break;
      std::this_thread::sleep_until(due);
      continue;
    }
    auto longest = std::chrono::milliseconds(100);
    if (more) {
      longest = std::clamp(
          std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()),
          std::chrono::milliseconds(0), longest);
    }
    SHOAL_TRY(outcomes, client.poll(longest));
    for (const IngestOutcome& outcome : outcomes) {
      if (outcome.reply.status != IngestStatus::kStored &&
          outcome.reply.status != IngestStatus::kAssigned) {
        return internal_error("the daemon answered " +
                              std::string(to_string(outcome.reply.status)));
      }
      const Sent& image = sent[outcome.seq - 1];
      ++result.images;
      result.bytes += image.bytes;
      result.latencies.push_back(seconds_since(image.at));
      result.sent_at.push_back(image.at);
    }
  }
  result.seconds = seconds_since(started_);
  return result;
}

}  // namespace shoal::bench
