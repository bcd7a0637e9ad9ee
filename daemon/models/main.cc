#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <string>

#include "common/version.h"
#include "daemon/models/commands.h"
#include "engine/views/cnn.h"

namespace shoal {
namespace {

/// The values of all options; they outlive the parsing.
struct Options {
  ModelsOutput output;
  std::string models = "models";
  std::string manifest;
  CheckCommand check;
  ImportCommand import;
  PullCommand pull;
};

using Action = std::function<ModelsExit()>;

void add_models_option(CLI::App& command, Options& o) {
  command.add_option("--models", o.models, "Folder of model folders")
      ->capture_default_str();
}

void add_commands(CLI::App& app, Options& o, Action& action) {
  auto* const list = app.add_subcommand("list", "List model folders");
  add_models_option(*list, o);
  list->callback(
      [&] { action = [&] { return list_models(o.output, o.models); }; });

  auto* const check = app.add_subcommand(
      "check", "Say what a model folder is and what its net sees");
  check->add_option("folder", o.check.folder, "The model folder")->required();
  check
      ->add_option("--image", o.check.images,
                   "Image file, repeatable; none: a rendered picture")
      ->take_all()
      ->allow_extra_args(false);
  check->callback(
      [&] { action = [&] { return check_model(o.output, o.check); }; });

  auto* const import = app.add_subcommand(
      "import", "Make a model folder from a published weights file");
  import->add_option("file", o.import.file, ".pth, .safetensors or Keras .h5")
      ->required();
  import->add_option("--arch", o.import.architecture, "Architecture")
      ->required();
  import->add_option("--name", o.import.options.name,
                     "Name of the view; none: the architecture's");
  import->add_option("--preprocessing", o.import.preprocessing,
                     "torch, inception or caffe; none: the release's");
  import->add_option("--source", o.import.options.source,
                     "Where the weights come from");
  import->add_option("--licence", o.import.options.licence,
                     "On what terms they are used");
  import->add_flag("--force", o.import.options.force,
                   "Replace a folder of the same name");
  add_models_option(*import, o);
  import->callback([&] {
    action = [&] {
      o.import.models = o.models;
  return import_model(o.output, o.import);
};
}  // namespace
);

auto* const pull = app.add_subcommand(
    "pull", "Download weights and make model folders of them");
pull->add_option("names", o.pull.names, "Models; none: show which there are");
pull->add_option("--manifest", o.manifest,
                 "File that lists models; none: the built-in list");
pull->add_flag("--force", o.pull.force, "Replace folders of the same name");
add_models_option(*pull, o);
pull->callback([&] {
  action = [&] {
    o.pull.models = o.models;
    if (!o.manifest.empty()) o.pull.manifest = o.manifest;
    return pull_models(o.output, o.pull);
  };
});
}  // namespace shoal

int main_of(int argc, char** argv) {
  CLI::App app{"Model folders: list, check, import and download them."};
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 no network.");
  app.set_version_flag("--version", std::string("shoal-models ") + kVersion);
  app.require_subcommand(1);
  Options o;
  Action action;
  app.add_flag("--json", o.output.as_json,
               "One JSON object a line on standard output");
  add_commands(app, o, action);
  for (CLI::App* const command : app.get_subcommands({})) {
    command->fallthrough();
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_help = app.exit(error) == 0;
    return static_cast<int>(is_help ? ModelsExit::kDone : ModelsExit::kUsage);
  }
  set_compute_threads(0);
  ModelsExit code = action();
  std::cout.flush();
  if (!std::cout && code == ModelsExit::kDone) code = ModelsExit::kFailed;
  return static_cast<int>(code);
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) { return shoal::main_of(argc, argv); }
