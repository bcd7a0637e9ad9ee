#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/channel.h"
#include "common/mutex.h"
#include "config/config.h"
#include "daemon/book/event.h"
#include "daemon/metrics/metrics.h"
#include "daemon/pipeline/label_stage.h"
#include "daemon/refine/child_process.h"
#include "daemon/refine/job.h"
#include "daemon/refine/run_views.h"
#include "daemon/refine/staging.h"
#include "engine/refine/candidate_file.h"
#include "store/store.h"

namespace shoal {

struct RunRequest {
  std::string reason;  ///< "bootstrap", "asked", "views changed", ...
  std::optional<double> max_minutes;
  bool dry_run = false;
  bool in_any_case = false;  ///< also when refine.min_new_images did not come
};

/// Carries out relearning runs and epoch changes, one at a time, on a thread
/// of its own: checkpoint, child process, then staging and publishing through
/// the label thread in small pieces, so that arrivals and queries go on.
///
/// Whatever goes wrong (the child crashes, is killed, runs out of time or
/// memory; the result is damaged; the disk is full) nothing published
/// changes; the run's epoch record says why it failed. Of a run that was cut
/// off (the worker killed, the daemon stopped) the next one with the same to
/// do takes over what was finished.
/// Thread-safe.
class Refinery {
 public:
  /// @param progress_interval  shortest time between two progress events of
  ///   the same stage
  Refinery(Store& store, LabelThread& labels, const RefineConfig& config,
           std::filesystem::path data_dir,
           std::chrono::milliseconds progress_interval, EventSink events,
           Metrics& metrics);
  ~Refinery();
  Refinery(const Refinery&) = delete;
  Refinery& operator=(const Refinery&) = delete;

  /// Removes what interrupted runs left on disk, then takes requests.
  Result<void> start();
  /// Ends a run in progress as failed. Idempotent.
  void stop();

  /// Begins a run. @return its number
  /// Errors: kResourceExhausted when one is in progress.
  Result<EpochId> begin(const RunRequest& request);
  /// Tells the run in progress to stop. @return its number
  /// Errors: kFailedPrecondition when there is none.
  Result<EpochId> cancel();
  /// Makes an older or a held epoch current, and waits for it.
  /// Errors: kResourceExhausted while a run is in progress; those of
  /// ClusterBook::begin_activation.
  Result<void> activate(EpochId epoch);

  /// Settings for the runs that begin from now on.
  void use(const RefineConfig& config);

  /// The run in progress, or none.
  [[nodiscard]] EpochId running() const;

 private:
  struct Job {
    RunRequest request;
    RefineConfig config;
    EpochId run;
  };
  struct Outcome {
    EpochStatus status = EpochStatus::kFailed;
    std::string reason;
    bool cut_off = false;  ///< the next run may go on with its finished steps
  };

  /// Reserves the refinery. Errors: kResourceExhausted.
  Result<void> claim();
  void release();
  void loop();
  void carry_out(const Job& job);
  Outcome learn(const Job& job, const std::filesystem::path& folder);
  static RefineJob describe(const Job& job, const RunViews& views,
                            const std::filesystem::path& folder);
  /// Makes the run's folder: a new checkpoint, or that of a run which was cut
  /// off.
  Result<void> prepare(const Job& job, const RefineJob& task,
                       const std::filesystem::path& folder);
  /// Takes over the checkpoint and the finished steps of a run that was cut
  /// off, where it had the same to do. @return false when there is none
  Result<bool> go_on(const Job& job, const RefineJob& task,
                     const std::filesystem::path& folder);
  [[nodiscard]] std::vector<std::filesystem::path> run_folders() const;
  /// The last run with finished steps on disk, or none.
  [[nodiscard]] EpochId last_cut_off() const;
  /// Removes what runs left on disk but what `run` (if any) did.
  void keep_only(EpochId run) const;
  Outcome watch(ChildProcess& child, const Job& job,
                std::chrono::steady_clock::time_point deadline);
  /// Stages the result, and publishes it unless there is a reason to hold.
  Result<void> publish(const Job& job, const LoadedCandidate& loaded,
                       const std::string& hold);
  /// Why there is too little to learn from, or "".
  Result<std::string> reason_to_skip(const Job& job) const;
  /// settle_after_flip, again until it is done.
  void settle();
  void tell_progress(EpochId run, const std::string& stage, double fraction);

  Store& store_;
  LabelThread& labels_;
  const std::filesystem::path runs_;
  const std::chrono::milliseconds progress_interval_;
  EventSink events_;
  Metrics& metrics_;
  const OnBook on_book_;

  Channel<Job> jobs_{1};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> stopping_{false};
  // Refinery thread:
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point told_;
  std::string told_stage_;

  /// Guards who may use the refinery, and the settings; asked by query
  /// threads and the main thread.
  mutable Mutex mutex_;
  RefineConfig config_ SHOAL_GUARDED_BY(mutex_);
  std::condition_variable wake_;
  bool claimed_ SHOAL_GUARDED_BY(mutex_) = false;
  EpochId run_ SHOAL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace shoal
