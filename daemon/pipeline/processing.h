#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "clients/protocol/codec.h"
#include "common/channel.h"
#include "common/mutex.h"
#include "config/config.h"
#include "daemon/metrics/metrics.h"
#include "daemon/pipeline/intake.h"
#include "daemon/pipeline/label_stage.h"
#include "engine/views/extractor.h"
#include "store/store.h"

namespace shoal {

/// The features of an image that is only looked at, per active view.
using ProbeResult = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    std::vector<Vector>, WireError,
    BOOST_OUTCOME_V2_NAMESPACE::policy::terminate>;

/// The middle of the pipeline: from pending marks to features. A feeder reads
/// pending images from the store in order of arrival, decoders turn them into
/// pixels at the views' sizes, one extractor batches them through the views,
/// and the last thread hands the features to the label thread while the next
/// batch is extracted.
///
/// What is in flight is bounded by the channels, whatever the backlog: the
/// backlog is the pending marks. Images that were settled before a view was
/// added are refilled when nothing is pending.
/// Thread-safe.
class Processing {
 public:
  struct Hooks {
    /// Every image has the features of every active view.
    /// @param extracted  images that lacked some
    std::function<void(std::size_t extracted)> refilled;
  };

  /// @param views  of `extractor`, in its order
  Processing(Store& store, const ViewsConfig& config, const ImageLimits& limits,
             std::unique_ptr<Extractor> extractor,
             std::vector<ActiveView> views, LabelThread& labels, Intake& intake,
             Metrics& metrics, Hooks hooks);
  ~Processing();
  Processing(const Processing&) = delete;
  Processing& operator=(const Processing&) = delete;

  /// Starts the threads. @param refill  settled images may lack features
  void start(bool refill);
  /// Finishes what is in flight, then ends the threads. Idempotent.
  void stop();

  /// There are new pending marks.
  void notice_pending();

  /// Features of an image that is not stored, through the same threads.
  /// Nothing when the pipeline is full or stopping.
  [[nodiscard]] std::optional<std::future<ProbeResult>> probe(
      std::string bytes);

  /// Grows with every image that a stage finishes: a stuck stage stops it.
  [[nodiscard]] std::uint64_t progress() const { return progress_; }
  [[nodiscard]] bool idle() const;

 private:
  enum class Kind { kArrival, kRefill, kProbe };
  struct Encoded {
    Kind kind = Kind::kArrival;
    ImageSeq seq;
    std::string bytes;
    WireError failure;  ///< code "" unless the bytes could not be read
    std::shared_ptr<std::promise<ProbeResult>> answer;  ///< kProbe
  };
  struct Decoded {
    Kind kind = Kind::kArrival;
    ImageSeq seq;
    Extractor::SizedImage sizes;
    WireError failure;  ///< code "" when it decoded
    std::shared_ptr<std::promise<ProbeResult>> answer;
  };

  /// A batch with its features.
  struct Extracted {
    std::vector<Arrival> arrivals;
    std::vector<Arrival> refills;
    std::size_t images = 0;  ///< with those that were only looked at
  };

  void feed();
  /// Sends the next page of pending images. False when there was none.
  bool feed_pending();
  /// Sends the next page of images that lack features. False at the end.
  bool feed_refill();
  bool send(ImageSeq seq, Kind kind);
  void wait_for_work(std::chrono::milliseconds longest);
  void decode();
  void extract();
  Extracted extract_batch(std::vector<Decoded> batch);
  void settle_batches();
  /// Repeats `task` on the label thread until the store takes it or the
  /// pipeline stops: nothing acknowledged is dropped because a disk is full.
  void settle(std::function<Result<void>(LabelStage&)> task);

  Store& store_;
  const ViewsConfig config_;
  const ImageLimits limits_;
  std::unique_ptr<Extractor> extractor_;
  const std::vector<ActiveView> views_;
  LabelThread& labels_;
  Intake& intake_;
  Metrics& metrics_;
  Hooks hooks_;

  Channel<Encoded> encoded_;
  Channel<Decoded> decoded_;
  Channel<Extracted> extracted_;
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<std::int64_t> in_flight_{0};

  /// Guards the feeder's wake-up, which several threads ask for.
  mutable Mutex mutex_;
  std::condition_variable wake_;
  bool work_waiting_ SHOAL_GUARDED_BY(mutex_) = false;
  bool stopping_ SHOAL_GUARDED_BY(mutex_) = false;

  ImageSeq pending_cursor_;   ///< feeder thread
  ImageSeq refill_cursor_;    ///< feeder thread
  bool refilling_ = false;    ///< feeder thread after start()
  std::size_t refilled_ = 0;  ///< feeder thread

  std::thread feeder_;
  std::vector<std::thread> decoders_;
  std::thread extracting_;
  std::thread settling_;
};

}  // namespace shoal
