#include "daemon/daemon.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <future>
#include <system_error>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <zmq.hpp>

#include "common/log.h"
#include "common/version.h"
#include "daemon/refine/run_views.h"
#include "daemon/views_setup.h"
#include "engine/views/cnn.h"

namespace shoal {
namespace {

constexpr std::size_t kLabelTasks = 256;
constexpr std::size_t kPage = 4096;
/// Images of the pool that are looked at for new clusters.
constexpr std::size_t kPoolLookedAt = 1000;
constexpr std::chrono::seconds kProbeTimeout{30};

/// Ends the process when draining takes longer than it may: what has been
/// acknowledged is durable, and its pending marks finish it after a restart.
class DrainGuard {
 public:
  explicit DrainGuard(std::chrono::milliseconds longest)
      : thread_([this, longest] { watch(longest); }) {}
  ~DrainGuard() {
    {
      const MutexLock lock(mutex_);
      done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  DrainGuard(const DrainGuard&) = delete;
  DrainGuard& operator=(const DrainGuard&) = delete;

 private:
  void watch(std::chrono::milliseconds longest) {
    const auto deadline = std::chrono::steady_clock::now() + longest;
    MutexLock lock(mutex_);
    while (!done_) {
      if (lock.wait_until(wake_, deadline) == std::cv_status::timeout) {
        spdlog::error("event=drain_timeout seconds={}",
                      static_cast<double>(longest.count()) / 1000);
        std::_Exit(1);
      }
    }
  }

  Mutex mutex_;
  std::condition_variable wake_;
  bool done_ SHOAL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

Daemon::Daemon(const Config& config, ConfigSource source)
    : config_(config),
      source_(std::move(source)),
      similar_(static_cast<std::size_t>(config.similar.index_max_images)),
      bootstrap_at_(static_cast<std::uint64_t>(config.bootstrap.min_images)),
      discover_images_(
          static_cast<std::uint64_t>(config.refine.discover_images)) {}

Daemon::~Daemon() { shut_down(); }

std::string Daemon::address(int offset) const {
  return "tcp://" + config_.network.host + ":" +
         std::to_string(config_.network.port_base + offset);
}

// ------------------------------------------------------------------ starting

Result<void> Daemon::start() {
  SHOAL_TRY(open_store());
  zmq_ = std::make_unique<zmq::context_t>(1);
  SHOAL_TRY(gate, ConnectionGate::start(*zmq_, config_.network.max_connections,
                                        metrics_));
  gate_ = std::move(gate);
  SHOAL_TRY(events, EventPublisher::start(*zmq_, *gate_, address(2),
                                          config_.events.queue, metrics_));
  events_ = std::move(events);

  Intake::Hooks intake_hooks;
  intake_hooks.reply = [this](const Ticket& ticket, IngestReply reply) {
    ingest_->reply(ticket, std::move(reply));
  };
  intake_hooks.stored = [this] { on_stored(); };
  intake_hooks.wait_for_label = [this](const Ticket& ticket, const ImageId& id,
                                       ImageSeq seq, bool duplicate) {
    const bool posted =
        labels_->post([ticket, id, seq, duplicate](LabelStage& stage) {
          stage.wait_for_label(ticket, id, seq, duplicate);
        });
    if (!posted) --intake_->waiting();
  };
  intake_ =
      std::make_unique<Intake>(*store_, config_.ingest, config_.daemon.data_dir,
                               std::move(intake_hooks), metrics_);

  const EventSink sink = [this](Event event) {
    events_->publish(std::move(event));
  };
  ClusterBook::Options book_options;
  book_options.keep_epochs = config_.store.keep_epochs;
  SHOAL_TRY(book,
            ClusterBook::open(*store_, {}, book_options, sink, &similar_));
  SHOAL_TRY(ingested, store_->ingest_totals());
  intake_->pending() =
      static_cast<std::int64_t>(ingested.stored - book->totals().completed -
                                book->totals().deleted_pending);
  if (book->current().id().valid()) {
    similar_.on_epoch(book->current().id(), book->current().model()->dim());
  }
  spdlog::info("event=store_open images={} pending={} epoch={} clusters={}",
               ingested.stored - book->totals().deleted,
               intake_->pending().load(), book->current().id().value(),
               book->current().clusters().size());

  LabelStage::Hooks label_hooks;
  label_hooks.reply = [this](const Ticket& ticket, IngestReply reply) {
    ingest_->reply(ticket, std::move(reply));
  };
  label_hooks.settled = [this](const ClusterBook& b) { on_settled(b); };
  labels_ = std::make_unique<LabelThread>(
      std::make_unique<LabelStage>(std::move(book), *store_, *intake_, metrics_,
                                   std::move(label_hooks)),
      kLabelTasks);
  refinery_ = std::make_unique<Refinery>(
      *store_, *labels_, config_.refine, config_.daemon.data_dir,
      config_.events.progress_interval, sink, metrics_);
  SHOAL_TRY(refinery_->start());
  SHOAL_TRY(start_views());
  SHOAL_TRY(start_sockets());
  intake_->start();
  index_loader_ = std::thread([this] { load_similar_index(); });
  ready_ = true;
  spdlog::info("event=ready version={} ingest={} query={} events={}", kVersion,
               address(0), address(1), address(2));
  return ok();
}

Result<void> Daemon::open_store() {
  const auto& folder = config_.daemon.data_dir;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return io_error("make the data folder " + folder.string() + ": " +
                    error.message() +
                    "; give another one with --data-dir, or the rights to "
                    "this one");
  }
  StoreOptions options;
  options.folder = folder / "store";
  options.cache_bytes = config_.store.cache_bytes;
  options.write_buffer_bytes = config_.store.write_buffer_bytes;
  auto store = open_rocksdb_store(options);
  if (!store) return store.error();
  store_ = std::move(store).value();
  return ok();
}

Result<void> Daemon::start_views() {
  SHOAL_TRY(set, make_views(config_.views, config_.daemon.data_dir));
  if (!set.needs_pca) return start_processing(std::move(set.views));
  waiting_views_ = std::move(set.views);
  waits_for_pca_ = true;
  spdlog::info("event=waiting_for_images view=rp_pca images={}",
               config_.views.pca_fit_images);
  learn_pca_if_possible();
  return ok();
}

void Daemon::learn_pca_if_possible() {
  if (!waits_for_pca_) return;
  pca_wanted_ = true;  // before looking, so that no later image is missed
  const ImageLimits limits{config_.ingest.max_pixels, config_.ingest.max_side};
  auto view = learn_raw_pixel_pca(*store_, config_.views.pca_fit_images, limits,
                                  config_.daemon.data_dir);
  if (!view) {
    // Too few images is the normal case; the next image asks again.
    if (view.error().code != ErrorCode::kFailedPrecondition) {
      spdlog::error("event=pca_failed error={}",
                    log_value(view.error().message));
    }
    return;
  }
  waits_for_pca_ = false;
  pca_wanted_ = false;
  waiting_views_.push_back(std::move(view).value());
  const auto started = start_processing(std::move(waiting_views_));
  if (!started) {
    spdlog::critical("event=views_failed error={}",
                     log_value(started.error().message));
    failed_ = true;
    main_loop_.stop();
  }
}

Result<void> Daemon::start_processing(
    std::vector<std::unique_ptr<View>> views) {
  auto extractor = std::make_unique<Extractor>(std::move(views));
  SHOAL_TRY(active, open_views(*store_, *extractor));
  SHOAL_TRY(wanted, choose_run_views(config_.refine, active));
  SHOAL_TRY(refill, labels_->call([&](LabelStage& stage) -> Result<bool> {
    ClusterBook& book = stage.book();
    book.use_views(active);
    if (book.current().id().valid() && !book.can_embed()) {
      spdlog::warn(
          "event=views_changed epoch={} what=\"the current epoch was learned "
          "from other views; arrivals stay unassigned until the next run, "
          "which starts when older images have been extracted again\"",
          book.current().id().value());
    }
    // Images settled under other views lack the features of new ones.
    std::vector<std::string> names = wanted.keys;
    std::vector<std::string> learned = book.current().record().views;
    std::sort(names.begin(), names.end());
    std::sort(learned.begin(), learned.end());
    return book.totals().completed > 0 && names != learned;
  }));
  {
    const MutexLock lock(names_mutex_);
    view_names_.clear();
    for (const ActiveView& view : active) {
      view_names_.push_back(view.key.name);
    }
  }
  for (const ActiveView& view : active) {
    spdlog::info("event=view name={} dim={} weights={}", view.key.name,
                 view.key.dim, view.key.weights_hash);
  }
  Processing::Hooks hooks;
  hooks.refilled = [this](std::size_t extracted) {
    boost::asio::post(main_loop_, [this, extracted] {
      filling_views_ = false;
      const auto outdated =
          labels_->call([this, extracted](LabelStage& stage) -> Result<bool> {
            // No epoch yet, and perhaps no arrival that would ask for one.
            on_settled(stage.book());
            return stage.book().current().id().valid() &&
                   (extracted > 0 || !stage.book().can_embed());
          });
      if (outdated && outdated.value()) begin_run("views changed");
    });
  };
  const ImageLimits limits{config_.ingest.max_pixels, config_.ingest.max_side};
  processing_ = std::make_unique<Processing>(
      *store_, config_.views, limits, std::move(extractor), active, *labels_,
      *intake_, metrics_, std::move(hooks));
  filling_views_ = refill;
  processing_->start(refill);
  running_processing_ = processing_.get();
  return ok();
}

Result<void> Daemon::start_sockets() {
  QueryOps::Parts parts{*store_,  *labels_, *refinery_, similar_,
                        *intake_, {},       {},         {}};
  parts.probe = [this](std::string bytes) -> WireResult<std::vector<Vector>> {
    Processing* const processing = running_processing_;
    if (!ready_ || processing == nullptr) {
      return WireError{"unavailable", "the views are not ready"};
    }
    auto future = processing->probe(std::move(bytes));
    if (!future) {
      return WireError{"busy", "the pipeline is full; try again"};
    }
    if (future->wait_for(kProbeTimeout) != std::future_status::ready) {
      return WireError{"busy",
                       "the pipeline did not get to the image in "
                       "time; try again"};
    }
    return future->get();
  };
  parts.views = [this] {
    const MutexLock lock(names_mutex_);
    return view_names_;
  };
  parts.filling_views = [this] { return filling_views_.load(); };
  ops_ = std::make_unique<QueryOps>(std::move(parts), config_.query);

  QueryServerOptions query_options;
  query_options.address = address(1);
  query_options.max_message_bytes =
      static_cast<std::int64_t>(config_.network.max_message_bytes);
  query_options.threads = config_.query.threads;
  query_options.queue = config_.query.queue;
  SHOAL_TRY(queries,
            QueryServer::start(*zmq_, *gate_, query_options, *ops_, metrics_));
  queries_ = std::move(queries);

  IngestServerOptions ingest_options;
  ingest_options.address = address(0);
  ingest_options.max_message_bytes =
      static_cast<std::int64_t>(config_.network.max_message_bytes);
  ingest_options.max_image_bytes = config_.ingest.max_image_bytes;
  ingest_options.retry_after_ms =
      static_cast<std::uint32_t>(config_.ingest.retry_after.count());
  SHOAL_TRY(ingest, IngestServer::start(*zmq_, *gate_, ingest_options, *intake_,
                                        metrics_));
  ingest_ = std::move(ingest);

  if (config_.http.enabled) {
    HttpOptions http_options;
    http_options.host = config_.network.host;
    http_options.port =
        static_cast<std::uint16_t>(config_.network.port_base + 3);
    http_options.max_connections =
        static_cast<std::size_t>(config_.http.max_connections);
    http_options.timeout = config_.http.timeout;
    http_options.worker_threads =
        static_cast<std::size_t>(config_.http.threads);
    http_options.worker_queue = static_cast<std::size_t>(config_.http.queue);
    http_ = std::make_unique<HttpServer>(http_options, [this](int status) {
      metrics_.http_responses[std::to_string(status)].Increment();
    });
    add_http_routes();
    SHOAL_TRY(port, http_->start());
    spdlog::info("event=http address=http://{}:{}", config_.network.host, port);
  }
  return ok();
}

void Daemon::add_http_routes() {
  HttpServer::Route route;
  route.method = "GET";
  route.path = "/healthz";
  route.handler = [](const HttpRequest&) { return http_text(200, "ok\n"); };
  http_->add_route(route);
  route.path = "/readyz";
  route.handler = [this](const HttpRequest&) {
    if (!ready_) return http_text(503, "starting or shutting down\n");
    return http_text(200, "ready\n");
  };
  http_->add_route(route);
  route.path = "/metrics";
  route.run = HttpServer::Run::kOnWorker;
  route.handler = [this](const HttpRequest&) {
    update_gauges();
    HttpResponse response = http_text(200, metrics_.render());
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return response;
  };
  http_->add_route(route);
}

void Daemon::update_gauges() {
  QueryRequest request;
  request.op = "status";
  const auto status = ops_->answer(request);
  if (status) {
    const auto& fields = status.value();
    for (const char* state :
         {"pending", "assigned", "unassigned", "confirmed"}) {
      metrics_.images[state].Set(fields.value(state, 0.0));
    }
    metrics_.clusters.Set(fields.value("clusters", 0.0));
    metrics_.epoch.Set(
        fields["epoch"].is_number() ? fields["epoch"].get<double>() : 0.0);
    metrics_.refining.Set(fields.value("refining", false) ? 1 : 0);
  }
  metrics_.stage_queue_images["check"].Set(
      static_cast<double>(intake_->queued()));
  metrics_.stage_queue_images["assign"].Set(
      static_cast<double>(labels_->waiting()));
  metrics_.set_store_figures(store_->statistics());
}

// --------------------------------------------------------------- what happens

void Daemon::on_stored() {
  if (pca_wanted_.exchange(false)) {
    boost::asio::post(main_loop_, [this] { learn_pca_if_possible(); });
  }
  Processing* const processing = running_processing_;
  if (processing != nullptr) processing->notice_pending();
}

void Daemon::on_settled(const ClusterBook& book) {
  if (book.current().id().valid()) {
    look_for_new_clusters(book);
    return;
  }
  const std::uint64_t pool = book.current().pool_size();
  if (pool < bootstrap_at_ || refinery_->running().valid()) return;
  // A failed attempt is repeated when there is half as much again.
  bootstrap_at_ = pool + pool / 2 + 1;
  boost::asio::post(main_loop_, [this] { begin_run("bootstrap"); });
}

void Daemon::look_for_new_clusters(const ClusterBook& book) {
  const std::uint64_t wanted = discover_images_;
  if (wanted == 0) return;
  const std::uint64_t pool = book.current().pool_size();
  if (book.current().id() != looked_in_ || pool < looked_at_pool_) {
    looked_in_ = book.current().id();
    looked_at_pool_ = pool;
  }
  // The more there are that no run has placed, the rarer it is tried.
  if (pool < looked_at_pool_ + std::max(wanted, looked_at_pool_ / 2) ||
      refinery_->running().valid()) {
    return;
  }
  looked_at_pool_ = pool;
  const auto dense = book.dense_pool(kPoolLookedAt);
  if (!dense) {
    spdlog::warn("event=discovery_failed error={}",
                 log_value(dense.error().message));
    return;
  }
  spdlog::info("event=discovery unassigned={} close_together={}", pool,
               dense.value());
  if (dense.value() < std::min<std::uint64_t>(wanted, kPoolLookedAt) / 2)
    return;
  boost::asio::post(main_loop_, [this] { begin_run("discover"); });
}

void Daemon::begin_run(const std::string& reason) {
  RunRequest request;
  request.reason = reason;
  request.in_any_case = true;
  const auto run = refinery_->begin(request);
  if (!run && run.error().code == ErrorCode::kResourceExhausted) {
    // Another run or a rollback is in progress: its turn comes.
    auto timer = std::make_shared<boost::asio::steady_timer>(
        main_loop_, std::chrono::seconds(5));
    timer->async_wait(
        [this, reason, timer](const boost::system::error_code& error) {
          if (!error) begin_run(reason);
        });
    return;
  }
  if (!run) {
    spdlog::warn("event=run_not_started reason={} error={}", log_value(reason),
                 log_value(run.error().message));
  }
}

void Daemon::load_similar_index() {
  const auto start = std::chrono::steady_clock::now();
  for (ImageSeq after; !stopping_;) {
    const auto epoch = store_->current_epoch();
    if (!epoch || !epoch.value().valid()) return;
    const auto page = store_->arrivals(after, kPage);
    if (!page || page.value().empty()) break;
    const auto rows = store_->embeddings(epoch.value(), page.value());
    if (!rows) {
      spdlog::error("event=index_load_failed error={}",
                    log_value(rows.error().message));
      return;
    }
    for (std::size_t i = 0; i < page.value().size(); ++i) {
      const auto row = static_cast<Eigen::Index>(i);
      if (rows.value().cols() == 0 || !std::isfinite(rows.value()(row, 0))) {
        continue;
      }
      similar_.on_embedding(epoch.value(), page.value()[i],
                            rows.value().row(row).transpose());
    }
    after = page.value().back();
  }
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  spdlog::info("event=index_loaded images={} seconds={:.2f}", similar_.size(),
               seconds.count());
}

bool Daemon::run() {
  boost::asio::signal_set signals(main_loop_, SIGTERM, SIGINT);
  signals.async_wait(
      [this](const boost::system::error_code& error, int number) {
        if (error) return;
        spdlog::info("event=signal number={} what=\"draining\"", number);
        main_loop_.stop();
      });
  boost::asio::signal_set hangups(main_loop_, SIGHUP);
  std::function<void()> wait_for_hangup = [&] {
    hangups.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      reload();
      wait_for_hangup();
    });
  };
  wait_for_hangup();
  auto keep_alive = boost::asio::make_work_guard(main_loop_);
  main_loop_.run();
  shut_down();
  return !failed_;
}

void Daemon::reload() {
  const auto loaded = source_();
  if (!loaded) {
    spdlog::error("event=reload_refused problems={}",
                  log_value(to_string(loaded.error())));
    return;
  }
  ConfigReload change = reload_config(config_, loaded.value());
  config_ = std::move(change.config);
  spdlog::set_level(spdlog::level::from_str(config_.daemon.log_level));
  refinery_->use(config_.refine);
  discover_images_ = static_cast<std::uint64_t>(config_.refine.discover_images);
  spdlog::info(
      "event=reloaded need_restart={}",
      log_value(fmt::format("{}", fmt::join(change.need_restart, " "))));
}

// ------------------------------------------------------------------ stopping

void Daemon::shut_down() {
  if (stopping_.exchange(true)) return;
  ready_ = false;
  const DrainGuard guard(config_.daemon.drain_timeout);
  // From the front of the pipeline to its end, so that each stage still finds
  // the next one when it hands over its last images.
  if (ingest_) ingest_->refuse_new();
  if (intake_) intake_->stop();
  if (refinery_) refinery_->stop();
  if (processing_) processing_->stop();
  if (queries_) queries_->stop();
  http_.reset();
  if (labels_) {
    const bool posted =
        labels_->post([](LabelStage& stage) { stage.answer_all_waiting(); });
    if (!posted) spdlog::error("event=waiting_not_answered");
    labels_->stop();
  }
  if (ingest_) ingest_->stop();
  if (events_) events_->stop();
  if (gate_) gate_->stop();
  if (index_loader_.joinable()) index_loader_.join();
  spdlog::info("event=stopped");
}

}  // namespace shoal
