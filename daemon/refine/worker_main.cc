// shoal-refine: one relearning run on a checkpoint, in a process of its own,
// so that a crash, a kill or a lack of memory leaves shoald untouched.
// Speaks JSON lines on standard output: progress, and at the end the result
// or the error.

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/resource.h>
#include <sys/time.h>

#include "common/log.h"
#include "common/version.h"
#include "daemon/refine/checkpoint_source.h"
#include "daemon/refine/job.h"
#include "daemon/refine/kept_steps.h"
#include "engine/refine/candidate_file.h"
#include "engine/refine/refinement.h"
#include "engine/views/cnn.h"
#include "store/store.h"

namespace shoal {
namespace {

std::atomic<bool> cancel_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void tell(const nlohmann::json& line) {
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

int fail(const Error& error) {
  tell({{"error",
         {{"code", to_string(error.code)}, {"message", error.message}}}});
  return error.code == ErrorCode::kCancelled ? kWorkerCancelled : kWorkerFailed;
}

/// Allocations beyond `bytes` of private memory fail from now on.
bool limit_memory(std::uint64_t bytes) {
  rlimit limit{};
  limit.rlim_cur = bytes;
  limit.rlim_max = bytes;
  return ::setrlimit(RLIMIT_DATA, &limit) == 0;
}

int run(const std::filesystem::path& job_file) {
  const auto job = read_job(job_file);
  if (!job) return fail(job.error().within("read the job"));
  const RefineJob& task = job.value();
  if (::setpriority(PRIO_PROCESS, 0, task.nice) != 0) {
    spdlog::warn("event=nice_failed nice={}", task.nice);
  }
  set_compute_threads(task.threads);
  if (task.max_memory > 0 && !limit_memory(task.max_memory)) {
    return fail(errno_error("limit the run's memory", errno));
  }
  const auto method = make_refinement_method(task.method);
  if (!method) return fail(method.error());

  StoreOptions options;
  options.folder = task.checkpoint;
  options.read_only = true;
  options.cache_bytes = task.cache_bytes;
  auto store = open_rocksdb_store(options);
  if (!store) return fail(store.error().within("open the checkpoint"));
  RunControl control;
  control.cancelled = [] { return cancel_asked.load(); };
  control.progress = [](std::string_view stage, double fraction) {
    tell({{"stage", stage}, {"fraction", fraction}});
  };
  const KeptSteps steps(task.steps);
  control.find_step = [&steps](const std::string& name) {
    return steps.find(name);
  };
  control.keep_step = [&steps](const std::string& name,
                               std::string_view bytes) {
    // Without it a run that is cut off begins from further back.
    const auto kept = steps.keep(name, bytes);
    if (!kept) {
      spdlog::warn("event=step_not_kept step={} error={}", name,
                   log_value(kept.error().message));
    }
  };
  control.progress("reading", 0);
  auto source = CheckpointSource::open(*store.value(), task.views);
  if (!source) return fail(source.error().within("read the images"));
  const std::size_t needed =
      static_cast<std::size_t>(std::max(4, task.options.clusters));
  if (source.value()->size() < needed) {
    tell({{"skipped", "only " + std::to_string(source.value()->size()) +
                          " images have features; at least " +
                          std::to_string(needed) + " are needed"}});
    return kWorkerSkipped;
  }
  const auto constraints = source.value()->constraints();
  if (!constraints) return fail(constraints.error());
  const auto earlier = source.value()->earlier();
  if (!earlier) return fail(earlier.error());
  auto candidate =
      run_refinement(*method.value(), *source.value(), constraints.value(),
                     earlier.value(), task.options, control);
  if (!candidate) return fail(candidate.error());
  source.value()->note_learned(candidate.value());
  const auto written =
      write_candidate(task.output, candidate.value(), source.value()->seqs());
  if (!written) return fail(written.error().within("write the result"));
  tell({{"done", true},
        {"images", source.value()->size()},
        {"left_out", source.value()->left_out()},
        {"clusters", candidate.value().clusters.size()},
        {"note", candidate.value().note}});
  return kWorkerDone;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  CLI::App app(
      "Relearns the clustering of a store's checkpoint. Started by "
      "shoald; not meant to be run by hand.");
  std::string job;
  app.add_option("--job", job, "file that says what to do")->required();
  app.set_version_flag("--version", shoal::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : shoal::kWorkerUsage;
  }
  const auto logging = shoal::set_up_logging({});
  if (!logging) return shoal::kWorkerUsage;
  std::signal(SIGTERM, [](int) { shoal::cancel_asked = true; });
  std::signal(SIGINT, [](int) { shoal::cancel_asked = true; });
  try {
    return shoal::run(job);
  } catch (const std::bad_alloc&) {
    return shoal::fail(shoal::resource_exhausted(
        "not enough memory; raise refine.max_memory, or lower "
        "refine.max_train_images"));
  } catch (const std::exception& error) {
    return shoal::fail(shoal::internal_error(error.what()));
  }
}
