#include "daemon/query/query_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "common/version.h"

namespace shoal {
namespace {

using Json = nlohmann::json;
constexpr std::uint64_t kMaxNumber =
    std::numeric_limits<std::uint64_t>::max() / 2;
constexpr std::size_t kPage = 1024;
constexpr std::size_t kMaxHistory = 10'000;

// Inside a Reply function: the value of a Result, or its error as it travels.
#define SHOAL_WIRE_TRY(name, expression)                           \
  auto&& name##_result = (expression);                             \
  if (!name##_result) return to_wire_error(name##_result.error()); \
  auto&& name = name##_result.value()

WireError no_epoch() {
  return {"no_epoch",
          "no epoch has been learned yet: the first one is when enough images "
          "are stored (bootstrap.min_images), or on refine"};
}

template <typename Id>
Json id_json(Id id) {
  return id.valid() ? Json(id.value()) : Json(nullptr);
}

Json time_json(Timestamp time) {
  const std::string text = format_rfc3339(time);
  return text.empty() ? Json(nullptr) : Json(text);
}

std::string_view state_text(LabelState state) {
  switch (state) {
    case LabelState::kAssigned:
      return "assigned";
    case LabelState::kConfirmed:
      return "confirmed";
    case LabelState::kUnassigned:
      return "unassigned";
  }
  return "unassigned";
}

std::string_view status_text(EpochStatus status) {
  switch (status) {
    case EpochStatus::kStaging:
      return "staging";
    case EpochStatus::kPublished:
      return "published";
    case EpochStatus::kHeld:
      return "held";
    case EpochStatus::kFailed:
      return "failed";
    case EpochStatus::kSkipped:
      return "skipped";
    case EpochStatus::kDropped:
      return "dropped";
  }
  return "failed";
}

std::string_view kind_text(LineageKind kind) {
  switch (kind) {
    case LineageKind::kBorn:
      return "born";
    case LineageKind::kSplit:
      return "split";
    case LineageKind::kMerged:
      return "merged";
    case LineageKind::kRetired:
      return "retired";
    case LineageKind::kRevived:
      return "revived";
  }
  return "born";
}

Json epoch_json(const EpochRecord& epoch, EpochId current) {
  Json scores = Json::object();
  for (const auto& [key, value] : epoch.scores) scores[key] = value;
  return {{"epoch", epoch.id.value()},
          {"parent", id_json(epoch.parent)},
          {"status", status_text(epoch.status)},
          {"current", epoch.id == current},
          {"method", epoch.method},
          {"reason", epoch.reason},
          {"started_at", time_json(epoch.started_at)},
          {"finished_at", time_json(epoch.finished_at)},
          {"images", epoch.images},
          {"clusters", epoch.clusters},
          {"churn", epoch.churn},
          {"scores", std::move(scores)}};
}

Json cluster_entry(const ClusterRecord& cluster,
                   const std::map<ClusterId, std::string>& names) {
  const auto name = names.find(cluster.id);
  return {{"cluster", cluster.id.value()},
          {"size", cluster.size},
          {"confirmed", cluster.confirmed},
          {"name", name == names.end() ? "" : name->second},
          {"born_epoch", id_json(cluster.born_epoch)}};
}

WireResult<ClusterId> required_cluster(const Json& request,
                                       std::string_view key) {
  SHOAL_TRY(number, required(key, optional_number(request, key, kMaxNumber)));
  return ClusterId(number);
}

WireResult<ClusterId> optional_cluster(const Json& request,
                                       std::string_view key) {
  SHOAL_TRY(number, optional_number(request, key, kMaxNumber));
  return ClusterId(number.value_or(0));
}

}  // namespace

QueryOps::QueryOps(Parts parts, const QueryConfig& config)
    : parts_(std::move(parts)),
      config_(config),
      started_(std::chrono::steady_clock::now()) {}

const std::map<std::string, QueryOps::Handler, std::less<>>&
QueryOps::handlers() {
  static const std::map<std::string, Handler, std::less<>> kHandlers = {
      {"image", &QueryOps::image},       {"bytes", &QueryOps::bytes},
      {"cluster", &QueryOps::cluster},   {"clusters", &QueryOps::clusters},
      {"members", &QueryOps::members},   {"unassigned", &QueryOps::unassigned},
      {"similar", &QueryOps::similar},   {"history", &QueryOps::history},
      {"lineage", &QueryOps::lineage},   {"status", &QueryOps::status},
      {"epochs", &QueryOps::epochs},     {"rejected", &QueryOps::rejected},
      {"refine", &QueryOps::refine},     {"cancel", &QueryOps::cancel},
      {"rollback", &QueryOps::rollback}, {"publish", &QueryOps::publish},
      {"confirm", &QueryOps::confirm},   {"reject", &QueryOps::reject},
      {"move", &QueryOps::move},         {"merge", &QueryOps::merge},
      {"split", &QueryOps::split},       {"undo", &QueryOps::undo},
      {"name", &QueryOps::name},         {"delete", &QueryOps::remove},
      {"backup", &QueryOps::backup}};
  return kHandlers;
}

WireResult<Json> QueryOps::answer(const QueryRequest& request) {
  if (request.error) return *request.error;
  const auto handler = handlers().find(request.op);
  if (handler == handlers().end()) {
    return WireError{"unknown_op", "there is no op '" + request.op + "'"};
  }
  return (this->*handler->second)(request.fields);
}

bool QueryOps::is_slow(const QueryRequest& request) {
  if (request.op == "similar") return request.fields.contains("image");
  return op_role(request.op) == OpRole::kAdmin;
}

WireResult<ImageSeq> QueryOps::find(const ImageId& id) const {
  SHOAL_WIRE_TRY(seq, parts_.store.find(id));
  if (!seq) {
    return WireError{"not_found", "there is no image '" + id.str() + "'"};
  }
  return *seq;
}

// ------------------------------------------------------ images and clusters

QueryOps::Reply QueryOps::image(const Json& request) {
  SHOAL_TRY(id, required("id", optional_id(request, "id")));
  SHOAL_TRY(seq, find(id));
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(records, parts_.store.images({seq}));
  SHOAL_WIRE_TRY(labels, parts_.store.labels(epoch, {seq}));
  if (!records.front()) {
    return WireError{"not_found", "there is no image '" + id.str() + "'"};
  }
  const ImageRecord& record = *records.front();
  const auto& label = labels.front();
  Json reply = {{"id", record.id.str()},
                {"state", label ? state_text(label->state) : "pending"},
                {"cluster", label ? id_json(label->cluster) : Json(nullptr)},
                {"confidence", label ? label->confidence : 0.0F},
                {"epoch", id_json(epoch)},
                {"source", record.source},
                {"captured_at", time_json(record.captured_at)},
                {"meta", record.meta},
                {"received_at", time_json(record.received_at)},
                {"size_bytes", record.size_bytes},
                {"format", record.format},
                {"width", record.width},
                {"height", record.height}};
  if (!record.failure_code.empty()) {
    reply["error"] = {{"code", record.failure_code},
                      {"message", record.failure_message}};
  }
  return reply;
}

QueryOps::Reply QueryOps::bytes(const Json& request) {
  SHOAL_TRY(id, required("id", optional_id(request, "id")));
  SHOAL_TRY(seq, find(id));
  SHOAL_WIRE_TRY(records, parts_.store.images({seq}));
  SHOAL_WIRE_TRY(image, parts_.store.image_bytes(seq));
  return Json{{"id", id.str()},
              {"format", records.front() ? records.front()->format : ""},
              {"image", Json::binary(std::vector<std::uint8_t>(image.begin(),
                                                               image.end()))}};
}

WireResult<std::vector<ClusterId>> QueryOps::successors(ClusterId cluster,
                                                        EpochId epoch) const {
  SHOAL_WIRE_TRY(clusters, parts_.store.clusters(epoch));
  std::set<ClusterId> alive;
  for (const ClusterRecord& record : clusters) alive.insert(record.id);
  std::map<ClusterId, std::vector<ClusterId>> next;
  for (std::uint64_t after = 0;;) {
    SHOAL_WIRE_TRY(page, parts_.store.lineage(after, kPage));
    for (const LineageRecord& record : page) {
      if (record.kind == LineageKind::kMerged ||
          record.kind == LineageKind::kRetired) {
        next[record.cluster] = record.others;  // the latest end counts
      }
    }
    if (page.size() < kPage) break;
    after = page.back().seq;
  }
  std::vector<ClusterId> found;
  std::set<ClusterId> seen{cluster};
  std::vector<ClusterId> open = next[cluster];
  while (!open.empty()) {
    const ClusterId at = open.front();
    open.erase(open.begin());
    if (!seen.insert(at).second) continue;
    if (alive.count(at) != 0) {
      found.push_back(at);
      continue;
    }
    const auto& further = next[at];
    open.insert(open.end(), further.begin(), further.end());
  }
  return found;
}

QueryOps::Reply QueryOps::cluster(const Json& request) {
  SHOAL_TRY(wanted, required_cluster(request, "cluster"));
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(clusters, parts_.store.clusters(epoch));
  SHOAL_WIRE_TRY(names, parts_.store.cluster_names());
  for (const ClusterRecord& record : clusters) {
    if (record.id != wanted || !wanted.valid()) continue;
    Json reply = cluster_entry(record, names);
    reply["retired"] = false;
    reply["successors"] = Json::array();
    return reply;
  }
  SHOAL_WIRE_TRY(totals, parts_.store.label_totals());
  if (!wanted.valid() || totals.last_cluster < wanted) {
    return WireError{"not_found",
                     "there is no cluster " + std::to_string(wanted.value())};
  }
  SHOAL_TRY(living, successors(wanted, epoch));
  ClusterRecord gone;
  gone.id = wanted;
  Json reply = cluster_entry(gone, names);
  reply["retired"] = true;
  reply["successors"] = Json::array();
  for (const ClusterId id : living) reply["successors"].push_back(id.value());
  return reply;
}

QueryOps::Reply QueryOps::clusters(const Json&) {
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(clusters, parts_.store.clusters(epoch));
  SHOAL_WIRE_TRY(names, parts_.store.cluster_names());
  Json list = Json::array();
  std::uint64_t pool = 0;
  for (const ClusterRecord& record : clusters) {
    if (record.id.valid()) {
      list.push_back(cluster_entry(record, names));
    } else {
      pool = record.size;
    }
  }
  return Json{{"clusters", std::move(list)},
              {"epoch", id_json(epoch)},
              {"unassigned", pool}};
}

QueryOps::Reply QueryOps::page_of(ClusterId cluster, const Json& request) {
  SHOAL_TRY(limit, optional_number(request, "limit", kMaxPageLimit));
  SHOAL_TRY(cursor, optional_string(request, "cursor", 32));
  std::uint64_t after = 0;
  if (cursor) {
    for (const char digit : *cursor) {
      if (digit < '0' || digit > '9' || after > kMaxNumber / 10) {
        return WireError{"bad_field",
                         "'cursor' is not one that this daemon gave"};
      }
      after = after * 10 + static_cast<std::uint64_t>(digit - '0');
    }
  }
  const std::uint64_t most =
      std::min<std::uint64_t>(limit.value_or(kDefaultPageLimit),
                              static_cast<std::uint64_t>(config_.max_page));
  if (most == 0) return WireError{"bad_field", "'limit' is at least 1"};
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(members,
                 parts_.store.members(epoch, cluster, ImageSeq(after), most));
  std::vector<ImageSeq> seqs;
  for (const Member& member : members) seqs.push_back(member.seq);
  SHOAL_WIRE_TRY(records, parts_.store.images(seqs));
  Json list = Json::array();
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!records[i]) continue;
    list.push_back({{"id", records[i]->id.str()},
                    {"state", state_text(members[i].state)},
                    {"confidence", members[i].confidence}});
  }
  return Json{
      {"cluster", id_json(cluster)},
      {"members", std::move(list)},
      {"cursor", members.size() < most
                     ? Json(nullptr)
                     : Json(std::to_string(members.back().seq.value()))}};
}

QueryOps::Reply QueryOps::members(const Json& request) {
  SHOAL_TRY(wanted, required_cluster(request, "cluster"));
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(clusters, parts_.store.clusters(epoch));
  const bool alive =
      wanted.valid() && std::any_of(clusters.begin(), clusters.end(),
                                    [&](const ClusterRecord& record) {
                                      return record.id == wanted;
                                    });
  if (alive) return page_of(wanted, request);
  SHOAL_TRY(living, successors(wanted, epoch));
  std::string message = "there is no cluster " + std::to_string(wanted.value());
  if (!living.empty()) {
    message += " any more; its images are in";
    for (const ClusterId id : living) {
      message += " " + std::to_string(id.value());
    }
  }
  return WireError{"not_found", message};
}

QueryOps::Reply QueryOps::unassigned(const Json& request) {
  return page_of(ClusterId{}, request);
}

QueryOps::Reply QueryOps::similar(const Json& request) {
  SHOAL_TRY(k, optional_number(request, "k", kMaxNeighbours));
  SHOAL_TRY(id, optional_id(request, "id"));
  SHOAL_TRY(image, optional_bytes(request, "image"));
  const std::uint64_t wanted =
      std::min<std::uint64_t>(k.value_or(kDefaultNeighbours),
                              static_cast<std::uint64_t>(config_.max_k));
  if (wanted == 0) return WireError{"bad_field", "'k' is at least 1"};
  if (id.has_value() == image.has_value()) {
    return WireError{"missing_field", "give either 'id' or 'image'"};
  }
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  if (!epoch.valid()) return no_epoch();
  Vector embedding;
  ImageSeq self;
  if (id) {
    SHOAL_TRY(seq, find(*id));
    self = seq;
    SHOAL_WIRE_TRY(rows, parts_.store.embeddings(epoch, {seq}));
    if (rows.cols() == 0 || !std::isfinite(rows(0, 0))) {
      return WireError{"conflict", "image '" + id->str() +
                                       "' has no embedding: it is pending, or "
                                       "could not be decoded"};
    }
    embedding = rows.row(0).transpose();
  } else {
    SHOAL_TRY(features, parts_.probe(std::move(*image)));
    SHOAL_WIRE_TRY(z, parts_.labels.call([&](LabelStage& stage) {
      return stage.book().embed(features);
    }));
    embedding = z;
  }
  SHOAL_WIRE_TRY(neighbours, parts_.similar.search(embedding, wanted, self));
  std::vector<ImageSeq> seqs;
  for (const Neighbour& neighbour : neighbours) {
    seqs.push_back(neighbour.seq);
  }
  SHOAL_WIRE_TRY(records, parts_.store.images(seqs));
  SHOAL_WIRE_TRY(labels, parts_.store.labels(epoch, seqs));
  Json list = Json::array();
  for (std::size_t i = 0; i < seqs.size(); ++i) {
    if (!records[i]) continue;
    list.push_back(
        {{"id", records[i]->id.str()},
         {"score", neighbours[i].score},
         {"cluster", labels[i] ? id_json(labels[i]->cluster) : Json(nullptr)}});
  }
  return Json{{"similar", std::move(list)}};
}

QueryOps::Reply QueryOps::history(const Json& request) {
  SHOAL_TRY(id, required("id", optional_id(request, "id")));
  SHOAL_TRY(seq, find(id));
  SHOAL_WIRE_TRY(records, parts_.store.history(seq, kMaxHistory));
  Json list = Json::array();
  for (const HistoryRecord& record : records) {
    list.push_back({{"at", time_json(record.at)},
                    {"epoch", id_json(record.epoch)},
                    {"from", id_json(record.from)},
                    {"to", id_json(record.to)},
                    {"state", state_text(record.state)},
                    {"cause", record.cause}});
  }
  return Json{{"id", id.str()}, {"history", std::move(list)}};
}

QueryOps::Reply QueryOps::lineage(const Json& request) {
  SHOAL_TRY(cluster, optional_cluster(request, "cluster"));
  SHOAL_TRY(after, optional_number(request, "after", kMaxNumber));
  Json list = Json::array();
  std::uint64_t at = after.value_or(0);
  // Of one cluster the whole story, of all a page.
  for (bool more = true; more;) {
    SHOAL_WIRE_TRY(page, parts_.store.lineage(at, kPage));
    for (const LineageRecord& record : page) {
      at = record.seq;
      if (cluster.valid() && record.cluster != cluster) continue;
      Json others = Json::array();
      for (const ClusterId other : record.others) {
        others.push_back(other.value());
      }
      list.push_back({{"seq", record.seq},
                      {"at", time_json(record.at)},
                      {"cluster", record.cluster.value()},
                      {"kind", kind_text(record.kind)},
                      {"epoch", id_json(record.epoch)},
                      {"others", std::move(others)}});
    }
    more = page.size() == kPage && list.empty();
  }
  return Json{{"lineage", std::move(list)}};
}

// ---------------------------------------------------------------- the daemon

QueryOps::Reply QueryOps::status(const Json&) {
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(clusters, parts_.store.clusters(epoch));
  SHOAL_WIRE_TRY(epochs, parts_.store.epochs());
  std::uint64_t assigned = 0;
  std::uint64_t confirmed = 0;
  std::uint64_t pool = 0;
  std::uint64_t count = 0;
  for (const ClusterRecord& record : clusters) {
    if (!record.id.valid()) {
      pool = record.size;
      continue;
    }
    ++count;
    assigned += record.size - record.confirmed;
    confirmed += record.confirmed;
  }
  const auto pending = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, parts_.intake.pending()));
  return Json{
      {"images", assigned + confirmed + pool + pending},
      {"pending", pending},
      {"assigned", assigned},
      {"unassigned", pool},
      {"confirmed", confirmed},
      {"rejected", parts_.store.rejected_total()},
      {"clusters", count},
      {"epoch", id_json(epoch)},
      {"refining", parts_.refinery.running().valid()},
      {"version", kVersion},
      {"uptime_seconds", std::chrono::duration_cast<std::chrono::seconds>(
                             std::chrono::steady_clock::now() - started_)
                             .count()},
      {"views", parts_.views()},
      {"last_run",
       epochs.empty() ? Json(nullptr) : epoch_json(epochs.back(), epoch)}};
}

QueryOps::Reply QueryOps::epochs(const Json&) {
  SHOAL_WIRE_TRY(current, parts_.store.current_epoch());
  SHOAL_WIRE_TRY(epochs, parts_.store.epochs());
  Json list = Json::array();
  for (const EpochRecord& epoch : epochs) {
    list.push_back(epoch_json(epoch, current));
  }
  return Json{{"epochs", std::move(list)}};
}

QueryOps::Reply QueryOps::rejected(const Json& request) {
  SHOAL_TRY(limit, optional_number(request, "limit", kMaxPageLimit));
  SHOAL_WIRE_TRY(records,
                 parts_.store.rejected(limit.value_or(kDefaultRejectedLimit)));
  Json list = Json::array();
  for (const RejectedRecord& record : records) {
    list.push_back({{"number", record.number},
                    {"at", time_json(record.at)},
                    {"id", record.id},
                    {"source", record.source},
                    {"code", record.code},
                    {"message", record.message}});
  }
  Json counts = Json::object();
  for (const auto& [code, n] : parts_.intake.rejected_counts()) {
    counts[code] = n;
  }
  return Json{{"total", parts_.store.rejected_total()},
              {"rejected", std::move(list)},
              {"counts", std::move(counts)}};
}

// -------------------------------------------------------------------- runs

QueryOps::Reply QueryOps::refine(const Json& request) {
  SHOAL_TRY(minutes, optional_real(request, "max_minutes"));
  SHOAL_TRY(dry_run, optional_flag(request, "dry_run"));
  if (minutes && (*minutes <= 0 || *minutes > 7 * 24 * 60)) {
    return WireError{"bad_field",
                     "'max_minutes' is above 0 and at most a week"};
  }
  if (parts_.filling_views()) {
    return WireError{"conflict",
                     "older images are still being extracted for new views; a "
                     "run starts by itself when all are there"};
  }
  RunRequest run;
  run.reason = "asked";
  run.max_minutes = minutes;
  run.dry_run = dry_run.value_or(false);
  SHOAL_WIRE_TRY(number, parts_.refinery.begin(run));
  return Json{{"run", number.value()}};
}

QueryOps::Reply QueryOps::cancel(const Json&) {
  SHOAL_WIRE_TRY(number, parts_.refinery.cancel());
  return Json{{"run", number.value()}};
}

QueryOps::Reply QueryOps::activate(const Json& request, EpochStatus wanted) {
  SHOAL_TRY(number,
            required("epoch", optional_number(request, "epoch", kMaxNumber)));
  const EpochId epoch(number);
  const auto record = parts_.store.epoch(epoch);
  if (!record) return to_wire_error(record.error());
  if (record.value().status == EpochStatus::kHeld &&
      wanted == EpochStatus::kPublished) {
    return WireError{"conflict", "epoch " + std::to_string(number) +
                                     " has never been published; use publish"};
  }
  if (record.value().status == EpochStatus::kPublished &&
      wanted == EpochStatus::kHeld) {
    return WireError{"conflict",
                     "epoch " + std::to_string(number) +
                         " has been published before; use rollback"};
  }
  const auto done = parts_.refinery.activate(epoch);
  if (!done) return to_wire_error(done.error());
  return Json{{"epoch", number}};
}

QueryOps::Reply QueryOps::rollback(const Json& request) {
  return activate(request, EpochStatus::kPublished);
}

QueryOps::Reply QueryOps::publish(const Json& request) {
  return activate(request, EpochStatus::kHeld);
}

// ------------------------------------------------------------------- people

QueryOps::Reply QueryOps::correct(const CorrectionRequest& request) {
  SHOAL_WIRE_TRY(epoch, parts_.store.current_epoch());
  if (!epoch.valid()) return no_epoch();
  SHOAL_WIRE_TRY(outcome, parts_.labels.call([&](LabelStage& stage) {
    return stage.book().correct(request);
  }));
  Json reply = {{"correction", outcome.correction.value()}};
  if (outcome.cluster.valid()) reply["cluster"] = outcome.cluster.value();
  return reply;
}

QueryOps::Reply QueryOps::confirm(const Json& request) {
  CorrectionRequest correction;
  correction.kind = CorrectionKind::kConfirm;
  SHOAL_TRY(ids, required("ids", optional_ids(request, "ids")));
  SHOAL_TRY(cluster, optional_cluster(request, "cluster"));
  correction.images = ids;
  correction.cluster = cluster;
  return correct(correction);
}

QueryOps::Reply QueryOps::reject(const Json& request) {
  CorrectionRequest correction;
  correction.kind = CorrectionKind::kReject;
  SHOAL_TRY(ids, required("ids", optional_ids(request, "ids")));
  SHOAL_TRY(cluster, optional_cluster(request, "cluster"));
  correction.images = ids;
  correction.cluster = cluster;
  return correct(correction);
}

QueryOps::Reply QueryOps::move(const Json& request) {
  CorrectionRequest correction;
  correction.kind = CorrectionKind::kMove;
  SHOAL_TRY(ids, required("ids", optional_ids(request, "ids")));
  SHOAL_TRY(cluster, required_cluster(request, "cluster"));
  correction.images = ids;
  correction.cluster = cluster;
  return correct(correction);
}

QueryOps::Reply QueryOps::merge(const Json& request) {
  CorrectionRequest correction;
  correction.kind = CorrectionKind::kMerge;
  SHOAL_TRY(from, required_cluster(request, "from"));
  SHOAL_TRY(into, required_cluster(request, "into"));
  correction.other = from;
  correction.cluster = into;
  return correct(correction);
}

QueryOps::Reply QueryOps::split(const Json& request) {
  CorrectionRequest correction;
  correction.kind = CorrectionKind::kSplit;
  SHOAL_TRY(cluster, required_cluster(request, "cluster"));
  SHOAL_TRY(ids, required("ids", optional_ids(request, "ids")));
  correction.cluster = cluster;
  correction.images = ids;
  return correct(correction);
}

QueryOps::Reply QueryOps::undo(const Json& request) {
  CorrectionRequest correction;
  correction.kind = CorrectionKind::kUndo;
  SHOAL_TRY(number, optional_number(request, "correction", kMaxNumber));
  correction.correction = CorrectionSeq(number.value_or(0));
  return correct(correction);
}

QueryOps::Reply QueryOps::name(const Json& request) {
  SHOAL_TRY(cluster, required_cluster(request, "cluster"));
  SHOAL_TRY(text, required("name", optional_string(request, "name",
                                                   kMaxClusterNameBytes)));
  const auto done = parts_.labels.call([&](LabelStage& stage) {
    return stage.book().name_cluster(cluster, text);
  });
  if (!done) return to_wire_error(done.error());
  return Json{{"cluster", cluster.value()}, {"name", text}};
}

QueryOps::Reply QueryOps::remove(const Json& request) {
  SHOAL_TRY(ids, required("ids", optional_ids(request, "ids")));
  SHOAL_WIRE_TRY(removed, parts_.labels.call([&](LabelStage& stage) {
    return stage.remove(ids);
  }));
  return Json{{"deleted", removed}};
}

QueryOps::Reply QueryOps::backup(const Json& request) {
  SHOAL_TRY(text, required("dir", optional_string(request, "dir", 4096)));
  const std::filesystem::path dir(text);
  if (!dir.is_absolute()) {
    return WireError{"bad_field", "'dir' must be an absolute path"};
  }
  std::error_code error;
  if (std::filesystem::exists(dir, error)) {
    return WireError{"conflict", dir.string() + " exists already"};
  }
  const auto done = parts_.store.checkpoint(dir);
  if (!done) return to_wire_error(done.error().within("back up to " + text));
  return Json{{"dir", text}};
}

}  // namespace shoal
