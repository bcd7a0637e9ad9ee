#include "daemon/models/commands.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "daemon/models/download.h"
#include "daemon/models/inspect.h"
#include "daemon/models/manifest.h"
#include "engine/views/model_folder.h"

namespace shoal {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr double kMebi = 1 << 20;

void say(const std::string& message) {
  std::cerr << "shoal-models: " << message << '\n';
}

ModelsExit exit_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return ModelsExit::kNotFound;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return ModelsExit::kNoNetwork;
    default:
      return ModelsExit::kFailed;
  }
}

ModelsExit fail(const Error& error) {
  say(error.message);
  return exit_of(error.code);
}

void print_json(const json& line) {
  std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace)
            << std::endl;
}

/// A value for people.
std::string cell(const json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float())
    return fmt::format("{:.4g}", value.get<double>());
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void print_summary(const json& line) {
  const json& bytes = line["bytes"];
  std::cout << fmt::format(
      "{:<24} {:<16} {:>6}  {:>9}  {:>9}  {}\n", cell(line["name"]),
      cell(line["architecture"]), cell(line["dim"]),
      cell(line["width"]) + "x" + cell(line["height"]),
      bytes.is_number() ? fmt::format("{:.1f} MiB", bytes.get<double>() / kMebi)
                        : "-",
      line["ok"] == true ? "ok" : "error: " + cell(line["error"]));
}

void print_image(const json& line) {
  std::cout << cell(line["image"]) << "  (feature norm "
            << cell(line["feature_norm"]) << ")\n";
  if (line["top"].empty()) std::cout << "  the net has no classifier\n";
  for (const json& entry : line["top"]) {
    std::cout << fmt::format("  {:>5.1f} %  {:>4}  {}\n",
                             100 * entry["probability"].get<double>(),
                             cell(entry["class"]), cell(entry["name"]));
  }
}

void print_description(const json& line) {
  for (const auto& [key, value] : line.items()) {
    std::cout << fmt::format("{:<14} {}\n", key, cell(value));
  }
}

/// Prints what was imported as one line.
void print_imported(bool as_json, const ImportedModel& imported) {
  const ModelFolder& model = imported.model;
  if (as_json) {
    print_json({{"name", model.name},
                {"folder", model.folder.string()},
                {"architecture", model.architecture},
                {"dim", model.feature_dim},
                {"parameters", imported.parameters}});
    return;
  }
  std::cout << fmt::format("{}: {}, {} features, {} parameters\n",
                           model.folder.string(), model.architecture,
                           model.feature_dim, imported.parameters);
}

/// Shows on a terminal how far a download is. Owner-thread.
class ProgressLine {
 public:
  explicit ProgressLine(std::string name)
      : name_(std::move(name)), shown_(isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() {
    if (shown_ && begun_) std::cerr << "\r\033[K";
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(std::uint64_t have, std::uint64_t whole) {
    const auto now = std::chrono::steady_clock::now();
    constexpr std::chrono::milliseconds kInterval{200};
    if (!shown_ || (begun_ && now - last_ < kInterval)) return;
    begun_ = true;
    last_ = now;
    std::string text =
        fmt::format("{} {:.1f}", name_, static_cast<double>(have) / kMebi);
    if (whole > 0) {
      text += fmt::format(" of {:.1f}", static_cast<double>(whole) / kMebi);
    }
    std::cerr << '\r' << text << " MiB\033[K" << std::flush;
  }

 private:
  std::string name_;
  bool shown_;
  bool begun_ = false;
  std::chrono::steady_clock::time_point last_;
};

Result<void> check_pullable(const DownloadableModel& model,
                            const PullCommand& command) {
  const auto known = importable_architectures();
  if (std::find(known.begin(), known.end(), model.architecture) ==
      known.end()) {
    return unsupported("no release of architecture " + model.architecture +
                       " is known");
  }
  std::error_code error;
  const fs::path target = command.models / model.name;
  if (!command.force && fs::exists(target, error)) {
    return already_exists(target.string() +
                          " is there already; --force replaces it");
  }
  fs::create_directories(command.models, error);
  if (error) return io_error(command.models.string() + ": " + error.message());
  return ok();
}

Result<ImportedModel> pull(const DownloadableModel& model,
                           const PullCommand& command) {
  SHOAL_TRY(check_pullable(model, command));
  DownloadRequest request;
  request.url = model.url;
  request.file = command.models / (model.name + ".part");
  request.sha256 = model.sha256;
  request.size_bytes = model.size_bytes;
  {
    ProgressLine line(model.name);
    request.progress = [&](std::uint64_t have, std::uint64_t whole) {
      line.update(have, whole);
    };
    SHOAL_TRY(download(request));
  }
  ImportOptions options;
  options.name = model.name;
  options.preprocessing = model.preprocessing;
  options.source = model.url;
  options.licence = model.licence;
  options.force = command.force;
  auto imported =
      import_weights(request.file, model.architecture, command.models, options);
  // The right file, whatever came of it: another try would fetch the same.
  std::error_code ignored;
  fs::remove(request.file, ignored);
  return imported;
}

ModelsExit show_manifest(bool as_json,
                         const std::vector<DownloadableModel>& models) {
  for (const DownloadableModel& model : models) {
    if (as_json) {
      print_json({{"name", model.name},
                  {"architecture", model.architecture},
                  {"url", model.url},
                  {"licence", model.licence}});
    } else {
      std::cout << fmt::format("{:<18} {}\n", model.name, model.url);
    }
  }
  return ModelsExit::kDone;
}

/// Each name's entry. Errors: kNotFound.
Result<std::vector<DownloadableModel>> choose(
    const std::vector<DownloadableModel>& models,
    const std::vector<std::string>& names) {
  std::vector<DownloadableModel> chosen;
  for (const std::string& name : names) {
    const auto model =
        std::find_if(models.begin(), models.end(),
                     [&](const auto& known) { return known.name == name; });
    if (model == models.end()) {
      return not_found("no model " + name +
                       " is listed; pull without a name shows all");
    }
    chosen.push_back(*model);
  }
  return chosen;
}

}  // namespace

ModelsExit list_models(const ModelsOutput& output, const fs::path& models) {
  const auto folders = list_model_folders(models);
  if (!folders) return fail(folders.error());
  for (const fs::path& folder : folders.value()) {
    const json line = summarize_model(folder);
    if (output.as_json) {
      print_json(line);
    } else {
      print_summary(line);
    }
  }
  return ModelsExit::kDone;
}

ModelsExit check_model(const ModelsOutput& output,
                       const CheckCommand& command) {
  const auto lines = inspect_model(command.folder, command.images);
  if (!lines) return fail(lines.error());
  bool is_first = true;
  for (const json& line : lines.value()) {
    if (output.as_json) {
      print_json(line);
    } else if (is_first) {
      print_description(line);
    } else {
      print_image(line);
    }
    is_first = false;
  }
  return ModelsExit::kDone;
}

ModelsExit import_model(const ModelsOutput& output,
                        const ImportCommand& command) {
  ImportOptions options = command.options;
  if (!command.preprocessing.empty()) {
    const auto preprocessing = parse_preprocessing(command.preprocessing);
    if (!preprocessing) {
      say(preprocessing.error().message);
      return ModelsExit::kUsage;
    }
    options.preprocessing = preprocessing.value();
  }
  const auto imported = import_weights(command.file, command.architecture,
                                       command.models, options);
  if (!imported) return fail(imported.error());
  print_imported(output.as_json, imported.value());
  return ModelsExit::kDone;
}

ModelsExit pull_models(const ModelsOutput& output, const PullCommand& command) {
  const auto manifest = read_manifest(command.manifest);
  if (!manifest) return fail(manifest.error());
  if (command.names.empty()) {
    return show_manifest(output.as_json, manifest.value());
  }
  const auto chosen = choose(manifest.value(), command.names);
  if (!chosen) return fail(chosen.error());
  ModelsExit code = ModelsExit::kDone;
  for (const DownloadableModel& model : chosen.value()) {
    const auto imported = pull(model, command);
    if (imported) {
      print_imported(output.as_json, imported.value());
      continue;
    }
    const ModelsExit failed = fail(imported.error().within(model.name));
    if (code == ModelsExit::kDone) code = failed;
  }
  return code;
}

}  // namespace shoal
