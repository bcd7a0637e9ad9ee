#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/result.h"
#include "config/config.h"
#include "daemon/http/server.h"
#include "daemon/metrics/metrics.h"
#include "daemon/net/event_publisher.h"
#include "daemon/net/ingest_server.h"
#include "daemon/net/query_server.h"
#include "daemon/pipeline/intake.h"
#include "daemon/pipeline/label_stage.h"
#include "daemon/pipeline/processing.h"
#include "daemon/query/query_ops.h"
#include "daemon/query/similar_index.h"
#include "daemon/refine/refinery.h"
#include "store/store.h"

namespace zmq {
class context_t;
}

namespace shoal {

/// shoald: makes the parts, wires them, runs until a signal, takes them down
/// in order. Everything else is in the parts.
/// Thread: main.
class Daemon {
 public:
  /// Reads the configuration again, as at the start.
  using ConfigSource = std::function<ConfigResult()>;

  Daemon(const Config& config, ConfigSource source);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Opens the store, loads the models, binds the sockets.
  /// Errors: whatever the first part that fails says.
  Result<void> start();
  /// Runs until SIGTERM or SIGINT, then drains and stops.
  /// @return false when it had to stop for an error
  bool run();

 private:
  Result<void> open_store();
  Result<void> start_views();
  Result<void> start_processing(std::vector<std::unique_ptr<View>> views);
  Result<void> start_sockets();
  void add_http_routes();
  void on_settled(const ClusterBook& book);
  /// Begins a run when new images that belong to no cluster lie close to each
  /// other. Label thread.
  void look_for_new_clusters(const ClusterBook& book);
  void on_stored();
  void begin_run(const std::string& reason);
  void learn_pca_if_possible();
  void load_similar_index();
  void update_gauges();
  /// Takes up what can be changed while running (SIGHUP).
  void reload();
  void shut_down();
  [[nodiscard]] std::string address(int offset) const;

  Config config_;  ///< main thread; others were given what they need
  ConfigSource source_;
  boost::asio::io_context main_loop_;
  Metrics metrics_;
  SimilarIndex similar_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<zmq::context_t> zmq_;
  std::unique_ptr<ConnectionGate> gate_;
  std::unique_ptr<EventPublisher> events_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<LabelThread> labels_;
  std::unique_ptr<Refinery> refinery_;
  std::unique_ptr<Processing> processing_;
  std::unique_ptr<QueryOps> ops_;
  std::unique_ptr<IngestServer> ingest_;
  std::unique_ptr<QueryServer> queries_;
  std::unique_ptr<HttpServer> http_;

  /// Views that wait for rp_pca's basis; main thread.
  std::vector<std::unique_ptr<View>> waiting_views_;
  bool waits_for_pca_ = false;
  bool failed_ = false;  ///< main thread

  /// Set by the main thread, told by query threads.
  Mutex names_mutex_;
  std::vector<std::string> view_names_ SHOAL_GUARDED_BY(names_mutex_);
  /// Older images are being extracted again, for new views.
  std::atomic<bool> filling_views_{false};

  /// processing_ for other threads; null until the views are ready.
  std::atomic<Processing*> running_processing_{nullptr};
  std::atomic<bool> ready_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> pca_wanted_{false};
  /// Size of the pool at which the first epoch is tried (again).
  std::atomic<std::uint64_t> bootstrap_at_;
  /// refine.discover_images.
  std::atomic<std::uint64_t> discover_images_;
  /// Where the pool was looked at last; label thread.
  EpochId looked_in_;
  std::uint64_t looked_at_pool_ = 0;
  std::thread index_loader_;
};

}  // namespace shoal
