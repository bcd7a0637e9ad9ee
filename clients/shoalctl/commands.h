#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/client.h"
#include "common/result.h"

namespace shoal::ctl {

/// What the program ends with.
enum class ExitCode {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kUnreachable = 4,  ///< or timed out
};

/// The options before the command, and the connection to the query socket,
/// made when first needed. Owner-thread.
class Session {
 public:
  Endpoints endpoints;
  bool as_json = false;
  std::optional<double> timeout_seconds;

  /// The given --timeout, else `otherwise`.
  [[nodiscard]] std::chrono::milliseconds timeout(
      std::chrono::milliseconds otherwise) const;
  /// As QueryClient::call.
  [[nodiscard]] Result<nlohmann::json> call(
      std::string_view op,
      const nlohmann::json& fields = nlohmann::json::object());

 private:
  std::optional<QueryClient> client_;
};

struct IngestCommand {
  std::vector<std::string> inputs;
  bool recursive = false;
  bool wait = false;
  std::string source;
  std::string id_from = "hash";  ///< hash, path or name
  std::size_t window = 64;
};

struct RefineCommand {
  bool wait = false;
  std::optional<double> max_minutes;
  bool dry_run = false;
};

struct ExportCommand {
  std::string format;  ///< jsonl, csv or folders
  std::string out;     ///< file or folder; "": standard output
};

struct SimilarCommand {
  std::string what;    ///< id or file
  bool is_id = false;  ///< even if there is such a file
  std::uint64_t k = 10;
};

struct WatchCommand {
  std::vector<std::string> topics;  ///< prefixes; none: all
  std::uint64_t count = 0;          ///< end after so many; 0: never
};

// The commands. Each prints its result and returns how the program ends, or
// an error, which main prints.

[[nodiscard]] Result<ExitCode> ingest(Session& session,
                                      const IngestCommand& command);
[[nodiscard]] Result<ExitCode> refine(Session& session,
                                      const RefineCommand& command);
[[nodiscard]] Result<ExitCode> export_all(Session& session,
                                          const ExportCommand& command);
[[nodiscard]] Result<ExitCode> watch(Session& session,
                                     const WatchCommand& command);
[[nodiscard]] Result<ExitCode> similar(Session& session,
                                       const SimilarCommand& command);
[[nodiscard]] Result<ExitCode> show_images(Session& session,
                                           const std::vector<std::string>& ids);
[[nodiscard]] Result<ExitCode> list_clusters(Session& session);
/// @param cluster  none: the unassigned pool
/// @param limit  most images listed; 0: all
[[nodiscard]] Result<ExitCode> list_members(
    Session& session, std::optional<std::uint64_t> cluster,
    std::uint64_t limit);
[[nodiscard]] Result<ExitCode> list_history(Session& session,
                                            const std::string& id);
[[nodiscard]] Result<ExitCode> list_lineage(
    Session& session, std::optional<std::uint64_t> cluster);
[[nodiscard]] Result<ExitCode> list_epochs(Session& session);
[[nodiscard]] Result<ExitCode> list_rejected(Session& session,
                                             std::uint64_t limit);
[[nodiscard]] Result<ExitCode> show_status(Session& session);
/// An op whose reply is one small map.
[[nodiscard]] Result<ExitCode> run_op(Session& session, std::string_view op,
                                      const nlohmann::json& fields);

/// Calls `visit` with every member of `cluster` (none: the unassigned pool),
/// page by page, until it returns an error or false.
template <typename Visit>
[[nodiscard]] Result<void> for_each_member(Session& session,
                                           std::optional<std::uint64_t> cluster,
                                           Visit visit) {
  nlohmann::json request = nlohmann::json::object();
  if (cluster.has_value()) request["cluster"] = *cluster;
  for (;;) {
    SHOAL_TRY(page, session.call(cluster.has_value() ? "members" : "unassigned",
                                 request));
    for (const auto& member : page.value("members", nlohmann::json::array())) {
      SHOAL_TRY(more, visit(member));
      if (!more) return ok();
    }
    const nlohmann::json cursor = page.value("cursor", nlohmann::json());
    if (cursor.is_null()) return ok();
    request["cursor"] = cursor;
  }
}

/// Becomes the program shoal-models, which reads model folders: clients do
/// not. Returns only where it cannot be started.
[[nodiscard]] Result<ExitCode> models(
    const Session& session, const std::vector<std::string>& arguments);

}  // namespace shoal::ctl
