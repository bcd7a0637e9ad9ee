#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/book/cluster_book.h"
#include "daemon/pipeline/intake.h"
#include "daemon/pipeline/task_thread.h"
#include "daemon/pipeline/ticket.h"

namespace shoal {

/// The last stage and its thread's state: the ClusterBook, and the clients
/// that wait to be told an image's cluster. Owner-thread.
class LabelStage {
 public:
  struct Hooks {
    ReplySink reply;
    /// Called after arrivals were settled.
    std::function<void(const ClusterBook&)> settled;
  };

  LabelStage(std::unique_ptr<ClusterBook> book, const Store& store,
             Intake& intake, Metrics& metrics, Hooks hooks);

  [[nodiscard]] ClusterBook& book() { return *book_; }

  /// Settles images that came out of the pipeline and answers who waits.
  Result<void> arrive(const std::vector<Arrival>& arrivals);
  /// Answers `ticket` now if the image has a label, else when it gets one.
  void wait_for_label(const Ticket& ticket, const ImageId& id, ImageSeq seq,
                      bool duplicate);
  /// Tells everybody who still waits that the daemon is shutting down.
  void answer_all_waiting();
  /// Deletes images, and tells who waits for one of them.
  Result<std::size_t> remove(const std::vector<ImageId>& ids);

 private:
  struct Waiting {
    Ticket ticket;
    ImageId id;
    bool duplicate = false;
  };
  void answer(const Waiting& waiting, const Label& label,
              const std::string& failure_code,
              const std::string& failure_message);
  /// Stored, but the label will come later or could not be read.
  void answer_early(const Waiting& waiting, WireError error);
  void answer_deleted(const Waiting& waiting);

  std::unique_ptr<ClusterBook> book_;
  const Store& store_;
  Intake& intake_;
  Metrics& metrics_;
  Hooks hooks_;
  std::unordered_map<ImageSeq, std::vector<Waiting>> waiting_;
};

using LabelThread = TaskThread<LabelStage>;

}  // namespace shoal
