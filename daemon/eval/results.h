#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"

namespace shoal::eval {

/// What one run of one method was.
struct RunKey {
  std::string dataset;
  std::string method;
  std::string view;  ///< "all" for the methods over all views
  std::uint64_t seed = 0;
  std::size_t n = 0;
  int k = 0;
  std::string settings;  ///< MethodRunner::settings
  /// 16 hex digits that change with the features and classes of the images.
  std::string input;
};
[[nodiscard]] bool operator==(const RunKey& a, const RunKey& b);

/// A row of results.json. Scores: ALGORITHMS section 7.
struct ResultRow {
  RunKey key;
  double nmi = 0;  ///< geometric mean
  double nmi_arithmetic = 0;
  double acc = 0;
  double ari = 0;
  double jc = 0;
  double fmi = 0;
  /// Of the labels in the run's own representation; not a number for labels
  /// that are all one cluster.
  double dbi = 0;
  /// dbi / that of the boot stage in the boot features; transfer methods only.
  std::optional<double> dbi_ratio;
  /// NMI of k-means on the run's own representation, where the method learned
  /// one (MV paper, Table 4).
  std::optional<double> km_nmi;
  double seconds = 0;
  double peak_mib = 0;  ///< of the process while the method ran
};

/// A point of a score-per-iteration curve.
struct CurvePoint {
  int iteration = 0;
  double nmi = 0;
  double acc = 0;
  double confirmed = 0;  ///< share of the images; 0 for other methods
};

/// What the report shows of a run beside its row.
struct RunDetail {
  std::vector<int> labels;  ///< (n)
  std::vector<CurvePoint> curve;
  /// (m, 2) the map of the rows `map_rows`; empty: none was made.
  Matrix map;
  std::vector<std::size_t> map_rows;
};

/// The finished runs in a folder: OUT/results.json, a list with one object
/// per row, and OUT/runs/NUMBER.json with each one's details. Every add is on
/// disk when it returns, so an interrupted experiment keeps what it finished.
/// Owner-thread; holds the folder against other processes.
class ResultFolder {
 public:
  /// Makes the folder where it is not there.
  /// Errors: kIo; kCorruption for a results.json that is none;
  /// kFailedPrecondition while another process has the folder.
  static Result<ResultFolder> open(const std::filesystem::path& folder);
  ~ResultFolder();
  ResultFolder(ResultFolder&& other) noexcept;
  ResultFolder& operator=(ResultFolder&& other) noexcept;
  ResultFolder(const ResultFolder&) = delete;
  ResultFolder& operator=(const ResultFolder&) = delete;

  [[nodiscard]] const std::vector<ResultRow>& rows() const { return rows_; }
  [[nodiscard]] bool has(const RunKey& key) const;
  /// Errors: kIo, kStorageFull.
  [[nodiscard]] Result<void> add(const ResultRow& row, const RunDetail& detail);
  /// Of the row at `position`. Errors: kNotFound, kIo, kCorruption.
  [[nodiscard]] Result<RunDetail> detail(std::size_t position) const;

 private:
  class Lock;
  ResultFolder(std::filesystem::path folder, std::unique_ptr<Lock> lock);
  [[nodiscard]] Result<void> load();
  [[nodiscard]] std::filesystem::path detail_file(std::size_t position) const;

  std::filesystem::path folder_;
  std::unique_ptr<Lock> lock_;
  std::vector<ResultRow> rows_;
};

/// Mean and standard deviation (n - 1 divisor) of those that are numbers.
struct Spread {
  double mean = 0;
  double deviation = 0;  ///< 0 for one value
  std::size_t count = 0;
};
[[nodiscard]] Spread spread_of(const std::vector<double>& values);

/// The rows that differ in their seed alone, in the order in which they come.
struct Series {
  std::string method;
  std::string view;
  std::vector<std::size_t> rows;  ///< positions
};
[[nodiscard]] std::vector<Series> group_rows(
    const std::vector<ResultRow>& rows);

/// A text table of all series with mean +- deviation of every score and the
/// mean seconds of a run.
[[nodiscard]] std::string text_table(const std::vector<ResultRow>& rows);

}  // namespace shoal::eval
