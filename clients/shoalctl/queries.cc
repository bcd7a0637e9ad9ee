#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "clients/protocol/query.h"
#include "clients/shoalctl/commands.h"
#include "clients/shoalctl/output.h"
#include "common/file.h"

namespace shoal::ctl {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::uint64_t kMaxImageBytes = std::uint64_t{256} << 20U;

/// Prints the list under `key` of a reply.
ExitCode print_list(const Session& session, const json& reply,
                    const std::string& key, std::vector<Column> columns) {
  Listing listing(session.as_json, std::move(columns));
  for (const json& row : reply.value(key, json::array())) listing.add(row);
  listing.finish();
  return ExitCode::kDone;
}

}  // namespace

milliseconds Session::timeout(milliseconds otherwise) const {
  if (!timeout_seconds.has_value()) return otherwise;
  return milliseconds(std::llround(*timeout_seconds * 1000));
}

Result<json> Session::call(std::string_view op, const json& fields) {
  if (!client_.has_value()) {
    QueryOptions options;
    options.endpoint = endpoints.query;
    options.timeout = timeout(options.timeout);
    SHOAL_TRY(client, QueryClient::connect(options));
    client_ = std::move(client);
  }
  return client_->call(op, fields);
}

Result<ExitCode> show_images(Session& session,
                             const std::vector<std::string>& ids) {
  ExitCode code = ExitCode::kDone;
  for (const std::string& id : ids) {
    const Result<json> image = session.call("image", {{"id", id}});
    if (image.has_error() && image.error().code == ErrorCode::kNotFound) {
      print_message(image.error().message);
      code = ExitCode::kNotFound;
      continue;
    }
    if (image.has_error()) return image.error();
    print_object(session.as_json, image.value(),
                 {"id", "state", "cluster", "confidence", "epoch", "source",
                  "captured_at", "received_at", "format", "width", "height",
                  "size_bytes", "meta"});
  }
  return code;
}

Result<ExitCode> list_clusters(Session& session) {
  SHOAL_TRY(reply, session.call("clusters"));
  return print_list(session, reply, "clusters",
                    {{"cluster", "CLUSTER", true},
                     {"size", "SIZE", true},
                     {"confirmed", "CONFIRMED", true},
                     {"born_epoch", "BORN", true},
                     {"name", "NAME"}});
}

Result<ExitCode> list_members(Session& session,
                              std::optional<std::uint64_t> cluster,
                              std::uint64_t limit) {
  Listing listing(
      session.as_json,
      {{"id", "ID"}, {"state", "STATE"}, {"confidence", "CONFIDENCE", true}});
  std::uint64_t listed = 0;
  SHOAL_TRY(for_each_member(session, cluster,
                            [&](const json& member) -> Result<bool> {
                              listing.add(member);
                              return ++listed != limit;
                            }));
  listing.finish();
  return ExitCode::kDone;
}

Result<ExitCode> similar(Session& session, const SimilarCommand& command) {
  json request = {{"k", command.k}};
  std::error_code error;
  if (!command.is_id && std::filesystem::is_regular_file(command.what, error)) {
    SHOAL_TRY(bytes, read_file(command.what, kMaxImageBytes));
    request["image"] = json::binary({bytes.begin(), bytes.end()});
  } else {
    request["id"] = command.what;
  }
  SHOAL_TRY(reply, session.call("similar", request));
  return print_list(
      session, reply, "similar",
      {{"id", "ID"}, {"score", "SCORE", true}, {"cluster", "CLUSTER", true}});
}

Result<ExitCode> list_history(Session& session, const std::string& id) {
  SHOAL_TRY(reply, session.call("history", {{"id", id}}));
  return print_list(session, reply, "history",
                    {{"at", "AT"},
                     {"epoch", "EPOCH", true},
                     {"from", "FROM", true},
                     {"to", "TO", true},
                     {"state", "STATE"},
                     {"cause", "CAUSE"}});
}

Result<ExitCode> list_lineage(Session& session,
                              std::optional<std::uint64_t> cluster) {
  Listing listing(session.as_json, {{"seq", "SEQ", true},
                                    {"at", "AT"},
                                    {"cluster", "CLUSTER", true},
                                    {"kind", "KIND"},
                                    {"epoch", "EPOCH", true},
                                    {"others", "OTHERS"}});
  json request = json::object();
  if (cluster.has_value()) request["cluster"] = *cluster;
  for (;;) {
    SHOAL_TRY(reply, session.call("lineage", request));
    const json records = reply.value("lineage", json::array());
    for (const json& record : records) listing.add(record);
    if (records.empty()) break;
    request["after"] = records.back().value("seq", json());
  }
  listing.finish();
  return ExitCode::kDone;
}

Result<ExitCode> list_epochs(Session& session) {
  SHOAL_TRY(reply, session.call("epochs"));
  return print_list(session, reply, "epochs",
                    {{"epoch", "EPOCH", true},
                     {"status", "STATUS"},
                     {"current", "CURRENT"},
                     {"parent", "PARENT", true},
                     {"method", "METHOD"},
                     {"images", "IMAGES", true},
                     {"clusters", "CLUSTERS", true},
                     {"churn", "CHURN", true},
                     {"finished_at", "FINISHED"},
                     {"reason", "REASON"}});
}

Result<ExitCode> list_rejected(Session& session, std::uint64_t limit) {
  SHOAL_TRY(reply, session.call("rejected", {{"limit", limit}}));
  const ExitCode code = print_list(session, reply, "rejected",
                                   {{"number", "NUMBER", true},
                                    {"at", "AT"},
                                    {"code", "CODE"},
                                    {"id", "ID"},
                                    {"source", "SOURCE"},
                                    {"message", "MESSAGE"}});
  print_message(cell(reply.value("total", json())) +
                " rejected in all; since the daemon started: " +
                cell(reply.value("counts", json())));
  return code;
}

Result<ExitCode> show_status(Session& session) {
  SHOAL_TRY(reply, session.call("status"));
  print_object(session.as_json, reply,
               {"images", "pending", "assigned", "unassigned", "confirmed",
                "rejected", "clusters", "epoch", "refining", "views", "version",
                "uptime_seconds", "last_run"});
  return ExitCode::kDone;
}

Result<ExitCode> run_op(Session& session, std::string_view op,
                        const json& fields) {
  SHOAL_TRY(reply, session.call(op, fields));
  print_object(session.as_json, reply, {});
  return ExitCode::kDone;
}

}  // namespace shoal::ctl
