#include <iostream>
#include <thread>
#include <unistd.h>
#include <utility>

#include "clients/protocol/query.h"
#include "clients/shoalctl/commands.h"
#include "clients/shoalctl/output.h"
#include "common/time.h"

namespace shoal::ctl {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// How often the daemon is asked whether the run has ended.
constexpr milliseconds kPollInterval{500};
/// How long it is asked to start a run when it is busy with something else.
constexpr milliseconds kLongestBusy{60'000};

/// Seconds between two times of an epoch's entry; null if one is unknown.
json seconds_of(const json& epoch) {
  const auto time = [&](const char* key) {
    const json value = epoch.value(key, json());
    return parse_rfc3339(value.is_string() ? value.get<std::string>() : "");
  };
  const Result<Timestamp> start = time("started_at");
  const Result<Timestamp> finish = time("finished_at");
  if (start.has_error() || finish.has_error()) return nullptr;
  return std::chrono::duration<double>(finish.value() - start.value()).count();
}

/// The last line of refine --wait.
json summary(const json& epochs, const json& entry) {
  json line = {{"run", entry.value("epoch", json())}, {"epoch", nullptr}};
  for (const char* const key : {"status", "method", "images", "clusters",
                                "scores", "churn", "reason"}) {
    line[key] = entry.value(key, json());
  }
  line["seconds"] = seconds_of(entry);
  for (const json& epoch : epochs) {
    if (epoch.value("current", json()) == true) {
      line["epoch"] = epoch.value("epoch", json());
    }
  }
  return line;
}

/// The entry of `run`, once it is final.
const json* find_ended(const json& epochs, const json& run) {
  for (const json& entry : epochs) {
    if (entry.value("epoch", json()) == run &&
        entry.value("status", json()) != "staging") {
      return &entry;
    }
  }
  return nullptr;
}

/// Waits a moment, showing on a terminal how far the run is.
Result<void> pass_time(EventClient& events) {
  const auto deadline = std::chrono::steady_clock::now() + kPollInterval;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return ok();
    SHOAL_TRY(event, events.next(left));
    if (!event.has_value() || isatty(STDERR_FILENO) != 1) continue;
    const json fraction = event->fields.value("fraction", json());
    std::cerr << '\r'
              << cell(fraction.is_number() ? json(100 * fraction.get<double>())
                                           : fraction)
              << "% " << cell(event->fields.value("stage", json())) << "\033[K"
              << std::flush;
  }
}

/// The run in progress; null when there is none.
Result<json> run_in_progress(Session& session) {
  SHOAL_TRY(status, session.call("status"));
  if (status.value("refining", json()) != true) return json();
  const json last = status.value("last_run", json());
  if (!last.is_object() || last.value("status", json()) != "staging") {
    return json();
  }
  return last.value("epoch", json());
}

/// Starts a run, or joins the one in progress; a dry run joins none, which
/// might be published. While the daemon can do neither (it changes epochs, or
/// its queue is full) it is asked again.
/// @return its number
Result<json> start_or_join(Session& session, const json& request) {
  const auto deadline =
      std::chrono::steady_clock::now() + session.timeout(kLongestBusy);
  for (;;) {
    Result<json> reply = session.call("refine", request);
    if (reply.has_value()) {
      const json run = reply.value().value("run", json());
      print_message("run " + cell(run) + " started");
      return run;
    }
    if (reply.error().code != ErrorCode::kResourceExhausted ||
        request.contains("dry_run")) {
      return reply.error();
    }
    SHOAL_TRY(run, run_in_progress(session));
    if (!run.is_null()) {
      print_message("run " + cell(run) + " is in progress, waiting for it");
      return run;
    }
    if (std::chrono::steady_clock::now() >= deadline) return reply.error();
    std::this_thread::sleep_for(kPollInterval);
  }
}

/// Says what a person has to know of a run that has ended.
ExitCode tell_end(const json& entry, bool dry_run) {
  const json status = entry.value("status", json());
  const std::string run = "run " + cell(entry.value("epoch", json()));
  const std::string reason = cell(entry.value("reason", json()));
  if (status == "failed") {
    print_message(run + " failed: " + reason, Urgency::kError);
    return ExitCode::kFailed;
  }
  if (status == "held" && !dry_run) {
    print_message(run + " is held, not published: " + reason +
                      ". 'shoalctl epochs' shows its scores, 'shoalctl "
                      "publish " +
                      cell(entry.value("epoch", json())) + "' publishes it",
                  Urgency::kWarning);
  }
  return ExitCode::kDone;
}

Result<ExitCode> wait_for(Session& session, const json& run, bool dry_run) {
  EventOptions options;
  options.endpoint = session.endpoints.events;
  options.topics = {std::string(topic::kRefineProgress)};
  SHOAL_TRY(events, EventClient::connect(options));
  for (;;) {
    // Asked first: a run that ends between the two questions has its entry.
    SHOAL_TRY(status, session.call("status"));
    SHOAL_TRY(reply, session.call("epochs"));
    const json epochs = reply.value("epochs", json::array());
    const json* const entry = find_ended(epochs, run);
    if (entry != nullptr) {
      if (isatty(STDERR_FILENO) == 1) std::cerr << "\r\033[K";
      print_object(session.as_json, summary(epochs, *entry),
                   {"run", "status", "epoch", "method", "images", "clusters",
                    "seconds", "churn", "scores", "reason"});
      return tell_end(*entry, dry_run);
    }
    if (status.value("refining", json()) == false) {
      return internal_error("run " + cell(run) +
                            " has ended and left no entry in epochs");
    }
    SHOAL_TRY(pass_time(events));
  }
}

}  // namespace

Result<ExitCode> refine(Session& session, const RefineCommand& command) {
  json request = json::object();
  if (command.max_minutes.has_value()) {
    request["max_minutes"] = *command.max_minutes;
  }
  if (command.dry_run) request["dry_run"] = true;
  if (!command.wait) {
    SHOAL_TRY(reply, session.call("refine", request));
    print_object(session.as_json, reply, {});
    return ExitCode::kDone;
  }
  SHOAL_TRY(run, start_or_join(session, request));
  return wait_for(session, run, command.dry_run);
}

Result<ExitCode> watch(Session& session, const WatchCommand& command) {
  EventOptions options;
  options.endpoint = session.endpoints.events;
  if (!command.topics.empty()) options.topics = command.topics;
  SHOAL_TRY(events, EventClient::connect(options));
  const milliseconds patience = session.timeout(milliseconds{3'000});
  SHOAL_TRY(events.wait_connected(patience));
  print_message("watching " + session.endpoints.events);
  for (std::uint64_t seen = 0; command.count == 0 || seen < command.count;) {
    SHOAL_TRY(event, events.next(milliseconds{60'000}));
    if (!event.has_value()) continue;
    ++seen;
    json fields = std::move(event->fields);
    fields.erase("v");
    if (session.as_json) {
      fields["topic"] = event->topic;
      print_json_line(fields);
      continue;
    }
    const std::string at = cell(fields.value("at", json()));
    fields.erase("at");
    std::cout << at << "  " << cell(event->topic) << "  " << cell(fields)
              << std::endl;
  }
  return ExitCode::kDone;
}

}  // namespace shoal::ctl
