#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "clients/protocol/ingest.h"
#include "common/channel.h"
#include "common/mutex.h"
#include "config/config.h"
#include "daemon/metrics/metrics.h"
#include "daemon/pipeline/ticket.h"
#include "engine/image/image.h"
#include "store/store.h"

namespace shoal {

/// The first two stages: checks arriving images and makes them durable.
/// Images wait in a bounded queue; one thread takes as many as are there (up
/// to a group's limits) and probes them; another writes the group with one
/// synced batch and only then answers `stored`. While the disk syncs a group
/// the next one is made ready.
///
/// `offer` and `note_rejected` may be called by any thread.
class Intake {
 public:
  enum class Admission { kTaken, kFull, kShuttingDown };

  struct Hooks {
    ReplySink reply;
    /// New pending marks are in the store.
    std::function<void()> stored;
    /// The image is stored (or was before) and the client waits for its
    /// cluster: the receiver answers the ticket once it is known.
    std::function<void(const Ticket&, const ImageId&, ImageSeq, bool duplicate)>
        wait_for_label;
  };

  Intake(Store& store, const IngestConfig& config,
         std::filesystem::path data_dir, Hooks hooks, Metrics& metrics);
  ~Intake();
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  void start();
  /// Stores and answers what has been taken, then ends. Idempotent.
  void stop();

  /// Takes a copy of `bytes` when there is room.
  [[nodiscard]] Admission offer(IngestHeader header, std::string_view bytes,
                                const Ticket& ticket);

  /// Counts refused input and keeps it in the list of the last ones.
  void note_rejected(const std::string& id, const std::string& source,
                     const WireError& error);
  /// Refusals since the start, by code.
  [[nodiscard]] std::map<std::string, std::uint64_t> rejected_counts() const;

  /// Images stored and not yet through the pipeline; kept by who settles them.
  std::atomic<std::int64_t>& pending() { return pending_; }
  /// Clients waiting for `assigned`.
  std::atomic<std::int64_t>& waiting() { return waiting_; }
  [[nodiscard]] std::size_t queued() const { return queue_.size(); }

 private:
  struct Item {
    IngestHeader header;
    std::string bytes;
    Ticket ticket;
  };
  struct Checked {
    NewImage image;
    Ticket ticket;
  };

  void check_images();
  void store_groups();
  /// The image, or nothing when it has been refused and answered.
  std::optional<Checked> check(Item item);
  void store_group(std::vector<Checked> group);
  void answer_busy(const Checked& item, const Error& error);
  [[nodiscard]] bool disk_is_full() const;

  Store& store_;
  const IngestConfig config_;
  const std::filesystem::path data_dir_;
  const Hooks hooks_;
  Metrics& metrics_;
  const ImageLimits limits_;
  Channel<Item> queue_;
  Channel<std::vector<Checked>> groups_;
  std::atomic<std::int64_t> pending_{0};
  std::atomic<std::int64_t> waiting_{0};
  /// Counters for the query socket, written by several threads.
  mutable Mutex rejected_mutex_;
  std::map<std::string, std::uint64_t> rejected_
      SHOAL_GUARDED_BY(rejected_mutex_);
  std::thread checker_;
  std::thread storer_;
};

}  // namespace shoal
