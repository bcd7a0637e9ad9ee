#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "clients/protocol/query.h"
#include "clients/shoalctl/commands.h"
#include "clients/shoalctl/output.h"
#include "common/version.h"

namespace shoal::ctl {
namespace {

using nlohmann::json;

/// What the chosen command does.
using Action = std::function<Result<ExitCode>(Session&)>;

/// The values of all options; they outlive the parsing.
struct Options {
  std::string endpoint;
  int port_base = Endpoints::kDefaultPortBase;
  Session session;

  IngestCommand ingest;
  RefineCommand refine;
  ExportCommand export_all;
  SimilarCommand similar;
  WatchCommand watch;
  std::vector<std::string> ids;
  std::vector<std::string> model_arguments;
  std::string id;
  std::string text;
  std::uint64_t cluster = 0;
  std::uint64_t other = 0;
  std::optional<std::uint64_t> optional_number;
  std::uint64_t limit = 0;
  std::uint64_t rejected_limit = kDefaultRejectedLimit;
};

void add_reading_commands(CLI::App& app, Options& o, Action& action) {
  auto* const ingest =
      app.add_subcommand("ingest", "Send images to the daemon");
  ingest
      ->add_option("inputs", o.ingest.inputs,
                   "Files, folders (with --recursive), or - for a list of "
                   "paths on standard input")
      ->required();
  ingest->add_flag("-r,--recursive", o.ingest.recursive,
                   "Send the files below the folders given");
  ingest->add_flag("--wait", o.ingest.wait,
                   "Wait until each image has its cluster");
  ingest->add_option("--source", o.ingest.source,
                     "Where the images come from, kept with each");
  ingest
      ->add_option("--id-from", o.ingest.id_from,
                   "Id of an image: the hash of its bytes, its path as given, "
                   "or its file name")
      ->check(CLI::IsMember({"hash", "path", "name"}))
      ->capture_default_str();
  ingest->add_option("--window", o.ingest.window, "Images in flight")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  ingest->callback(
      [&] { action = [&](Session& s) { return ctl::ingest(s, o.ingest); }; });

  auto* const image = app.add_subcommand("image", "Show images");
  image->add_option("id", o.ids)->required();
  image->callback(
      [&] { action = [&](Session& s) { return show_images(s, o.ids); }; });

  auto* const cluster = app.add_subcommand("cluster", "Show a cluster");
  cluster->add_option("cluster", o.cluster)->required();
  cluster->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "cluster", {{"cluster", o.cluster}});
    };
  });

  app.add_subcommand("clusters", "List the clusters")->callback([&] {
    action = list_clusters;
  });

  auto* const members =
      app.add_subcommand("members", "List the images of a cluster");
  members->add_option("cluster", o.cluster)->required();
  members->add_option("--limit", o.limit, "Most images; 0: all")
      ->capture_default_str();
  members->callback([&] {
    action = [&](Session& s) { return list_members(s, o.cluster, o.limit); };
  });

  auto* const unassigned =
      app.add_subcommand("unassigned", "List the images without a cluster");
  unassigned->add_option("--limit", o.limit, "Most images; 0: all")
      ->capture_default_str();
  unassigned->callback([&] {
    action = [&](Session& s) { return list_members(s, std::nullopt, o.limit); };
  });

  auto* const similar =
      app.add_subcommand("similar", "List the images most like one");
  similar->add_option("what", o.similar.what, "An id or a file")->required();
  similar->add_option("-k", o.similar.k, "How many")
      ->check(CLI::Range(std::uint64_t{1}, kMaxNeighbours))
      ->capture_default_str();
  similar->add_flag("--id", o.similar.is_id,
                    "It is an id even if there is such a file");
  similar->callback(
      [&] { action = [&](Session& s) { return ctl::similar(s, o.similar); }; });

  auto* const history =
      app.add_subcommand("history", "List the changes of an image's label");
  history->add_option("id", o.id)->required();
  history->callback(
      [&] { action = [&](Session& s) { return list_history(s, o.id); }; });

  auto* const lineage =
      app.add_subcommand("lineage", "List births, merges and ends of clusters");
  lineage->add_option("cluster", o.optional_number, "Of this one only");
  lineage->callback([&] {
    action = [&](Session& s) { return list_lineage(s, o.optional_number); };
  });

  app.add_subcommand("status", "Show how the daemon is")->callback([&] {
    action = show_status;
  });
  app.add_subcommand("epochs", "List the runs and their results")
      ->callback([&] { action = list_epochs; });

  auto* const rejected =
      app.add_subcommand("rejected", "List the last refused images");
  rejected->add_option("--limit", o.rejected_limit, "How many")
      ->check(CLI::Range(std::uint64_t{1}, kMaxPageLimit))
      ->capture_default_str();
  rejected->callback([&] {
    action = [&](Session& s) { return list_rejected(s, o.rejected_limit); };
  });

  auto* const watch = app.add_subcommand("watch", "Print events as they come");
  watch->add_option("topics", o.watch.topics,
                    "Topics or beginnings of topics; none: all");
  watch->add_option("--count", o.watch.count, "End after so many; 0: never")
      ->capture_default_str();
  watch->callback(
      [&] { action = [&](Session& s) { return ctl::watch(s, o.watch); }; });

  auto* const export_all = app.add_subcommand(
      "export", "Write every image's cluster, or the images by cluster");
  export_all->add_option("--format", o.export_all.format)
      ->required()
      ->check(CLI::IsMember({"jsonl", "csv", "folders"}));
  export_all->add_option("--out", o.export_all.out,
                         "File, or folder for --format folders; none: "
                         "standard output");
  export_all->callback([&] {
    action = [&](Session& s) { return ctl::export_all(s, o.export_all); };
  });
}

void add_models_command(CLI::App& app, Options& o, Action& action) {
  auto* const models = app.add_subcommand(
      "models",
      "List, check, import and download model folders: list | check DIR | "
      "import FILE --arch A | pull NAME...");
  // Everything after it is for shoal-models, --help too.
  models->set_help_flag();
  models->prefix_command();
  models->callback([&o, &action, models] {
    o.model_arguments = models->remaining();
    action = [&o](Session& s) { return ctl::models(s, o.model_arguments); };
  });
}

void add_run_commands(CLI::App& app, Options& o, Action& action) {
  auto* const refine = app.add_subcommand("refine", "Start a relearning run");
  refine->add_flag("--wait", o.refine.wait,
                   "Wait until it has ended; when a run is in progress, wait "
                   "for that one instead");
  refine->add_option("--max-minutes", o.refine.max_minutes, "Time budget")
      ->check(CLI::PositiveNumber);
  refine->add_flag("--dry-run", o.refine.dry_run,
                   "Learn and score, but do not publish");
  refine->callback(
      [&] { action = [&](Session& s) { return ctl::refine(s, o.refine); }; });

  app.add_subcommand("cancel", "Stop the run in progress")->callback([&] {
    action = [](Session& s) { return run_op(s, "cancel", json::object()); };
  });

  auto* const rollback =
      app.add_subcommand("rollback", "Return to a published epoch");
  rollback->add_option("epoch", o.other)->required();
  rollback->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "rollback", {{"epoch", o.other}});
    };
  });

  auto* const publish = app.add_subcommand("publish", "Publish a held epoch");
  publish->add_option("epoch", o.other)->required();
  publish->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "publish", {{"epoch", o.other}});
    };
  });

  auto* const backup =
      app.add_subcommand("backup", "Copy the store, while the daemon runs");
  backup
      ->add_option("dir", o.text,
                   "New folder on the daemon's machine; a relative path is "
                   "taken from here")
      ->required();
  backup->callback([&] {
    action = [&](Session& s) -> Result<ExitCode> {
      std::error_code error;
      const auto path = std::filesystem::absolute(o.text, error);
      if (error) return io_error(o.text + ": " + error.message());
      return run_op(s, "backup", {{"dir", path.string()}});
    };
  });
}

void add_correction_commands(CLI::App& app, Options& o, Action& action) {
  // confirm and reject: in, or not in, the given cluster or the image's own.
  const auto add_judgement = [&](const std::string& op,
                                 const std::string& help) {
    auto* const command = app.add_subcommand(op, help);
    command->add_option("ids", o.ids)->required();
    command->add_option("--cluster", o.optional_number,
                        "This cluster; none: each image's own");
    command->callback([&o, &action, op] {
      action = [&o, op](Session& s) {
        json fields = {{"ids", o.ids}};
        if (o.optional_number) fields["cluster"] = *o.optional_number;
        return run_op(s, op, fields);
      };
    });
  };
  add_judgement("confirm", "Say that images belong in their cluster");
  add_judgement("reject", "Say that images do not belong in their cluster");

  auto* const move = app.add_subcommand("move", "Move images to a cluster");
  move->add_option("ids", o.ids)->required();
  move->add_option("--to", o.cluster, "The cluster")->required();
  move->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "move", {{"ids", o.ids}, {"cluster", o.cluster}});
    };
  });

  auto* const merge = app.add_subcommand("merge", "Merge two clusters");
  merge->add_option("from", o.cluster, "Ends")->required();
  merge->add_option("into", o.other, "Stays")->required();
  merge->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "merge", {{"from", o.cluster}, {"into", o.other}});
    };
  });

  auto* const split =
      app.add_subcommand("split", "Make a new cluster of some of a cluster");
  split->add_option("cluster", o.cluster)->required();
  split->add_option("ids", o.ids)->required();
  split->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "split", {{"cluster", o.cluster}, {"ids", o.ids}});
    };
  });

  auto* const undo = app.add_subcommand("undo", "Undo a correction");
  undo->add_option("correction", o.optional_number,
                   "Its number; none: the last one");
  undo->callback([&] {
    action = [&](Session& s) {
      json fields = json::object();
      if (o.optional_number) fields["correction"] = *o.optional_number;
      return run_op(s, "undo", fields);
    };
  });

  auto* const name = app.add_subcommand("name", "Name a cluster");
  name->add_option("cluster", o.cluster)->required();
  name->add_option("name", o.text, "\"\" takes the name away")->required();
  name->callback([&] {
    action = [&](Session& s) {
      return run_op(s, "name", {{"cluster", o.cluster}, {"name", o.text}});
    };
  });

  auto* const remove = app.add_subcommand("delete", "Delete images for good");
  remove->add_option("ids", o.ids)->required();
  remove->callback([&] {
    action = [&](Session& s) { return run_op(s, "delete", {{"ids", o.ids}}); };
  });
}

ExitCode exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return ExitCode::kNotFound;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return ExitCode::kUnreachable;
    default:
      return ExitCode::kFailed;
  }
}

ExitCode run(const Action& action, Session& session) {
  try {
    const Result<ExitCode> code = action(session);
    if (code.has_value()) return code.value();
    print_message(code.error().message, Urgency::kError);
    return exit_code_of(code.error().code);
  } catch (const json::exception& error) {
    // A field of another type than the protocol says.
    print_message(std::string("the daemon's reply makes no sense: ") +
                  error.what());
    return ExitCode::kFailed;
  }
}

int main_of(int argc, char** argv) {
  CLI::App app{"Command line of the image-clustering daemon shoald."};
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 daemon not "
      "reachable or timed out.");
  app.set_version_flag("--version", std::string("shoalctl ") + kVersion);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default(false);

  Options o;
  Action action;
  auto* const endpoint = app.add_option(
      "--endpoint", o.endpoint,
      "The daemon's tcp://HOST or tcp://HOST:PORT, PORT being its port base");
  app.add_option("--port-base", o.port_base,
                 "First of the daemon's four ports on this machine")
      ->excludes(endpoint)
      ->capture_default_str();
  app.add_flag("--json", o.session.as_json,
               "One JSON object a line on standard output");
  app.add_option("--timeout", o.session.timeout_seconds,
                 "Seconds to wait for an answer (10; ingest 60)")
      ->check(CLI::PositiveNumber);
  add_reading_commands(app, o, action);
  add_run_commands(app, o, action);
  add_correction_commands(app, o, action);
  add_models_command(app, o, action);
  // The options above may also follow the command, except where all that
  // follows is for another program.
  for (CLI::App* const command : app.get_subcommands({})) {
    command->fallthrough(command->get_name() != "models");
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_help = app.exit(error) == 0;
    return static_cast<int>(is_help ? ExitCode::kDone : ExitCode::kUsage);
  }
  const Result<Endpoints> endpoints =
      o.endpoint.empty() ? Endpoints::from_port_base(o.port_base)
                         : Endpoints::parse(o.endpoint);
  if (endpoints.has_error()) {
    print_message(endpoints.error().message);
    return static_cast<int>(ExitCode::kUsage);
  }
  o.session.endpoints = endpoints.value();

  ExitCode code = run(action, o.session);
  std::cout.flush();
  if (!std::cout && code == ExitCode::kDone) {
    print_message("writing to standard output failed");
    code = ExitCode::kFailed;
  }
  return static_cast<int>(code);
}

}  // namespace
}  // namespace shoal::ctl

int main(int argc, char** argv) { return shoal::ctl::main_of(argc, argv); }
