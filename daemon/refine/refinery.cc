#include "daemon/refine/refinery.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "common/file.h"
#include "common/log.h"
#include "common/version.h"
#include "daemon/refine/job.h"
#include "daemon/refine/run_views.h"

namespace shoal {
namespace {

constexpr std::size_t kImagesPerTask = 512;
constexpr std::chrono::seconds kTimeToStop{10};
/// How often a run that is cut off again is gone on with.
constexpr int kMostTries = 3;
constexpr const char* kSteps = "steps";

std::filesystem::path worker_program(const RefineConfig& config) {
  if (!config.worker.empty()) return config.worker;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::filesystem::path("shoal-refine")
               : self.parent_path() / "shoal-refine";
}

std::string text_of(EpochStatus status) {
  switch (status) {
    case EpochStatus::kPublished:
      return "published";
    case EpochStatus::kHeld:
      return "held";
    case EpochStatus::kSkipped:
      return "skipped";
    default:
      return "failed";
  }
}

}  // namespace

Refinery::Refinery(Store& store, LabelThread& labels,
                   const RefineConfig& config, std::filesystem::path data_dir,
                   std::chrono::milliseconds progress_interval,
                   EventSink events, Metrics& metrics)
    : store_(store),
      labels_(labels),
      runs_(std::move(data_dir) / "runs"),
      progress_interval_(progress_interval),
      events_(std::move(events)),
      metrics_(metrics),
      on_book_([&labels](const BookStep& step) {
        return labels.call(
            [&step](LabelStage& stage) { return step(stage.book()); });
      }),
      config_(config) {}

Refinery::~Refinery() { stop(); }

Result<void> Refinery::start() {
  std::error_code error;
  std::filesystem::create_directories(runs_, error);
  if (error) {
    return io_error("prepare " + runs_.string() + ": " + error.message());
  }
  // A run that was cut off may be gone on with; of several the last.
  EpochId kept = last_cut_off();
  if (kept.valid()) {
    SHOAL_TRY(current, store_.current_epoch());
    const auto record = store_.epoch(kept);
    if (!record || record.value().parent != current) kept = EpochId{};
  }
  keep_only(kept);
  thread_ = std::thread([this] { loop(); });
  return ok();
}

void Refinery::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  jobs_.close();
  if (thread_.joinable()) thread_.join();
}

void Refinery::use(const RefineConfig& config) {
  const MutexLock lock(mutex_);
  config_ = config;
}

EpochId Refinery::running() const {
  const MutexLock lock(mutex_);
  return run_;
}

Result<void> Refinery::claim() {
  const MutexLock lock(mutex_);
  if (claimed_) {
    return resource_exhausted(
        "a run or an epoch change is in progress; wait for it or cancel it");
  }
  claimed_ = true;
  return ok();
}

void Refinery::release() {
  const MutexLock lock(mutex_);
  claimed_ = false;
  run_ = EpochId{};
}

Result<EpochId> Refinery::begin(const RunRequest& request) {
  SHOAL_TRY(claim());
  Job job;
  job.request = request;
  {
    const MutexLock lock(mutex_);
    job.config = config_;
  }
  auto run = labels_.call([&](LabelStage& stage) {
    return stage.book().begin_run(job.config.method, request.reason);
  });
  if (!run) {
    release();
    return run.error();
  }
  cancelled_ = false;
  {
    const MutexLock lock(mutex_);
    run_ = run.value();
  }
  job.run = run.value();
  if (!jobs_.send(std::move(job))) {
    release();
    return unavailable("the daemon is shutting down");
  }
  return run;
}

Result<EpochId> Refinery::cancel() {
  const EpochId run = running();
  if (!run.valid()) return failed_precondition("no run is in progress");
  cancelled_ = true;
  return run;
}

Result<void> Refinery::activate(EpochId epoch) {
  SHOAL_TRY(claim());
  auto done = labels_.call(
      [&](LabelStage& stage) { return stage.book().begin_activation(epoch); });
  if (done) done = catch_up_and_flip(on_book_, true, "");
  if (done) {
    settle();
  } else {
    const bool posted =
        labels_.post([](LabelStage& stage) { stage.book().abandon_staging(); });
    if (!posted) spdlog::warn("event=shutting_down what=rollback");
  }
  release();
  return done;
}

void Refinery::loop() {
  while (auto job = jobs_.receive()) {
    carry_out(*job);
    release();
  }
}

void Refinery::carry_out(const Job& job) {
  started_ = std::chrono::steady_clock::now();
  told_stage_.clear();
  spdlog::info("event=run_started run={} method={} reason={}", job.run.value(),
               job.config.method, log_value(job.request.reason));
  const auto folder = runs_ / std::to_string(job.run.value());
  Outcome outcome = learn(job, folder);
  if (outcome.status != EpochStatus::kPublished &&
      outcome.status != EpochStatus::kHeld) {
    const auto ended = labels_.call([&](LabelStage& stage) {
      return stage.book().end_run(job.run, outcome.status, outcome.reason);
    });
    if (!ended) {
      spdlog::error("event=run_not_closed run={} error={}", job.run.value(),
                    log_value(ended.error().message));
    }
  }
  const bool goes_on_later =
      outcome.cut_off || (stopping_ && outcome.status == EpochStatus::kFailed);
  keep_only(goes_on_later ? job.run : EpochId{});
  const std::string status = text_of(outcome.status);
  metrics_.refine_runs[status].Increment();
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - started_;
  spdlog::info("event=run_ended run={} status={} seconds={:.1f} reason={}",
               job.run.value(), status, seconds.count(),
               log_value(outcome.reason));
  if (outcome.status != EpochStatus::kPublished) {
    events_({"epoch.published",
             {{"v", 1},
              {"at", format_rfc3339(now())},
              {"epoch", job.run.value()},
              {"run", job.run.value()},
              {"status", status},
              {"reason", outcome.reason}}});
  }
}

RefineJob Refinery::describe(const Job& job, const RunViews& views,
                             const std::filesystem::path& folder) {
  RefineJob task;
  task.checkpoint = folder / "checkpoint";
  task.output = folder / "candidate";
  task.steps = folder / kSteps;
  task.method = job.config.method;
  task.views = views.keys;
  task.options = refinement_options(job.config);
  task.options.transfer.net = views.net;
  task.options.transfer.cluster_net = views.cluster_net;
  task.version = kVersion;
  task.threads = job.config.threads;
  task.nice = job.config.nice;
  task.max_memory = job.config.max_memory;
  const double minutes =
      job.request.max_minutes.value_or(job.config.max_minutes);
  task.options.budget = std::chrono::duration<double>(minutes * 60);
  return task;
}

std::vector<std::filesystem::path> Refinery::run_folders() const {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (std::filesystem::directory_iterator at(runs_, error), end;
       !error && at != end; at.increment(error)) {
    folders.push_back(at->path());
  }
  if (error) {
    spdlog::warn("event=runs_unreadable error={}", log_value(error.message()));
  }
  return folders;
}

EpochId Refinery::last_cut_off() const {
  EpochId last;
  for (const std::filesystem::path& folder : run_folders()) {
    const std::string name = folder.filename().string();
    std::uint64_t number = 0;
    const auto [end, problem] =
        std::from_chars(name.data(), name.data() + name.size(), number);
    if (problem != std::errc() || end != name.data() + name.size()) continue;
    std::error_code error;  // then there is nothing to go on with
    if (std::filesystem::exists(folder / kSteps, error) &&
        last < EpochId(number)) {
      last = EpochId(number);
    }
  }
  return last;
}

void Refinery::keep_only(EpochId run) const {
  const std::string kept = run.valid() ? std::to_string(run.value()) : "";
  for (const std::filesystem::path& folder : run_folders()) {
    if (folder.filename() == kept) continue;
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (error) {
      spdlog::warn("event=run_not_removed folder={} error={}",
                   log_value(folder.string()), log_value(error.message()));
    }
  }
}

Result<bool> Refinery::go_on(const Job& job, const RefineJob& task,
                             const std::filesystem::path& folder) {
  const EpochId earlier = last_cut_off();
  if (!earlier.valid()) return false;
  const auto from = runs_ / std::to_string(earlier.value());
  const auto before = read_job(from / "job.json");
  if (!before || !same_work(before.value(), task)) return false;
  const auto said = read_file(from / "tries", 16);
  const int tries = said ? std::atoi(said.value().c_str()) : 0;
  if (tries >= kMostTries) return false;  // perhaps it is what kills it
  SHOAL_TRY(taken, labels_.call([&](LabelStage& stage) {
    return stage.book().continue_run(job.run, earlier);
  }));
  if (!taken) return false;
  SHOAL_TRY(write_file_atomically(from / "tries", std::to_string(tries + 1)));
  std::error_code error;
  std::filesystem::rename(from, folder, error);
  if (error) {
    return io_error("rename " + from.string() + ": " + error.message());
  }
  spdlog::info("event=run_goes_on run={} from={}", job.run.value(),
               earlier.value());
  return true;
}

Result<void> Refinery::prepare(const Job& job, const RefineJob& task,
                               const std::filesystem::path& folder) {
  SHOAL_TRY(goes_on, go_on(job, task, folder));
  if (!goes_on) {
    keep_only({});
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      return io_error("make " + folder.string() + ": " + error.message());
    }
    auto made = store_.checkpoint(task.checkpoint);
    if (!made) return made.error().within("checkpoint");
  }
  return write_job(folder / "job.json", task);
}

Refinery::Outcome Refinery::learn(const Job& job,
                                  const std::filesystem::path& folder) {
  const auto failed = [](const Error& error) {
    return Outcome{EpochStatus::kFailed, error.message};
  };
  const auto skip = reason_to_skip(job);
  if (!skip) return failed(skip.error());
  if (!skip.value().empty()) return {EpochStatus::kSkipped, skip.value()};
  tell_progress(job.run, "checkpoint", 0);
  const auto views = labels_.call([&](LabelStage& stage) {
    return choose_run_views(job.config, stage.book().views());
  });
  if (!views) return failed(views.error());
  const RefineJob task = describe(job, views.value(), folder);
  const auto prepared = prepare(job, task, folder);
  if (!prepared) return failed(prepared.error());

  auto child = ChildProcess::start(worker_program(job.config),
                                   {"--job", (folder / "job.json").string()});
  if (!child) return failed(child.error().within("start the worker"));
  const Outcome watched =
      watch(child.value(), job,
            started_ + std::chrono::duration_cast<std::chrono::milliseconds>(
                           task.options.budget));
  if (watched.status != EpochStatus::kStaging) return watched;

  const auto loaded = read_candidate(task.output);
  if (!loaded) return failed(loaded.error().within("read the run's result"));
  const std::string hold = job.request.dry_run
                               ? "dry run"
                               : reason_to_hold(loaded.value().candidate);
  const auto published = publish(job, loaded.value(), hold);
  if (!published) return failed(published.error().within("publish"));
  if (!hold.empty()) return {EpochStatus::kHeld, hold};
  return {EpochStatus::kPublished, loaded.value().candidate.note};
}

Result<std::string> Refinery::reason_to_skip(const Job& job) const {
  const auto wanted = static_cast<std::size_t>(job.config.min_new_images);
  SHOAL_TRY(epoch, store_.current_epoch());
  if (wanted == 0 || !epoch.valid() || job.request.dry_run ||
      job.request.in_any_case) {
    return std::string();
  }
  SHOAL_TRY(record, store_.epoch(epoch));
  SHOAL_TRY(corrections, store_.corrections(record.corrections_seen, 1));
  if (!corrections.empty()) return std::string();
  std::size_t arrived = 0;
  for (ImageSeq after = learned_up_to(record); arrived < wanted;) {
    SHOAL_TRY(page, store_.arrivals(after, kImagesPerTask));
    arrived += page.size();
    if (page.size() < kImagesPerTask) break;
    after = page.back();
  }
  if (arrived >= wanted) return std::string();
  return "only " + std::to_string(arrived) + " images arrived since epoch " +
         std::to_string(epoch.value()) + " (refine.min_new_images is " +
         std::to_string(wanted) + ")";
}

/// kStaging: the child is done and its result is there.
Refinery::Outcome Refinery::watch(
    ChildProcess& child, const Job& job,
    std::chrono::steady_clock::time_point deadline) {
  std::string error;
  std::string stopped;
  std::string skipped;
  std::optional<std::chrono::steady_clock::time_point> kill_at;
  while (!child.at_end()) {
    const auto line = child.read_line(std::chrono::milliseconds(200));
    const auto time = std::chrono::steady_clock::now();
    if (!kill_at) {
      if (stopping_) stopped = "the daemon shuts down";
      if (cancelled_) stopped = "cancelled";
      if (time > deadline) stopped = "took longer than its time budget";
      if (!stopped.empty()) {
        child.signal(SIGTERM);
        kill_at = time + (stopping_ ? std::chrono::seconds(2) : kTimeToStop);
      }
    } else if (time > *kill_at) {
      child.signal(SIGKILL);
    }
    if (!line) continue;
    try {
      const auto said = nlohmann::json::parse(*line);
      if (said.contains("fraction")) {
        tell_progress(job.run, said.at("stage").get<std::string>(),
                      said.at("fraction").get<double>());
      } else if (said.contains("error")) {
        error = said.at("error").at("message").get<std::string>();
      } else if (said.contains("skipped")) {
        skipped = said.at("skipped").get<std::string>();
      }
    } catch (const nlohmann::json::exception&) {
      spdlog::warn("event=worker_said line={}", log_value(*line));
    }
  }
  const ChildExit exit = child.wait();
  if (!stopped.empty()) return {EpochStatus::kFailed, stopped};
  if (exit.signalled) {
    return {
        EpochStatus::kFailed,
        "the worker was killed by signal " + std::to_string(exit.status) +
            (exit.status == SIGKILL ? " (by hand, or for lack of memory)" : ""),
        true};
  }
  if (exit.status == kWorkerSkipped) return {EpochStatus::kSkipped, skipped};
  if (exit.status != kWorkerDone) {
    return {EpochStatus::kFailed,
            error.empty()
                ? "the worker ended with status " + std::to_string(exit.status)
                : error};
  }
  return {EpochStatus::kStaging, ""};
}

Result<void> Refinery::publish(const Job& job, const LoadedCandidate& loaded,
                               const std::string& hold) {
  StagingControl control;
  control.check = [this]() -> Result<void> {
    if (!stopping_ && !cancelled_) return ok();
    return Error{ErrorCode::kCancelled,
                 stopping_ ? "the daemon shuts down" : "cancelled"};
  };
  control.progress = [&](double share) {
    tell_progress(job.run, "staging", 0.9 + 0.09 * share);
  };
  SHOAL_TRY(stage_candidate(on_book_, job.run, loaded.candidate, loaded.seqs,
                            control));
  SHOAL_TRY(catch_up_and_flip(on_book_, hold.empty(), hold));
  settle();
  return ok();
}

void Refinery::settle() {
  const OnBook unless_stopping = [this](const BookStep& step) -> Result<void> {
    if (stopping_) return unavailable("the daemon is shutting down");
    return on_book_(step);
  };
  // The flip stands whatever happens here; a full disk is waited out.
  while (!stopping_) {
    const auto done = settle_after_flip(unless_stopping);
    if (done || stopping_) return;
    spdlog::warn("event=settle_after_flip error={}",
                 log_value(done.error().message));
    MutexLock lock(mutex_);
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (!stopping_) {
      if (lock.wait_until(wake_, deadline) == std::cv_status::timeout) break;
    }
  }
}

void Refinery::tell_progress(EpochId run, const std::string& stage,
                             double fraction) {
  const auto time = std::chrono::steady_clock::now();
  if (stage == told_stage_ && time - told_ < progress_interval_) return;
  told_ = time;
  told_stage_ = stage;
  const std::chrono::duration<double> seconds = time - started_;
  events_({"refine.progress",
           {{"v", 1},
            {"at", format_rfc3339(now())},
            {"run", run.value()},
            {"stage", stage},
            {"fraction", fraction},
            {"seconds", seconds.count()}}});
}

}  // namespace shoal
