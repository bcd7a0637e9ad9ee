#include <filesystem>
#include <iostream>
#include <map>
#include <unistd.h>
#include <utility>

#include "clients/shoalctl/commands.h"
#include "clients/shoalctl/inputs.h"
#include "clients/shoalctl/output.h"
#include "common/file.h"

namespace shoal::ctl {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// Far above what a daemon takes: it has the last word on size.
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{256} << 20U;
/// Standard input is looked at, and the progress bar redrawn, this often.
constexpr milliseconds kPollInterval{100};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// What has happened so far, on a terminal's standard error. Owner-thread.
class Progress {
 public:
  explicit Progress(std::optional<std::size_t> total)
      : total_(total), is_terminal_(isatty(STDERR_FILENO) == 1) {}

  void draw(std::size_t done, std::size_t rejected, bool is_last) {
    if (!is_terminal_) return;
    const Clock::time_point now = Clock::now();
    if (!is_last && now - drawn_ < kPollInterval) return;
    drawn_ = now;
    const double seconds = seconds_between(start_, now);
    const double rate = static_cast<double>(done) / std::max(seconds, 1e-3);
    std::string line = std::to_string(done);
    if (total_.has_value()) line += bar(done) + std::to_string(*total_);
    line += "  " + cell(rate) + "/s";
    if (total_.has_value() && done > 0 && done < *total_) {
      line += "  " + clock_text(static_cast<double>(*total_ - done) / rate) +
              " left";
    }
    if (rejected > 0) line += "  " + std::to_string(rejected) + " rejected";
    // Back to the line's start, and clear what was longer.
    std::cerr << '\r' << line << "\033[K" << (is_last ? "\n" : "")
              << std::flush;
  }

 private:
  [[nodiscard]] std::string bar(std::size_t done) const {
    constexpr std::size_t kWidth = 24;
    const std::size_t filled =
        *total_ == 0 ? kWidth : std::min(kWidth, done * kWidth / *total_);
    return " [" + std::string(filled, '#') + std::string(kWidth - filled, '.') +
           "] ";
  }

  std::optional<std::size_t> total_;
  bool is_terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_;
};

/// One run of the command. Owner-thread.
class Ingest {
 public:
  Ingest(const Session& session, const IngestCommand& command, Inputs inputs,
         IngestClient client)
      : session_(session),
        command_(command),
        inputs_(std::move(inputs)),
        client_(std::move(client)),
        progress_(inputs_.total()) {}

  Result<ExitCode> run() {
    const Clock::time_point start = Clock::now();
    const Result<void> end = send_all();
    progress_.draw(done_, rejected_, true);
    std::string summary = std::to_string(done_) + " images:";
    for (const auto& [status, count] : counts_) {
      summary += " " + std::to_string(count) + " " + status + ",";
    }
    if (client_.in_flight() > 0) {
      summary += " " + std::to_string(client_.in_flight()) + " unanswered,";
    }
    summary.back() = ';';
    summary += " " + clock_text(seconds_between(start, Clock::now()));
    print_message(summary);
    if (end.has_error()) return end.error();
    return rejected_ > 0 ? ExitCode::kFailed : ExitCode::kDone;
  }

 private:
  Result<void> send_all() {
    while (!inputs_.at_end() || client_.in_flight() > 0) {
      while (client_.has_room()) {
        SHOAL_TRY(path, inputs_.next(client_.in_flight() == 0));
        if (!path.has_value()) break;
        SHOAL_TRY(send(*path));
      }
      SHOAL_TRY(outcomes, client_.poll(kPollInterval));
      for (const IngestOutcome& outcome : outcomes) {
        const auto at = paths_.find(outcome.seq);
        report(at->second, outcome.reply);
        paths_.erase(at);
      }
      progress_.draw(done_, rejected_, false);
    }
    return ok();
  }

  Result<void> send(const std::string& path) {
    Result<std::string> bytes = read_file(path, kMaxImageBytes);
    if (bytes.has_error()) {
      IngestReply refused;
      refused.status = IngestStatus::kRejected;
      refused.error = WireError{"unreadable", bytes.error().message};
      report(path, refused);
      return ok();
    }
    IngestImage image;
    image.header.source = command_.source;
    image.header.ack = command_.wait ? Ack::kAssigned : Ack::kStored;
    if (command_.id_from == "path") image.header.id = path;
    if (command_.id_from == "name") {
      image.header.id = std::filesystem::path(path).filename().string();
    }
    image.bytes = std::move(bytes.value());
    SHOAL_TRY(seq, client_.submit(std::move(image)));
    paths_.emplace(seq, path);
    return ok();
  }

  void report(const std::string& path, const IngestReply& reply) {
    const std::string status(to_string(reply.status));
    ++done_;
    ++counts_[status];
    const bool is_rejected = reply.status == IngestStatus::kRejected;
    if (is_rejected) ++rejected_;
    if (session_.as_json) {
      print_json_line(line(path, reply));
      return;
    }
    if (reply.error.has_value()) {
      print_message(path + ": " + reply.error->message + " [" +
                    reply.error->code + "]");
    }
    if (is_rejected) return;
    std::string text = status + "  " + reply.id;
    if (reply.cluster.has_value()) {
      text += *reply.cluster == 0
                  ? std::string("  unassigned")
                  : "  cluster " + std::to_string(*reply.cluster) + " (" +
                        cell(reply.confidence.value_or(0)) + ")";
    }
    // A terminal that shows the progress bar needs no list of what went well.
    if (isatty(STDERR_FILENO) != 1 || inputs_.total() == std::size_t{1}) {
      std::cout << text << "  " << path << '\n';
    }
  }

  [[nodiscard]] static json line(const std::string& path,
                                 const IngestReply& reply) {
    json object = {{"path", path},
                   {"id", nullptr},
                   {"status", to_string(reply.status)},
                   {"cluster", nullptr},
                   {"confidence", nullptr},
                   {"error", nullptr}};
    if (!reply.id.empty()) object["id"] = reply.id;
    if (reply.cluster.value_or(0) != 0) object["cluster"] = *reply.cluster;
    if (reply.confidence.has_value()) {
      object["confidence"] = *reply.confidence;
    }
    if (reply.error.has_value()) {
      object["error"] = {{"code", reply.error->code},
                         {"message", reply.error->message}};
    }
    return object;
  }

  const Session& session_;
  const IngestCommand& command_;
  Inputs inputs_;
  IngestClient client_;
  Progress progress_;
  std::map<std::uint64_t, std::string> paths_;  ///< of images in flight
  std::map<std::string, std::size_t> counts_;   ///< by status
  std::size_t done_ = 0;
  std::size_t rejected_ = 0;
};

}  // namespace

Result<ExitCode> ingest(Session& session, const IngestCommand& command) {
  Result<Inputs> inputs = Inputs::open(command.inputs, command.recursive);
  if (inputs.has_error()) {
    if (inputs.error().code != ErrorCode::kInvalidArgument) {
      return inputs.error();
    }
    print_message(inputs.error().message);
    return ExitCode::kUsage;
  }
  IngestOptions options;
  options.endpoint = session.endpoints.ingest;
  options.window = command.window;
  options.silent_after = session.timeout(options.silent_after);
  options.unreachable_after =
      std::min(options.unreachable_after, options.silent_after);
  SHOAL_TRY(client, IngestClient::connect(options));
  return Ingest(session, command, std::move(inputs.value()), std::move(client))
      .run();
}

}  // namespace shoal::ctl
