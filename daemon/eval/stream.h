#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "daemon/eval/experiment.h"
#include "engine/refine/refinement.h"

namespace shoal::eval {

/// In which order the images come.
enum class StreamOrder {
  kRandom,   ///< shuffled by the seed
  kClasses,  ///< class by class; classes and the images of each are shuffled
};

/// "random", "classes".
[[nodiscard]] std::string_view to_string(StreamOrder order);

/// How well labels tell the classes apart.
struct StreamScore {
  double nmi = 0;  ///< geometric mean
  double acc = 0;
};

/// Scores of images of which some are in no cluster.
struct StreamScores {
  std::size_t images = 0;
  std::size_t unassigned = 0;
  /// Of all, the unassigned ones as one more cluster. None for no images.
  std::optional<StreamScore> all;
  /// Of those in a cluster. None where there are none.
  std::optional<StreamScore> assigned;
};

/// Some of the images that arrived between two runs.
struct StreamArrivals {
  std::size_t images = 0;
  std::size_t unassigned = 0;
  /// Mean confidence of all of them in the nearest cluster; none without
  /// images or without an epoch.
  std::optional<double> confidence;
};

/// One run and what came before it. "Before" is the state after the last
/// arrival, "after" that which the run left.
struct StreamRun {
  StreamOrder order = StreamOrder::kRandom;
  std::uint64_t seed = 0;
  int run = 0;             ///< from 1
  std::size_t images = 0;  ///< that have come so far
  std::string status;      ///< "published", "held", "failed"
  std::string reason;      ///< why held or failed
  std::string note;        ///< how K was found, what was sampled
  double seconds = 0;      ///< of the run

  /// Of the labels after each round, of all images but those that it leaves
  /// without a cluster.
  std::vector<StreamScore> rounds;
  StreamScores labels;  ///< of all images after the run
  /// Of the arrivals since the last run as the epoch before labelled them;
  /// without scores while there was none.
  StreamScores online;
  /// Those arrivals by whether the epoch that labelled them was learned with
  /// images of their class.
  StreamArrivals seen;
  StreamArrivals unseen;

  std::size_t clusters = 0;  ///< with images, after
  std::size_t born = 0;      ///< clusters with images after and none before
  std::size_t ended = 0;     ///< clusters with images before and none after
  /// Of the clusters before and after, the share that has more than half of
  /// its images of before. None where there are none.
  std::optional<double> kept;
  /// Candidate::churn. None when the run failed and when none was before it.
  std::optional<double> churn;

  std::size_t confirmed = 0;  ///< after
  /// Share of the confirmed images that are of the class that most of the
  /// confirmed ones in their cluster have. None without any.
  std::optional<double> purity;
  /// Images that were confirmed after an earlier run and are not any more, or
  /// in another cluster. Anything but 0 is a bug.
  std::size_t confirmed_changed = 0;
};

/// The whole of one order, and the same method once over all images without
/// confirmations.
struct StreamEnd {
  StreamOrder order = StreamOrder::kRandom;
  std::uint64_t seed = 0;
  StreamScores labels;
  std::size_t clusters = 0;
  StreamScore batch;
  std::size_t batch_clusters = 0;
};

/// How alike the last labels of the two orders are.
struct StreamAgreement {
  std::uint64_t seed = 0;
  double ari = 0;  ///< unassigned images as one more cluster
};

struct StreamOptions {
  std::vector<StreamOrder> orders = {StreamOrder::kRandom,
                                     StreamOrder::kClasses};
  int seeds = 1;                   ///< every order with the seeds 0..seeds-1
  std::size_t refine_every = 300;  ///< arrivals between two runs
  std::string method;              ///< of make_refinement_method
  RefinementOptions refinement;    ///< `seed` is set by the streams
  const std::atomic<bool>* stop = nullptr;
  std::ostream* messages = nullptr;  ///< progress; may be null
  bool terminal = false;             ///< `messages` is one
};

/// What was asked for, and what is there of it.
struct StreamReport {
  std::string dataset;
  std::vector<std::string> views;
  std::string method;
  int clusters = 0;  ///< 0: estimated by every run
  std::size_t refine_every = 0;
  ConfirmationOptions confirmation;
  std::vector<StreamRun> runs;
  std::vector<StreamEnd> ends;
  std::vector<StreamAgreement> agreements;

  /// Sum of StreamRun::confirmed_changed.
  [[nodiscard]] std::size_t confirmed_changed() const;
};

/// Positions of the images in the order in which they come.
[[nodiscard]] std::vector<std::size_t> stream_order(
    const std::vector<int>& truth, StreamOrder order, std::uint64_t seed);

/// Sends the images through the daemon's own online path, from their features
/// on, and learns again after every `refine_every` images and after the last.
/// The same data and options give the same report but for the seconds.
/// @param data  with features as the views give them
/// @param added  called with all that is there at the start and after every
///   addition; an error ends the experiment
/// Errors: kNotFound for the method; kInvalidArgument for no view, unequal
/// numbers of rows, fewer images than clusters; kCancelled when stopped; those
/// of the store and of `added`. A run that fails is no error: see its row.
[[nodiscard]] Result<StreamReport> run_stream_experiment(
    const ExperimentData& data, const StreamOptions& options,
    const std::function<Result<void>(const StreamReport&)>& added);

}  // namespace shoal::eval
