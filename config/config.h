#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace shoal {

// One plain struct per section of the configuration file; a part of the daemon
// takes only its own. What each field means, its default, range and unit are
// declared in config/fields.cc and printed by `shoald --print-config` and in
// docs/configuration.md. Sizes are bytes.

/// Where three-way settings leave the decision to the program.
enum class Toggle { kAuto, kOn, kOff };

struct DaemonConfig {
  std::filesystem::path data_dir;
  std::string log_level;
  Toggle journald = Toggle::kAuto;
  std::chrono::milliseconds drain_timeout{};
};

struct NetworkConfig {
  std::string host;
  /// The four ports are port_base (ingest), +1 query, +2 events, +3 http.
  int port_base = 0;
  int max_connections = 0;
  std::uint64_t max_message_bytes = 0;
};

struct IngestConfig {
  int queue_images = 0;
  std::uint64_t queue_bytes = 0;
  int group_max_images = 0;
  std::uint64_t group_max_bytes = 0;
  std::chrono::milliseconds group_max_delay{};
  std::uint64_t max_image_bytes = 0;
  std::uint64_t max_pixels = 0;
  std::uint32_t max_side = 0;
  std::uint64_t max_pending_images = 0;
  int max_waiting_replies = 0;
  std::uint64_t min_free_disk_bytes = 0;
  std::chrono::milliseconds retry_after{};
};

struct StoreConfig {
  std::uint64_t cache_bytes = 0;
  std::uint64_t write_buffer_bytes = 0;
  int keep_epochs = 0;
};

struct ViewsConfig {
  std::filesystem::path models;  ///< empty: none
  std::vector<std::string> use;  ///< empty: the daemon chooses
  std::string device;
  std::string precision;
  int batch_images = 0;
  std::chrono::milliseconds batch_delay{};
  int decode_threads = 0;
  int compute_threads = 0;  ///< 0: all
  int pca_fit_images = 0;
};

struct BootstrapConfig {
  int min_images = 0;
};

struct RefineConfig {
  std::string method;
  int clusters = 0;  ///< 0: estimate ("auto")
  int max_clusters = 0;
  int embedding_dim = 0;
  int max_train_images = 0;
  double novelty_quantile = 0;
  double novelty_slack = 0;
  double confirm_share = 0;
  double confirm_agreement = 0;
  int confirm_min_members = 0;
  double confirm_max_share = 0;
  std::vector<std::string> views;  ///< empty: all
  std::string transfer_net;        ///< empty: none
  int transfer_rounds = 0;
  double transfer_share_step = 0;
  int min_birth = 0;
  double max_churn = 0;
  double score_tolerance = 0;
  int discover_images = 0;       ///< 0: never
  std::uint64_t max_memory = 0;  ///< bytes; 0: no limit
  int max_minutes = 0;
  int threads = 0;
  int nice = 0;
  std::uint64_t seed = 0;
  int min_new_images = 0;
  std::filesystem::path worker;  ///< empty: shoal-refine beside shoald
};

struct QueryConfig {
  int threads = 0;
  int queue = 0;
  int max_k = 0;
  int max_page = 0;
};

struct EventsConfig {
  int queue = 0;
  std::chrono::milliseconds progress_interval{};
};

struct SimilarConfig {
  int index_max_images = 0;
};

struct HttpConfig {
  bool enabled = false;
  int max_connections = 0;
  std::chrono::milliseconds timeout{};
  std::uint64_t max_body_bytes = 0;
  int threads = 0;
  int queue = 0;
};

/// The whole configuration. An immutable value once loaded: reload makes a new
/// one and sends it as a message.
struct Config {
  DaemonConfig daemon;
  NetworkConfig network;
  IngestConfig ingest;
  StoreConfig store;
  ViewsConfig views;
  BootstrapConfig bootstrap;
  RefineConfig refine;
  QueryConfig query;
  EventsConfig events;
  SimilarConfig similar;
  HttpConfig http;
};

/// True when every declared field has the same value.
[[nodiscard]] bool operator==(const Config& a, const Config& b);

/// One thing that is wrong with a configuration.
struct ConfigProblem {
  std::string place;    ///< "shoal.toml:12" or "--set a.b=c"
  std::string message;  ///< which key, what is wrong, what is allowed
};

/// A Config, or everything that is wrong with it.
using ConfigResult = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    Config, std::vector<ConfigProblem>,
    BOOST_OUTCOME_V2_NAMESPACE::policy::terminate>;

/// One problem per line: "place: message".
[[nodiscard]] std::string to_string(const std::vector<ConfigProblem>& problems);

/// The defaults, valid by themselves.
[[nodiscard]] Config default_config();

/// Defaults, replaced by what the TOML text says, replaced by `overrides`
/// ("section.key=value" each, the last one wins). Lists in an override are
/// separated by commas; strings need no quotes.
/// @param name  of the text, for messages
/// All problems are found in one go, except that text which is not TOML is
/// reported at its first error only. Never throws, whatever the text.
[[nodiscard]] ConfigResult parse_config(
    std::string_view text, const std::string& name,
    const std::vector<std::string>& overrides = {});

/// As parse_config() of the file's text; without a file only the overrides.
/// Files over 256 KiB are refused.
[[nodiscard]] ConfigResult load_config(
    const std::optional<std::filesystem::path>& file,
    const std::vector<std::string>& overrides);

/// `config` as a TOML file in which a comment documents every key. Reading it
/// back gives the same Config.
[[nodiscard]] std::string print_config(const Config& config);

/// The reference for people, in Markdown: docs/configuration.md.
[[nodiscard]] std::string config_reference();

/// What a reload gives.
struct ConfigReload {
  /// `running` with the reloadable fields of `loaded`.
  Config config;
  /// Fields that differ but need a restart: "section.key".
  std::vector<std::string> need_restart;
};
[[nodiscard]] ConfigReload reload_config(const Config& running,
                                         const Config& loaded);

}  // namespace shoal
