// shoald: command line, configuration, logging; the rest is Daemon.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include "common/log.h"
#include "common/version.h"
#include "config/config.h"
#include "daemon/daemon.h"
#include "engine/views/cnn.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

/// systemd connects standard error to the journal and says so.
bool logs_to_journal(shoal::Toggle toggle) {
  if (toggle != shoal::Toggle::kAuto) return toggle == shoal::Toggle::kOn;
  return std::getenv("JOURNAL_STREAM") != nullptr && ::isatty(2) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shoal: keeps a growing set of images clustered.");
  std::string config_file;
  std::string data_dir;
  std::string models;
  int port_base = 0;
  std::vector<std::string> overrides;
  bool check_only = false;
  bool print_only = false;
  app.add_option("--config", config_file, "configuration file (TOML)");
  app.add_option("--data-dir", data_dir, "folder of the store");
  app.add_option("--models", models,
                 "folder of model folders; each becomes a view");
  app.add_option("--port-base", port_base,
                 "first of the four ports: ingest, query, events, HTTP");
  app.add_option("--set", overrides, "section.key=value, repeatable")
      ->take_all()
      ->allow_extra_args(false);
  app.add_flag("--check-config", check_only,
               "check the configuration and exit");
  app.add_flag("--print-config", print_only,
               "print the effective configuration and exit");
  app.set_version_flag("--version", shoal::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (!data_dir.empty()) overrides.push_back("daemon.data_dir=" + data_dir);
  if (!models.empty()) overrides.push_back("views.models=" + models);
  if (app.count("--port-base") != 0) {
    overrides.push_back("network.port_base=" + std::to_string(port_base));
  }

  std::optional<std::filesystem::path> file;
  if (!config_file.empty()) file = config_file;
  const auto source = [&] { return shoal::load_config(file, overrides); };
  const auto loaded = source();
  if (!loaded) {
    std::fprintf(stderr, "%s\n", shoal::to_string(loaded.error()).c_str());
    return kUsage;
  }
  const shoal::Config& config = loaded.value();
  if (print_only) {
    std::printf("%s", shoal::print_config(config).c_str());
    return 0;
  }
  if (check_only) {
    std::printf("the configuration is valid\n");
    return 0;
  }
  shoal::LogOptions log_options;
  log_options.level = config.daemon.log_level;
  log_options.journald = logs_to_journal(config.daemon.journald);
  const auto logging = shoal::set_up_logging(log_options);
  if (!logging) {
    std::fprintf(stderr, "%s\n", logging.error().message.c_str());
    return kUsage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  shoal::set_compute_threads(config.views.compute_threads);
  shoal::Daemon daemon(config, source);
  const auto started = daemon.start();
  if (!started) {
    spdlog::critical("event=start_failed error={}",
                     shoal::log_value(started.error().message));
    return kFailed;
  }
  return daemon.run() ? 0 : kFailed;
}
