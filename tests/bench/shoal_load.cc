// shoal-load: how much a shoald takes. Each phase starts one on an empty
// store (--bin) or uses one that runs (--port-base alone: phases ingest and
// query). docs/benchmarks.md has the commands and their results.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/views/cnn.h"
#include "tests/bench/phases.h"

namespace {

using shoal::bench::Bench;
using Phase = std::function<shoal::Result<void>(const Bench&)>;

const std::map<std::string, Phase>& phases() {
  static const std::map<std::string, Phase> kPhases = {
      {"ingest", [](const Bench& b) { return run_ingest(b, false); }},
      {"paused", [](const Bench& b) { return run_ingest(b, true); }},
      {"query", shoal::bench::run_queries},
      {"refine", shoal::bench::run_refinement},
      {"e2e", shoal::bench::run_end_to_end},
      {"assign", shoal::bench::run_assign}};
  return kPhases;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures a shoald under load, on this machine.");
  Bench bench;
  std::vector<std::string> wanted = {"paused", "ingest", "query", "assign"};
  std::size_t image_bytes = 20'000;
  std::int64_t longest = 60;
  std::string image_folder;
  bool json = false;
  bench.views = "color";
  app.add_option("--bin", bench.bin, "folder of shoald: start one per phase");
  app.add_option("--port-base", bench.port_base,
                 "first of its four ports; without --bin: of one that runs");
  app.add_option("--phases", wanted,
                 "ingest: to stored; paused: the same, nothing else at work; "
                 "query: latency idle and under load; refine: latency with "
                 "and without a relearning run; e2e: to assigned; "
                 "assign: latency of the label book")
      ->delimiter(',')
      ->check(CLI::IsMember(phases()));
  app.add_option("--views", bench.views, "of shoald, with commas between");
  app.add_option("--models", bench.models, "folder of model folders");
  app.add_option("--set", bench.settings, "of shoald: section.key=value")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--images", bench.images, "images per measurement");
  app.add_option("--image-bytes", image_bytes, "size of an image");
  app.add_option("--image-folder", image_folder,
                 "send the .jpg files below it instead of made ones");
  app.add_option("--clients", bench.clients, "ingest clients")
      ->check(CLI::Range(1, 64));
  app.add_option("--window", bench.window, "unanswered images per client");
  app.add_option("--rounds", bench.rounds, "ingest measurements")
      ->check(CLI::Range(1, 100));
  app.add_option("--queries", bench.queries, "queries of each kind");
  app.add_option("--rate", bench.rate,
                 "images/s of phase refine; 0: as fast as they are answered")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--query-rate", bench.query_rate, "queries/s of phase refine")
      ->check(CLI::Range(0.1, 1e6));
  app.add_option("--seconds", longest, "longest measurement")
      ->check(CLI::Range(1, 3600));
  app.add_flag("--json", json, "print one JSON object per line");
  CLI11_PARSE(app, argc, argv);
  bench.longest = std::chrono::seconds(longest);
  if (bench.bin.empty() && bench.port_base == 0) {
    std::fprintf(stderr, "shoal-load: give --bin DIR or --port-base N\n");
    return 2;
  }

  std::signal(SIGPIPE, SIG_IGN);
  shoal::set_compute_threads(0);
  auto jpegs = image_folder.empty()
                   ? shoal::bench::JpegSource::make(image_bytes)
                   : shoal::bench::JpegSource::read(image_folder);
  if (!jpegs) {
    std::fprintf(stderr, "shoal-load: %s\n", jpegs.error().message.c_str());
    return 1;
  }
  bench.jpegs = &jpegs.value();
  shoal::bench::Report report(json);
  bench.report = &report;
  for (const std::string& name : wanted) {
    const auto done = phases().at(name)(bench);
    if (!done) {
      std::fprintf(stderr, "shoal-load: phase %s: %s\n", name.c_str(),
                   done.error().message.c_str());
      return 1;
    }
  }
  return 0;
}
