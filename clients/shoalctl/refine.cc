#include <iostream>
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

Result<ExitCode> wait_for(Session& session, const json& run) {
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
      return entry->value("status", json()) == "failed" ? ExitCode::kFailed
                                                        : ExitCode::kDone;
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
  SHOAL_TRY(reply, session.call("refine", request));
  if (!command.wait) {
    print_object(session.as_json, reply, {});
    return ExitCode::kDone;
  }
  const json run = reply.value("run", json());
  print_message("run " + cell(run) + " started");
  return wait_for(session, run);
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
