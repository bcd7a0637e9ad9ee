#include "daemon/eval/stream_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"

namespace shoal::eval {
namespace {

using nlohmann::json;

json number_or_null(const std::optional<double>& value) {
  return value ? json(*value) : json(nullptr);
}

/// What decided the rows.
json settings_of(const StreamReport& report, std::string_view row,
                 std::uint64_t seed) {
  return {{"row", row},
          {"dataset", report.dataset},
          {"views", report.views},
          {"method", report.method},
          {"k", report.clusters > 0 ? json(report.clusters) : json("auto")},
          {"refine_every", report.refine_every},
          {"confirm_share", report.confirmation.share},
          {"confirm_agreement", report.confirmation.min_agreement},
          {"seed", seed}};
}

void add_scores(json& row, const std::string& prefix,
                const StreamScores& scores) {
  const auto put = [&](const std::string& name,
                       const std::optional<StreamScore>& score) {
    row[prefix + "nmi" + name] = score ? json(score->nmi) : json(nullptr);
    row[prefix + "acc" + name] = score ? json(score->acc) : json(nullptr);
  };
  row[prefix + "images"] = scores.images;
  row[prefix + "unassigned"] = scores.unassigned;
  put("", scores.all);
  put("_assigned", scores.assigned);
}

void add_arrivals(json& row, const std::string& prefix,
                  const StreamArrivals& arrivals) {
  row[prefix + "images"] = arrivals.images;
  row[prefix + "unassigned"] = arrivals.unassigned;
  row[prefix + "confidence"] = number_or_null(arrivals.confidence);
}

json run_row(const StreamReport& report, const StreamRun& run) {
  json row = settings_of(report, "run", run.seed);
  row["order"] = to_string(run.order);
  row["run"] = run.run;
  row["status"] = run.status;
  row["reason"] = run.reason;
  row["note"] = run.note;
  row["seconds"] = run.seconds;
  json rounds = json::array();
  for (const StreamScore& round : run.rounds) {
    rounds.push_back({{"nmi", round.nmi}, {"acc", round.acc}});
  }
  row["rounds"] = std::move(rounds);
  add_scores(row, "", run.labels);
  add_scores(row, "online_", run.online);
  add_arrivals(row, "seen_", run.seen);
  add_arrivals(row, "unseen_", run.unseen);
  row["clusters"] = run.clusters;
  row["born"] = run.born;
  row["ended"] = run.ended;
  row["kept"] = number_or_null(run.kept);
  row["churn"] = number_or_null(run.churn);
  row["confirmed"] = run.confirmed;
  row["confirmed_purity"] = number_or_null(run.purity);
  row["confirmed_changed"] = run.confirmed_changed;
  return row;
}

json end_row(const StreamReport& report, const StreamEnd& end) {
  json row = settings_of(report, "end", end.seed);
  row["order"] = to_string(end.order);
  add_scores(row, "", end.labels);
  row["clusters"] = end.clusters;
  row["batch_nmi"] = end.batch.nmi;
  row["batch_acc"] = end.batch.acc;
  row["batch_clusters"] = end.batch_clusters;
  row["gap_nmi"] = end.batch.nmi - end.labels.all->nmi;
  row["gap_acc"] = end.batch.acc - end.labels.all->acc;
  return row;
}

/// "-" for none.
std::string cell(const std::optional<double>& value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}

/// NMI and ACC of all and of the assigned ones.
std::vector<std::string> cells(const StreamScores& scores) {
  std::vector<std::string> cells;
  for (const auto& score : {scores.all, scores.assigned}) {
    cells.push_back(score ? cell(score->nmi) : "-");
    cells.push_back(score ? cell(score->acc) : "-");
  }
  return cells;
}

/// A line of columns of `kWidth`, right-aligned, and `tail`.
std::string line(const std::vector<std::string>& columns,
                 const std::string& tail = "") {
  constexpr int kWidth = 11;
  std::string text;
  for (const std::string& column : columns) {
    text += fmt::format("{:>{}}", column, kWidth);
  }
  return text + (tail.empty() ? "" : "  " + tail) + "\n";
}

std::string after_line(const StreamRun& run) {
  std::vector<std::string> columns = {std::to_string(run.images)};
  for (std::string& score : cells(run.labels)) {
    columns.push_back(std::move(score));
  }
  for (const std::string& column :
       {std::to_string(run.labels.unassigned), std::to_string(run.clusters),
        std::to_string(run.born), std::to_string(run.ended), cell(run.churn),
        cell(run.kept), std::to_string(run.confirmed), cell(run.purity),
        std::to_string(run.confirmed_changed)}) {
    columns.push_back(column);
  }
  return line(columns,
              run.status + (run.reason.empty() ? "" : ": " + run.reason));
}

std::string before_line(const StreamRun& run) {
  std::vector<std::string> columns = {std::to_string(run.images),
                                      std::to_string(run.online.images)};
  for (std::string& score : cells(run.online)) {
    columns.push_back(std::move(score));
  }
  for (const StreamArrivals& arrivals : {run.seen, run.unseen}) {
    columns.push_back(std::to_string(arrivals.images));
    columns.push_back(std::to_string(arrivals.unassigned));
    columns.push_back(cell(arrivals.confidence));
  }
  return line(columns);
}

/// The tables of the runs from `begin` up to `end`, which are one stream.
std::string tables_of(const StreamReport& report, std::size_t begin,
                      std::size_t end) {
  const StreamRun& first = report.runs[begin];
  const std::string clusters =
      report.clusters > 0 ? std::to_string(report.clusters) : "auto";
  std::string text = fmt::format(
      "\n{}, {} order, seed {}: {}, K {}, a run every {} images\nAfter each "
      "run:\n",
      report.dataset, to_string(first.order), first.seed, report.method,
      clusters, report.refine_every);
  text += line(
      {"images", "NMI", "ACC", "NMI in", "ACC in", "unassigned", "clusters",
       "born", "ended", "churn", "ids kept", "confirmed", "purity", "changed"},
      "status");
  for (std::size_t i = begin; i < end; ++i) text += after_line(report.runs[i]);
  if (std::any_of(report.runs.begin() + static_cast<std::ptrdiff_t>(begin),
                  report.runs.begin() + static_cast<std::ptrdiff_t>(end),
                  [](const StreamRun& run) { return run.rounds.size() > 1; })) {
    text += "NMI after each of its rounds:\n";
    for (std::size_t i = begin; i < end; ++i) {
      std::vector<std::string> columns = {
          std::to_string(report.runs[i].images)};
      for (const StreamScore& round : report.runs[i].rounds) {
        columns.push_back(cell(round.nmi));
      }
      text += line(columns);
    }
  }
  text +=
      "Arrivals before it, by classes that the epoch had seen and others:\n";
  text +=
      line({"images", "arrived", "NMI", "ACC", "NMI in", "ACC in", "seen",
            "unassigned", "confidence", "unseen", "unassigned", "confidence"});
  for (std::size_t i = begin; i < end; ++i) text += before_line(report.runs[i]);
  return text;
}

}  // namespace

Result<void> write_stream_rows(const std::filesystem::path& file,
                               const StreamReport& report) {
  json rows = json::array();
  for (const StreamRun& run : report.runs) rows.push_back(run_row(report, run));
  for (const StreamEnd& end : report.ends) rows.push_back(end_row(report, end));
  for (const StreamAgreement& agreement : report.agreements) {
    json row = settings_of(report, "orders", agreement.seed);
    row["ari"] = agreement.ari;
    rows.push_back(std::move(row));
  }
  return write_file_atomically(file, rows.dump(1) + "\n");
}

std::string stream_table(const StreamReport& report) {
  std::string text;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= report.runs.size(); ++i) {
    const bool last = i == report.runs.size() ||
                      report.runs[i].order != report.runs[begin].order ||
                      report.runs[i].seed != report.runs[begin].seed;
    if (!last) continue;
    text += tables_of(report, begin, i);
    begin = i;
  }
  text += "\nIn the end:\n";
  text += line({"order", "seed", "NMI", "ACC", "clusters", "batch NMI",
                "batch ACC", "clusters", "NMI gap", "ACC gap"});
  for (const StreamEnd& end : report.ends) {
    const StreamScore& score = *end.labels.all;
    text += line({std::string(to_string(end.order)), std::to_string(end.seed),
                  cell(score.nmi), cell(score.acc),
                  std::to_string(end.clusters), cell(end.batch.nmi),
                  cell(end.batch.acc), std::to_string(end.batch_clusters),
                  cell(end.batch.nmi - score.nmi),
                  cell(end.batch.acc - score.acc)});
  }
  for (const StreamAgreement& agreement : report.agreements) {
    text += fmt::format("ARI of the two orders, seed {}: {:.3f}\n",
                        agreement.seed, agreement.ari);
  }
  return text;
}

}  // namespace shoal::eval
