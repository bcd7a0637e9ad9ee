#include "config/internal/fields.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cctype>
#include <set>
#include <string_view>
#include <utility>

#include "common/check.h"

namespace shoal {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kTiB = kGiB * 1024;

enum Reload { kRestart, kReloads };

// Both ends belong to it.
struct Range {
  std::int64_t min;
  std::int64_t max;
};

constexpr std::array<std::string_view, 3> kToggleNames = {"auto", "on", "off"};

// Adds the fields of one section to the table.
template <typename S>
class Section {
 public:
  Section(std::vector<Field>& all, std::string name, S Config::*member)
      : all_(all), name_(std::move(name)), member_(member) {}

  Field& flag(const char* key, bool S::*field, bool initial, Reload reload,
              const char* doc) {
    return add(key, field, FieldType::kBool, initial, reload, doc);
  }
  template <typename T>
  Field& integer(const char* key, T S::*field, std::int64_t initial,
                 Range range, const char* unit, Reload reload,
                 const char* doc) {
    return in_range(
        add_integer(key, field, FieldType::kInteger, initial, reload, doc),
        range, unit);
  }
  Field& integer_or_auto(const char* key, int S::*field, Range range,
                         const char* unit, Reload reload, const char* doc) {
    Field& added = add_with(
        key, FieldType::kIntegerOrAuto, std::string(kAuto), reload, doc,
        [field](const S& part) {
          return part.*field == 0 ? FieldValue(std::string(kAuto))
                                  : FieldValue(std::int64_t{part.*field});
        },
        [field](S& part, const FieldValue& value) {
          const auto* number = std::get_if<std::int64_t>(&value);
          part.*field = number == nullptr ? 0 : static_cast<int>(*number);
        });
    return in_range(added, range, unit);
  }
  Field& bytes(const char* key, std::uint64_t S::*field, std::int64_t initial,
               Range range, Reload reload, const char* doc) {
    return in_range(
        add_integer(key, field, FieldType::kBytes, initial, reload, doc), range,
        "");
  }
  Field& real(const char* key, double S::*field, double initial, double min,
              double max, Reload reload, const char* doc) {
    Field& added = add(key, field, FieldType::kFloat, initial, reload, doc);
    added.min = min;
    added.max = max;
    return added;
  }
  Field& duration(const char* key, milliseconds S::*field, milliseconds initial,
                  milliseconds low, milliseconds high, Reload reload,
                  const char* doc) {
    Field& added = add_with(
        key, FieldType::kDuration, std::int64_t{initial.count()}, reload, doc,
        [field](const S& part) { return std::int64_t{(part.*field).count()}; },
        [field](S& part, const FieldValue& value) {
          part.*field = milliseconds(std::get<std::int64_t>(value));
        });
    return in_range(added, {low.count(), high.count()}, "");
  }
  Field& text(const char* key, std::string S::*field, const char* initial,
              Reload reload, const char* doc) {
    return add(key, field, FieldType::kString, std::string(initial), reload,
               doc);
  }
  Field& path(const char* key, std::filesystem::path S::*field,
              const char* initial, Reload reload, const char* doc) {
    return add_with(
        key, FieldType::kString, std::string(initial), reload, doc,
        [field](const S& part) { return (part.*field).string(); },
        [field](S& part, const FieldValue& value) {
          part.*field = std::get<std::string>(value);
        });
  }
  Field& list(const char* key, std::vector<std::string> S::*field,
              Reload reload, const char* doc) {
    return add(key, field, FieldType::kList, std::vector<std::string>{}, reload,
               doc);
  }
  Field& toggle(const char* key, Toggle S::*field, Reload reload,
                const char* doc) {
    Field& added = add_with(
        key, FieldType::kString, std::string(kToggleNames[0]), reload, doc,
        [field](const S& part) {
          return std::string(
              kToggleNames[static_cast<std::size_t>(part.*field)]);
        },
        [field](S& part, const FieldValue& value) {
          const auto found = std::find(kToggleNames.begin(), kToggleNames.end(),
                                       std::get<std::string>(value));
          SHOAL_CHECK(found != kToggleNames.end(), "set with a checked value");
          part.*field = static_cast<Toggle>(found - kToggleNames.begin());
        });
    added.allowed.assign(kToggleNames.begin(), kToggleNames.end());
    return added;
  }

 private:
  // For members whose type is the value's own.
  template <typename T>
  Field& add(const char* key, T S::*field, FieldType type, T initial,
             Reload reload, const char* doc) {
    return add_with(
        key, type, std::move(initial), reload, doc,
        [field](const S& part) { return part.*field; },
        [field](S& part, const FieldValue& value) {
          part.*field = std::get<T>(value);
        });
  }
  template <typename T>
  Field& add_integer(const char* key, T S::*field, FieldType type,
                     std::int64_t initial, Reload reload, const char* doc) {
    return add_with(
        key, type, initial, reload, doc,
        [field](const S& part) {
          return static_cast<std::int64_t>(part.*field);
        },
        [field](S& part, const FieldValue& value) {
          part.*field = static_cast<T>(std::get<std::int64_t>(value));
        });
  }
  template <typename Get, typename Set>
  Field& add_with(const char* key, FieldType type, FieldValue initial,
                  Reload reload, const char* doc, Get get, Set set) {
    Field field;
    field.section = name_;
    field.key = key;
    field.type = type;
    field.default_value = std::move(initial);
    field.reloads = reload == kReloads;
    field.doc = doc;
    field.get = [member = member_, get](const Config& config) {
      return FieldValue(get(config.*member));
    };
    field.set = [member = member_, set](Config& config,
                                        const FieldValue& value) {
      set(config.*member, value);
    };
    all_.push_back(std::move(field));
    return all_.back();
  }
  static Field& in_range(Field& field, Range range, const char* unit) {
    field.min = static_cast<double>(range.min);
    field.max = static_cast<double>(range.max);
    field.unit = unit;
    return field;
  }

  std::vector<Field>& all_;
  std::string name_;
  S Config::*member_;
};

std::string check_not_empty(const FieldValue& value) {
  return std::get<std::string>(value).empty() ? "must not be empty" : "";
}

std::string check_loopback(const FieldValue& value) {
  const auto& host = std::get<std::string>(value);
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) != 1) {
    return "'" + host + "' is not an IPv4 address such as 127.0.0.1";
  }
  if ((ntohl(address.s_addr) >> 24) != 127) {
    return "'" + host +
           "' is not a loopback address (127.x.y.z): other machines may only "
           "be let in with keys, which this version does not have";
  }
  return "";
}

bool is_cuda_device(std::string_view name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (name.substr(0, kPrefix.size()) != kPrefix) return false;
  const std::string_view number = name.substr(kPrefix.size());
  return !number.empty() && number.size() <= 3 &&
         std::all_of(number.begin(), number.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

std::string check_device(const FieldValue& value) {
  const auto& text = std::get<std::string>(value);
  if (text == "auto" || text == "cpu") return "";
  std::set<std::string> seen;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    if (!is_cuda_device(name)) {
      return "'" + name + "' is not auto, cpu or cuda:N";
    }
    if (!seen.insert(name).second) return "'" + name + "' is named twice";
    begin = end + 1;
  }
  return "";
}

std::string check_precision(const FieldValue& value) {
  const auto& precision = std::get<std::string>(value);
  const bool known = precision == "auto" || precision == "fp32" ||
                     precision == "bf16" || precision == "fp16";
  return known ? "" : "'" + precision + "' is not auto, fp32, bf16 or fp16";
}

std::string check_distinct_names(const FieldValue& value) {
  auto names = std::get<std::vector<std::string>>(value);
  std::sort(names.begin(), names.end());
  if (!names.empty() && names.front().empty()) return "holds an empty name";
  const auto twice = std::adjacent_find(names.begin(), names.end());
  return twice == names.end() ? "" : "names '" + *twice + "' twice";
}

std::vector<Field> make_fields() {
  std::vector<Field> all;
  all.reserve(100);
  {
    Section s(all, "daemon", &Config::daemon);
    s.path("data_dir", &DaemonConfig::data_dir, "/var/lib/shoal", kRestart,
           "Folder of the store; made when absent. One daemon at a time.")
        .check = check_not_empty;
    s.text("log_level", &DaemonConfig::log_level, "info", kReloads,
           "What is logged: this level and the ones after it.")
        .allowed = {"trace", "debug", "info", "warn", "error", "off"};
    s.toggle("journald", &DaemonConfig::journald, kRestart,
             "Log lines in journald's form, with a priority and without a "
             "time. auto: when standard error is the journal.");
    s.duration("drain_timeout", &DaemonConfig::drain_timeout, seconds(20),
               seconds(0), hours(1), kRestart,
               "After SIGTERM, how long stored images may still be worked on. "
               "What is left is taken up at the next start.");
  }
  {
    Section s(all, "network", &Config::network);
    s.text("host", &NetworkConfig::host, "127.0.0.1", kRestart,
           "IPv4 loopback address that all four ports are bound to.")
        .check = check_loopback;
    s.integer("port_base", &NetworkConfig::port_base, 7301, {1, 65532}, "",
              kRestart,
              "First of four ports in a row: ingest, query, events, HTTP.");
    s.integer("max_connections", &NetworkConfig::max_connections, 1000,
              {1, 60000}, "connections per socket", kRestart,
              "Clients connected to one ZeroMQ socket; more are turned away.");
    s.bytes("max_message_bytes", &NetworkConfig::max_message_bytes, 128 * kMiB,
            {64 * kKiB, kGiB}, kRestart,
            "Largest message read. A larger one ends its connection without "
            "an answer, so keep this well above ingest.max_image_bytes, which "
            "is answered properly.");
  }
  {
    Section s(all, "ingest", &Config::ingest);
    s.integer("queue_images", &IngestConfig::queue_images, 256, {1, 1'000'000},
              "images", kRestart,
              "Received images that may wait for the store; more are answered "
              "busy.");
    s.bytes("queue_bytes", &IngestConfig::queue_bytes, 128 * kMiB,
            {kMiB, 64 * kGiB}, kRestart,
            "The same limit in bytes: the memory that waiting images take.");
    s.integer("group_max_images", &IngestConfig::group_max_images, 64,
              {1, 10'000}, "images", kRestart,
              "Images made durable together, with one fsync.");
    s.bytes("group_max_bytes", &IngestConfig::group_max_bytes, 16 * kMiB,
            {kKiB, kGiB}, kRestart, "The same limit in bytes.");
    s.duration("group_max_delay", &IngestConfig::group_max_delay,
               milliseconds(2), milliseconds(0), seconds(1), kRestart,
               "How long the first image of a group waits for others. Longer: "
               "more images per second to a slow disk, later answers.");
    s.bytes("max_image_bytes", &IngestConfig::max_image_bytes, 32 * kMiB,
            {kKiB, kGiB}, kRestart, "Larger files are rejected.");
    s.integer("max_pixels", &IngestConfig::max_pixels, 100'000'000,
              {1, 10'000'000'000}, "pixels", kRestart,
              "Images with more are rejected before they are decoded. "
              "Decoding takes about 4 bytes of memory per pixel.");
    s.integer("max_side", &IngestConfig::max_side, 30'000, {1, 1'000'000},
              "pixels", kRestart,
              "Wider or higher images are rejected before they are decoded.");
    s.integer("max_pending_images", &IngestConfig::max_pending_images, 100'000,
              {1, 1'000'000'000}, "images", kRestart,
              "Stored images that may wait for their features; past it "
              "clients are told busy.");
    s.integer("max_waiting_replies", &IngestConfig::max_waiting_replies, 10'000,
              {1, 10'000'000}, "replies", kRestart,
              "Clients that asked for the answer after assignment (ack = "
              "assigned) and still wait; past it they are told busy.");
    s.bytes("min_free_disk_bytes", &IngestConfig::min_free_disk_bytes,
            256 * kMiB, {0, 1024 * kTiB}, kRestart,
            "With less room left on the store's disk no image is taken in.");
    s.duration("retry_after", &IngestConfig::retry_after, milliseconds(100),
               milliseconds(1), minutes(10), kRestart,
               "When a client that was told busy is asked to try again.");
  }
  {
    Section s(all, "store", &Config::store);
    s.bytes("cache_bytes", &StoreConfig::cache_bytes, 256 * kMiB,
            {8 * kMiB, 16 * kTiB}, kRestart,
            "Memory of the store: cached blocks and write buffers together.");
    s.bytes("write_buffer_bytes", &StoreConfig::write_buffer_bytes, 64 * kMiB,
            {kMiB, kTiB}, kRestart,
            "Part of cache_bytes that changes may fill before they are "
            "written to tables.");
    s.integer("keep_epochs", &StoreConfig::keep_epochs, 3, {1, 1000}, "epochs",
              kRestart,
              "Published epochs kept to roll back to, the current one "
              "included. Each takes memory on disk for every image.");
  }
  {
    Section s(all, "views", &Config::views);
    s.path("models", &ViewsConfig::models, "", kRestart,
           "Folder of model folders (weights and model.json each). Empty: "
           "none.");
    s.list("use", &ViewsConfig::use, kRestart,
           "Names of the views to compute. Empty: every model folder, or hog, "
           "gabor and color when there is none.")
        .check = check_distinct_names;
    s.text("device", &ViewsConfig::device, "auto", kRestart,
           "Where nets run: cpu, cuda:N (several with commas between share "
           "each batch), or auto for all GPUs, or the CPU where there is "
           "none.")
        .check = check_device;
    s.text("precision", &ViewsConfig::precision, "auto", kRestart,
           "What nets compute in: fp32, bf16, fp16 (GPUs), or auto for the "
           "fastest whose features equal fp32 ones (cosine similarity of "
           "0.9995 on a probe batch). Where the one asked for fails that or is "
           "not there, it is fp32, and the log says so.")
        .check = check_precision;
    s.integer("batch_images", &ViewsConfig::batch_images, 32, {1, 4096},
              "images", kRestart, "Images that go through a net together.");
    s.duration("batch_delay", &ViewsConfig::batch_delay, milliseconds(20),
               milliseconds(0), seconds(10), kRestart,
               "How long the first image of a batch waits for others.");
    s.integer("decode_threads", &ViewsConfig::decode_threads, 1, {1, 256},
              "threads", kRestart, "Threads that decode and resize images.");
    s.integer("compute_threads", &ViewsConfig::compute_threads, 0, {0, 1024},
              "threads", kRestart,
              "Threads of one net's computation. 0: all hardware threads.");
    s.integer("pca_fit_images", &ViewsConfig::pca_fit_images, 256,
              {128, 100'000}, "images", kRestart,
              "Images from which the view rp_pca learns its components, once.");
  }
  {
    Section s(all, "bootstrap", &Config::bootstrap);
    s.integer("min_images", &BootstrapConfig::min_images, 200,
              {2, 1'000'000'000}, "images", kRestart,
              "Images with features at which the first epoch is learned by "
              "itself. Until then all images are unassigned.");
  }
  {
    Section s(all, "refine", &Config::refine);
    s.text("method", &RefineConfig::method, "km", kReloads,
           "How clusters are learned. km: views normalised, joined, reduced "
           "by a whitening PCA, then k-means. jule, idec: joint learning of "
           "a net and clusters on the joined views. mvec-...: an ensemble of "
           "each view's own clusters. dmvc-fix-...: a net per view and one "
           "over them, learned in turn. dmvc: the same, refined as a whole.")
        .allowed = {"km",        "jule",      "idec",          "mvec-km",
                    "mvec-jule", "mvec-idec", "dmvc-fix-jule", "dmvc-fix-idec",
                    "dmvc"};
    s.integer_or_auto("clusters", &RefineConfig::clusters, {1, 100'000},
                      "clusters", kReloads,
                      "How many clusters a run makes. auto: estimated from "
                      "the images.");
    s.integer("max_clusters", &RefineConfig::max_clusters, 100, {2, 10'000},
              "clusters", kReloads, "The most that an estimate may give.");
    s.integer("embedding_dim", &RefineConfig::embedding_dim, 64, {1, 4096},
              "dimensions", kReloads,
              "Dimensions of the space in which images are compared, at "
              "most.");
    s.integer("max_train_images", &RefineConfig::max_train_images, 50'000,
              {2, 100'000'000}, "images", kReloads,
              "With more, a run learns from a random sample of this size; "
              "every image still gets its cluster.");
    s.real("novelty_quantile", &RefineConfig::novelty_quantile, 0.99, 0.5, 1.0,
           kReloads,
           "Share of a cluster's images that lie within its novelty "
           "threshold.");
    s.real("novelty_slack", &RefineConfig::novelty_slack, 1.25, 0.1, 100.0,
           kReloads,
           "The threshold is multiplied by this. Larger: fewer arrivals stay "
           "unassigned.");
    s.real("confirm_share", &RefineConfig::confirm_share, 0.2, 0.0, 1.0,
           kReloads,
           "Share of each cluster's images, those nearest to its centre, whose "
           "label a run makes final. 0: runs confirm nothing.");
    s.real("confirm_agreement", &RefineConfig::confirm_agreement, 0.8, 0.0, 1.0,
           kReloads,
           "How far the views must agree on an image before it is confirmed: "
           "the share of views that put it together with a member of its "
           "cluster, on average. Methods without an opinion of each view (km, "
           "jule, idec) confirm only at 0.");
    s.integer("confirm_min_members", &RefineConfig::confirm_min_members, 10,
              {1, 1'000'000'000}, "images", kReloads,
              "Clusters with fewer images confirm nothing.");
    s.real("confirm_max_share", &RefineConfig::confirm_max_share, 0.5, 0.0, 1.0,
           kReloads,
           "Of the images without a final label, the share that one run may "
           "make final in all its rounds.");
    s.list("views", &RefineConfig::views, kRestart,
           "Views that runs cluster, by name. Empty: all that are extracted.")
        .check = check_distinct_names;
    s.text("transfer_net", &RefineConfig::transfer_net, "", kRestart,
           "A view, by name, whose net learns what is confirmed (a new last "
           "layer on its features); what it says becomes one more view. It "
           "need not be among refine.views. Empty: no transfer learning.");
    s.integer("transfer_rounds", &RefineConfig::transfer_rounds, 2, {1, 100},
              "rounds", kReloads,
              "With a transfer net: how often a run learns from what it "
              "confirmed and clusters again, at most. Another round begins "
              "only if it should end within refine.max_minutes.");
    s.real("transfer_share_step", &RefineConfig::transfer_share_step, 0.1, 0.0,
           1.0, kReloads,
           "Added to refine.confirm_share in every further round.");
    s.integer("min_birth", &RefineConfig::min_birth, 3, {1, 1'000'000},
              "images", kReloads,
              "A new cluster with fewer images is not founded: they stay "
              "unassigned.");
    s.real("max_churn", &RefineConfig::max_churn, 0.8, 0.0, 1.0, kReloads,
           "A run that moves a larger share of the images that the current "
           "epoch was learned from (those without a final label) is held for a "
           "person, unless there are half as many images again or the views "
           "were changed. 1: none is.");
    s.real("score_tolerance", &RefineConfig::score_tolerance, 0.05, 0.0, 1.0,
           kReloads,
           "A run is held for a person when one of its scores is lower than "
           "the current epoch's, on the same images, by more than this. 1: "
           "none is.");
    s.integer("discover_images", &RefineConfig::discover_images, 100,
              {0, 1'000'000'000}, "images", kReloads,
              "A run begins by itself when so many images are unassigned and "
              "lie close to each other. 0: never.");
    s.bytes("max_memory", &RefineConfig::max_memory, 0, {0, kTiB}, kReloads,
            "Memory that a run may take; one that needs more fails, and "
            "nothing changes. 0: no limit.");
    s.integer("max_minutes", &RefineConfig::max_minutes, 60, {1, 10'080},
              "minutes", kReloads, "A run is stopped after this time.");
    s.integer("threads", &RefineConfig::threads, 1, {0, 1024}, "threads",
              kReloads,
              "Threads of the relearning worker. 0: all hardware threads.");
    s.integer("nice", &RefineConfig::nice, 19, {0, 19}, "", kReloads,
              "Its scheduling priority as in nice(1): 19 is the most "
              "yielding.");
    s.integer("seed", &RefineConfig::seed, 0, {0, 4'294'967'295}, "", kReloads,
              "Of random choices: the same images and seed give the same "
              "clusters.");
    s.integer("min_new_images", &RefineConfig::min_new_images, 0,
              {0, 1'000'000'000}, "images", kReloads,
              "A run is skipped when fewer images arrived, and nobody "
              "corrected anything, since the last. 0: never.");
    s.path("worker", &RefineConfig::worker, "", kReloads,
           "Path of the program shoal-refine. Empty: beside shoald.");
  }
  {
    Section s(all, "query", &Config::query);
    s.integer("threads", &QueryConfig::threads, 2, {1, 256}, "threads",
              kRestart, "Threads that answer queries.");
    s.integer("queue", &QueryConfig::queue, 256, {1, 100'000}, "queries",
              kRestart, "Queries that may wait; more are answered busy.");
    s.integer("max_k", &QueryConfig::max_k, 1000, {1, 100'000}, "images",
              kRestart, "The most neighbours that similar gives.");
    s.integer("max_page", &QueryConfig::max_page, 1000, {1, 100'000}, "rows",
              kRestart, "The most rows that one answer holds.");
  }
  {
    Section s(all, "events", &Config::events);
    s.integer("queue", &EventsConfig::queue, 10'000, {1, 10'000'000}, "events",
              kRestart,
              "Events kept for a subscriber that reads slowly; past it the "
              "newest are dropped and counted.");
    s.duration("progress_interval", &EventsConfig::progress_interval,
               seconds(1), milliseconds(100), minutes(1), kRestart,
               "How often a relearning run reports its progress.");
  }
  {
    Section s(all, "similar", &Config::similar);
    s.integer("index_max_images", &SimilarConfig::index_max_images, 2'000'000,
              {1, 1'000'000'000}, "images", kRestart,
              "Images that the similarity index holds in memory; those stored "
              "later are not found.");
  }
  {
    Section s(all, "http", &Config::http);
    s.flag("enabled", &HttpConfig::enabled, true, kRestart,
           "Serve HTTP on port network.port_base + 3.");
    s.integer("max_connections", &HttpConfig::max_connections, 64, {1, 10'000},
              "connections", kRestart, "More are answered 503.");
    s.duration("timeout", &HttpConfig::timeout, seconds(10), milliseconds(50),
               minutes(10), kRestart,
               "Time for a whole request to arrive, for an answer to be "
               "taken, and between two requests of one connection.");
    s.bytes("max_body_bytes", &HttpConfig::max_body_bytes, 32 * kMiB,
            {kKiB, kGiB}, kRestart, "Requests with a larger body get 413.");
    s.integer("threads", &HttpConfig::threads, 2, {1, 256}, "threads", kRestart,
              "Threads for requests that read the store.");
    s.integer("queue", &HttpConfig::queue, 64, {1, 100'000}, "requests",
              kRestart, "Requests that may wait for them; more get 503.");
  }
  for (const Field& field : all) {
    SHOAL_CHECK(problem_of(field, field.default_value).empty(),
                "the default of " + field.name() + " is not allowed");
  }
  return all;
}

}  // namespace

const std::vector<SectionInfo>& config_sections() {
  static const std::vector<SectionInfo> sections = {
      {"daemon", "The process itself."},
      {"network", "Addresses and limits of the sockets."},
      {"ingest",
       "How images are taken in. Nothing is dropped: past a limit "
       "the client is told busy."},
      {"store", "The store on disk."},
      {"views", "How images become vectors."},
      {"bootstrap", "The first epoch."},
      {"refine", "Relearning the clusters."},
      {"query", "Answering questions."},
      {"events", "What is published to subscribers."},
      {"similar", "The index for similar images."},
      {"http", "The HTTP server: health, metrics, the API."},
  };
  return sections;
}

const std::vector<Field>& config_fields() {
  static const std::vector<Field> fields = make_fields();
  return fields;
}

const Field* find_field(std::string_view section, std::string_view key) {
  for (const Field& field : config_fields()) {
    if (field.section == section && field.key == key) return &field;
  }
  return nullptr;
}

std::vector<BrokenRule> broken_rules(const Config& config) {
  std::vector<BrokenRule> broken;
  const auto at_most = [&](const char* small, auto small_value,
                           const char* large, auto large_value) {
    if (small_value <= large_value) return;
    broken.push_back({small, std::string("must not be above ") + large});
  };
  at_most("store.write_buffer_bytes", config.store.write_buffer_bytes,
          "store.cache_bytes", config.store.cache_bytes);
  at_most("ingest.max_image_bytes", config.ingest.max_image_bytes,
          "network.max_message_bytes", config.network.max_message_bytes);
  at_most("ingest.group_max_bytes", config.ingest.group_max_bytes,
          "ingest.queue_bytes", config.ingest.queue_bytes);
  at_most("ingest.group_max_images", config.ingest.group_max_images,
          "ingest.queue_images", config.ingest.queue_images);
  return broken;
}

}  // namespace shoal
