#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/result.h"
#include "daemon/eval/results.h"
#include "engine/image/image.h"

namespace shoal::eval {

/// What a report shows beside the results.
struct ReportData {
  std::string dataset;
  std::vector<std::string> classes;  ///< names
  std::vector<int> truth;            ///< (n) positions in `classes`
  std::string cluster_count;         ///< why K is what it is; a sentence
  /// Image `row` at about 64 x 64; an error leaves its place empty.
  std::function<ImageResult<Image>(std::size_t row)> thumbnail;
};

/// Writes report.html, one file that needs no other: the multi-view paper's
/// table of methods by views and of k-means on each representation, the
/// transfer paper's tables of boot features and of eta, all scores,
/// score-per-iteration curves, maps coloured by class and by cluster, and
/// contact sheets of the clusters of the run with the highest NMI. Only rows
/// of `data`'s dataset and number of images are shown; where a method ran on a
/// view with several settings, the papers' tables have the last ones.
/// Errors: those of `results`; kIo.
[[nodiscard]] Result<void> write_report(const std::filesystem::path& file,
                                        const ResultFolder& results,
                                        const ReportData& data);

}  // namespace shoal::eval
