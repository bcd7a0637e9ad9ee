#include "daemon/eval/results.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <fcntl.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <sys/file.h>
#include <system_error>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"

namespace shoal::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 30;

auto parts(const RunKey& key) {
  return std::tie(key.dataset, key.method, key.view, key.seed, key.n, key.k,
                  key.settings, key.input);
}

/// Equal for rows that differ in their seed alone.
auto parts_without_seed(const RunKey& key) {
  return std::tie(key.dataset, key.method, key.view, key.n, key.k, key.settings,
                  key.input);
}

json to_json(const ResultRow& row) {
  json object = {{"dataset", row.key.dataset},
                 {"method", row.key.method},
                 {"view", row.key.view},
                 {"seed", row.key.seed},
                 {"n", row.key.n},
                 {"k", row.key.k},
                 {"nmi", row.nmi},
                 {"nmi_arithmetic", row.nmi_arithmetic},
                 {"acc", row.acc},
                 {"ari", row.ari},
                 {"jc", row.jc},
                 {"fmi", row.fmi},
                 {"dbi", row.dbi},
                 {"dbi_ratio", nullptr},
                 {"km_nmi", nullptr},
                 {"seconds", row.seconds},
                 {"peak_mib", row.peak_mib},
                 {"settings", row.key.settings},
                 {"input", row.key.input}};
  if (row.dbi_ratio) object["dbi_ratio"] = *row.dbi_ratio;
  if (row.km_nmi) object["km_nmi"] = *row.km_nmi;
  return object;
}

/// JSON has no infinity: a score that is none is kept as null.
double number(const json& object, const char* name) {
  const json& value = object.at(name);
  return value.is_null() ? std::nan("") : value.get<double>();
}

/// Throws json::exception.
ResultRow row_from(const json& object) {
  ResultRow row;
  row.key.dataset = object.at("dataset").get<std::string>();
  row.key.method = object.at("method").get<std::string>();
  row.key.view = object.at("view").get<std::string>();
  row.key.seed = object.at("seed").get<std::uint64_t>();
  row.key.n = object.at("n").get<std::size_t>();
  row.key.k = object.at("k").get<int>();
  row.key.settings = object.at("settings").get<std::string>();
  row.key.input = object.at("input").get<std::string>();
  row.nmi = number(object, "nmi");
  row.nmi_arithmetic = number(object, "nmi_arithmetic");
  row.acc = number(object, "acc");
  row.ari = number(object, "ari");
  row.jc = number(object, "jc");
  row.fmi = number(object, "fmi");
  row.dbi = number(object, "dbi");
  if (!object.at("dbi_ratio").is_null()) {
    row.dbi_ratio = object.at("dbi_ratio").get<double>();
  }
  if (!object.at("km_nmi").is_null()) {
    row.km_nmi = object.at("km_nmi").get<double>();
  }
  row.seconds = number(object, "seconds");
  row.peak_mib = number(object, "peak_mib");
  return row;
}

json to_json(const RunDetail& detail) {
  json curve = json::array();
  for (const CurvePoint& point : detail.curve) {
    curve.push_back({point.iteration, point.nmi, point.acc, point.confirmed});
  }
  json map = json::array();
  for (Eigen::Index i = 0; i < detail.map.rows(); ++i) {
    map.push_back({detail.map(i, 0), detail.map(i, 1)});
  }
  return {{"labels", detail.labels},
          {"curve", std::move(curve)},
          {"map", std::move(map)},
          {"map_rows", detail.map_rows}};
}

/// Throws json::exception.
RunDetail detail_from(const json& object) {
  RunDetail detail;
  detail.labels = object.at("labels").get<std::vector<int>>();
  for (const json& point : object.at("curve")) {
    detail.curve.push_back({point.at(0).get<int>(), point.at(1).get<double>(),
                            point.at(2).get<double>(),
                            point.at(3).get<double>()});
  }
  const json& map = object.at("map");
  detail.map.resize(static_cast<Eigen::Index>(map.size()), 2);
  for (std::size_t i = 0; i < map.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    detail.map(row, 0) = map[i].at(0).get<float>();
    detail.map(row, 1) = map[i].at(1).get<float>();
  }
  detail.map_rows = object.at("map_rows").get<std::vector<std::size_t>>();
  return detail;
}

struct TableColumn {
  std::string_view name;
  double (*score)(const ResultRow&);
};
constexpr std::array kTableColumns = {
    TableColumn{"NMI", [](const ResultRow& r) { return r.nmi; }},
    TableColumn{"ACC", [](const ResultRow& r) { return r.acc; }},
    TableColumn{"ARI", [](const ResultRow& r) { return r.ari; }},
    TableColumn{"JC", [](const ResultRow& r) { return r.jc; }},
    TableColumn{"FMI", [](const ResultRow& r) { return r.fmi; }},
    TableColumn{"DBI", [](const ResultRow& r) { return r.dbi; }},
};

Error not_results(const fs::path& file, std::string_view why) {
  return corruption(
      fmt::format("{} is no list of results ({}); move it away, or give "
                  "another --out",
                  file.string(), why));
}

}  // namespace

bool operator==(const RunKey& a, const RunKey& b) {
  return parts(a) == parts(b);
}

/// The claim on a folder; the system drops it with the process.
class ResultFolder::Lock {
 public:
  static Result<std::unique_ptr<Lock>> take(const fs::path& folder) {
    const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return errno_error("open " + folder.string(), errno);
    auto lock = std::make_unique<Lock>(file);
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno == EWOULDBLOCK) {
      return failed_precondition("another shoal-eval writes to " +
                                 folder.string() +
                                 "; wait for it or give another --out");
    }
    return errno_error("lock " + folder.string(), errno);
  }
  explicit Lock(int file) : file_(file) {}
  ~Lock() { ::close(file_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  const int file_;
};

ResultFolder::ResultFolder(fs::path folder, std::unique_ptr<Lock> lock)
    : folder_(std::move(folder)), lock_(std::move(lock)) {}
ResultFolder::~ResultFolder() = default;
ResultFolder::ResultFolder(ResultFolder&& other) noexcept = default;
ResultFolder& ResultFolder::operator=(ResultFolder&& other) noexcept = default;

Result<ResultFolder> ResultFolder::open(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder / "runs", error);
  if (error) {
    return io_error("make folder " + folder.string() + ": " + error.message());
  }
  SHOAL_TRY(lock, Lock::take(folder));
  ResultFolder results(folder, std::move(lock));
  SHOAL_TRY(results.load());
  return results;
}

Result<void> ResultFolder::load() {
  const fs::path file = folder_ / "results.json";
  const auto text = read_file(file, kMaxFileBytes);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return ok();
    return text.error();
  }
  try {
    const json list = json::parse(text.value());
    // A loop over an object would take its values for rows.
    if (!list.is_array()) return not_results(file, "it is not a list");
    for (const json& row : list) rows_.push_back(row_from(row));
  } catch (const json::exception& parse_error) {
    return not_results(file, parse_error.what());
  }
  return ok();
}

bool ResultFolder::has(const RunKey& key) const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [&](const ResultRow& row) { return row.key == key; });
}

Result<void> ResultFolder::add(const ResultRow& row, const RunDetail& detail) {
  SHOAL_TRY(write_file_atomically(detail_file(rows_.size()),
                                  to_json(detail).dump() + "\n"));
  json list = json::array();
  for (const ResultRow& earlier : rows_) list.push_back(to_json(earlier));
  list.push_back(to_json(row));
  SHOAL_TRY(
      write_file_atomically(folder_ / "results.json", list.dump(1) + "\n"));
  rows_.push_back(row);
  return ok();
}

Result<RunDetail> ResultFolder::detail(std::size_t position) const {
  const fs::path file = detail_file(position);
  SHOAL_TRY(text, read_file(file, kMaxFileBytes));
  try {
    return detail_from(json::parse(text));
  } catch (const json::exception& error) {
    return corruption(file.string() + ": " + error.what());
  }
}

fs::path ResultFolder::detail_file(std::size_t position) const {
  return folder_ / "runs" / fmt::format("{}.json", position);
}

Spread spread_of(const std::vector<double>& values) {
  std::vector<double> numbers;
  std::copy_if(values.begin(), values.end(), std::back_inserter(numbers),
               [](double value) { return std::isfinite(value); });
  Spread spread;
  spread.count = numbers.size();
  const auto n = static_cast<double>(numbers.size());
  for (const double value : numbers) spread.mean += value / n;
  if (numbers.size() < 2) return spread;
  double squares = 0;
  for (const double value : numbers) {
    squares += (value - spread.mean) * (value - spread.mean);
  }
  spread.deviation = std::sqrt(squares / (n - 1));
  return spread;
}

std::vector<Series> group_rows(const std::vector<ResultRow>& rows) {
  std::vector<Series> groups;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RunKey& key = rows[i].key;
    const auto place =
        std::find_if(groups.begin(), groups.end(), [&](const Series& series) {
          return parts_without_seed(rows[series.rows.front()].key) ==
                 parts_without_seed(key);
        });
    if (place == groups.end()) {
      groups.push_back({key.method, key.view, {i}});
    } else {
      place->rows.push_back(i);
    }
  }
  return groups;
}

std::string text_table(const std::vector<ResultRow>& rows) {
  const auto groups = group_rows(rows);
  std::size_t view_width = 4;
  for (const Series& series : groups) {
    view_width = std::max(view_width, series.view.size());
  }
  std::string table = fmt::format("{:<13} {:<{}} {:>4} {:>4}", "method", "view",
                                  view_width, "k", "runs");
  for (const TableColumn& column : kTableColumns) {
    table += fmt::format(" {:>14}", column.name);
  }
  table += fmt::format(" {:>8}  settings\n", "seconds");
  for (const Series& series : groups) {
    const auto spread = [&](double (*score)(const ResultRow&)) {
      std::vector<double> values;
      for (const std::size_t i : series.rows) values.push_back(score(rows[i]));
      return spread_of(values);
    };
    const RunKey& key = rows[series.rows.front()].key;
    table += fmt::format("{:<13} {:<{}} {:>4} {:>4}", series.method,
                         series.view, view_width, key.k, series.rows.size());
    for (const TableColumn& column : kTableColumns) {
      const Spread cell = spread(column.score);
      table += fmt::format(
          " {:>14}", cell.count == 0 ? "-"
                                     : fmt::format("{:.3f} +- {:.3f}",
                                                   cell.mean, cell.deviation));
    }
    const double seconds =
        spread([](const ResultRow& row) { return row.seconds; }).mean;
    table += fmt::format(" {:>8.1f}  {}\n", seconds, key.settings);
  }
  return table;
}

}  // namespace shoal::eval
