#include "daemon/eval/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <optional>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/file.h"
#include "daemon/eval/internal/report_page.h"
#include "engine/score/scores.h"

namespace shoal::eval {
namespace {

using Score = double (*)(const ResultRow&);

struct NamedScore {
  const char* name;
  Score of;
};
constexpr std::array kExternalScores = {
    NamedScore{"JC", [](const ResultRow& r) { return r.jc; }},
    NamedScore{"FMI", [](const ResultRow& r) { return r.fmi; }},
    NamedScore{"NMI", [](const ResultRow& r) { return r.nmi; }},
    NamedScore{"ARI", [](const ResultRow& r) { return r.ari; }},
    NamedScore{"ACC", [](const ResultRow& r) { return r.acc; }},
};

/// Positions on a map are whole numbers of this part of its unit.
constexpr float kMapSteps = 10;

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string text_of(const Spread& spread) {
  if (spread.count == 0) return "";
  if (spread.count == 1) return fmt::format("{:.3f}", spread.mean);
  return fmt::format("{:.3f} ± {:.3f}", spread.mean, spread.deviation);
}

/// Makes the report's sections one by one. Owner-thread.
class Report {
 public:
  Report(const ResultFolder& results, const ReportData& data)
      : results_(results), data_(data) {
    for (std::size_t i = 0; i < results.rows().size(); ++i) {
      const RunKey& key = results.rows()[i].key;
      if (key.dataset == data.dataset && key.n == data.truth.size()) {
        positions_.push_back(i);
        rows_.push_back(results.rows()[i]);
      }
    }
    series_ = group_rows(rows_);
  }

  Result<std::string> html() {
    html_ = internal::report_head();
    html_ += fmt::format(
        "<h1>{}</h1>\n<p class=\"note\">{} images of {} classes. Means and "
        "standard deviations over the seeds. NMI has the geometric mean. "
        "{}</p>\n",
        escaped(data_.dataset), data_.truth.size(), data_.classes.size(),
        escaped(data_.cluster_count));
    add_views_table();
    add_representation_table();
    add_transfer_table();
    add_eta_table();
    add_all_scores();
    SHOAL_TRY(add_curves());
    SHOAL_TRY(add_maps());
    SHOAL_TRY(add_sheets());
    html_ += internal::report_tail();
    return html_;
  }

 private:
  void heading(std::string_view title, std::string_view note) {
    html_ +=
        fmt::format("<h2>{}</h2>\n<p class=\"note\">{}</p>\n", title, note);
  }

  void add_table(const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& body) {
    html_ += "<div class=\"wide\"><table><tr>";
    for (const std::string& cell : head) {
      html_ += "<th>" + escaped(cell) + "</th>";
    }
    html_ += "</tr>\n";
    for (const auto& row : body) {
      html_ += "<tr>";
      for (const std::string& cell : row) {
        html_ += "<td>" + escaped(cell) + "</td>";
      }
      html_ += "</tr>\n";
    }
    html_ += "</table></div>\n";
  }

  [[nodiscard]] std::vector<double> values(const Series& series,
                                           Score score) const {
    std::vector<double> found;
    for (const std::size_t i : series.rows) found.push_back(score(rows_[i]));
    return found;
  }

  /// The last series of a method on a view; settings changed make a new one.
  [[nodiscard]] const Series* find(std::string_view method,
                                   std::string_view view) const {
    const Series* found = nullptr;
    for (const Series& series : series_) {
      if (series.method == method && series.view == view) found = &series;
    }
    return found;
  }

  [[nodiscard]] std::string nmi_of(std::string_view method,
                                   std::string_view view) const {
    const Series* const series = find(method, view);
    if (series == nullptr) return "";
    return text_of(spread_of(
        values(*series, [](const ResultRow& row) { return row.nmi; })));
  }

  [[nodiscard]] std::vector<std::string> views() const {
    std::vector<std::string> names;
    for (const Series& series : series_) {
      if (series.view != "all" &&
          std::find(names.begin(), names.end(), series.view) == names.end()) {
        names.push_back(series.view);
      }
    }
    return names;
  }

  void add_views_table() {
    const std::vector<std::string> bases = {"jule", "idec", "km", "ac",
                                            "gmm",  "dec",  "dcn"};
    std::vector<std::vector<std::string>> body;
    const auto add = [&](const std::string& name, auto cell) {
      std::vector<std::string> row = {name};
      bool any = false;
      for (const std::string& base : bases) {
        row.push_back(cell(base));
        any = any || !row.back().empty();
      }
      if (any) body.push_back(std::move(row));
    };
    for (const std::string& view : views()) {
      add(view, [&](const std::string& base) { return nmi_of(base, view); });
    }
    add("CC", [&](const std::string& b) { return nmi_of("cc-" + b, "all"); });
    add("MVEC",
        [&](const std::string& b) { return nmi_of("mvec-" + b, "all"); });
    add("DMVC-fix",
        [&](const std::string& b) { return nmi_of("dmvc-fix-" + b, "all"); });
    add("DMVC", [&](const std::string& b) {
      return b == "jule" ? nmi_of("dmvc", "all") : std::string();
    });
    if (body.empty()) return;
    heading("Views and their combinations",
            "NMI. A row is a view, or a way to combine all of them; a column "
            "is what clusters.");
    add_table({"", "JULE", "IDEC", "KM", "AC", "GMM", "DEC", "DCN"}, body);
  }

  void add_representation_table() {
    std::vector<std::vector<std::string>> body;
    const auto add = [&](const std::string& name, std::string_view method,
                         std::string_view view) {
      const Series* const series = find(method, view);
      if (series == nullptr) return;
      std::vector<double> found;
      for (const std::size_t i : series->rows) {
        if (rows_[i].km_nmi) found.push_back(*rows_[i].km_nmi);
        if (method == "km") found.push_back(rows_[i].nmi);
      }
      if (!found.empty()) body.push_back({name, text_of(spread_of(found))});
    };
    for (const std::string& view : views()) {
      add(view, "km", view);
      add(view + " + JULE", "jule", view);
      add(view + " + IDEC", "idec", view);
    }
    add("DMVC-fix (JULE)", "dmvc-fix-jule", "all");
    add("DMVC-fix (IDEC)", "dmvc-fix-idec", "all");
    add("DMVC", "dmvc", "all");
    if (body.empty()) return;
    heading("k-means on each representation",
            "NMI of k-means on a view's features and on what each method "
            "learned.");
    add_table({"representation", "NMI"}, body);
  }

  void add_transfer_table() {
    std::vector<std::vector<std::string>> body;
    for (const std::string base : {"km", "gmm"}) {
      for (const std::string& view : views()) {
        const Series* const before = find(base, view);
        const Series* const after = find("tl-" + base, view);
        if (after == nullptr) continue;
        const auto add = [&](const std::string& name, const Series& series) {
          std::vector<std::string> row = {name};
          for (const NamedScore& score : kExternalScores) {
            row.push_back(text_of(spread_of(values(series, score.of))));
          }
          std::vector<double> ratios;
          for (const std::size_t i : series.rows) {
            if (rows_[i].dbi_ratio) ratios.push_back(*rows_[i].dbi_ratio);
          }
          row.push_back(ratios.empty() ? "1" : text_of(spread_of(ratios)));
          body.push_back(std::move(row));
        };
        const std::string name = view + ", " + base;
        if (before != nullptr) add(name, *before);
        add(name + " + transfer", *after);
      }
    }
    if (body.empty()) return;
    heading("Transfer learning from each boot feature",
            "DBI is divided by that of the boot stage.");
    add_table({"", "JC", "FMI", "NMI", "ARI", "ACC", "DBI"}, body);
  }

  void add_eta_table() {
    std::vector<std::vector<std::string>> body;
    for (const std::string base : {"km", "gmm"}) {
      for (const std::string prefix : {"", "tl-"}) {
        std::vector<std::string> row = {prefix.empty() ? base
                                                       : base + " + transfer"};
        for (const NamedScore& score : kExternalScores) {
          std::vector<double> means;
          for (const std::string& view : views()) {
            const Series* const series = find(prefix + base, view);
            // Both rows are over the same boot features.
            if (series == nullptr || find("tl-" + base, view) == nullptr) {
              continue;
            }
            means.push_back(spread_of(values(*series, score.of)).mean);
          }
          const auto dependence = eta(means);
          row.push_back(dependence ? fmt::format("{:.3f}", dependence.value())
                                   : "");
        }
        if (!row.back().empty()) body.push_back(std::move(row));
      }
    }
    if (body.empty()) return;
    heading("Dependence on the boot features (eta)",
            "Standard deviation divided by mean of a score over the boot "
            "features.");
    add_table({"", "JC", "FMI", "NMI", "ARI", "ACC"}, body);
  }

  void add_all_scores() {
    std::vector<std::vector<std::string>> body;
    for (const Series& series : series_) {
      std::vector<std::string> row = {series.method, series.view,
                                      std::to_string(series.rows.size())};
      for (const NamedScore& score : kExternalScores) {
        row.push_back(text_of(spread_of(values(series, score.of))));
      }
      row.push_back(text_of(
          spread_of(values(series, [](const ResultRow& r) { return r.dbi; }))));
      row.push_back(fmt::format(
          "{:.1f}", spread_of(values(series, [](const ResultRow& r) {
                      return r.seconds;
                    })).mean));
      row.push_back(rows_[series.rows.front()].key.settings);
      body.push_back(std::move(row));
    }
    heading("All scores", "Seconds are the mean of a run.");
    add_table({"method", "view", "runs", "JC", "FMI", "NMI", "ARI", "ACC",
               "DBI", "seconds", "settings"},
              body);
  }

  Result<void> add_curves() {
    std::string figures;
    for (const Series& series : series_) {
      SHOAL_TRY(detail, results_.detail(positions_[series.rows.front()]));
      if (detail.curve.size() < 2) continue;
      figures += curve_figure(series, detail.curve);
    }
    if (figures.empty()) return ok();
    heading("Score by iteration",
            "NMI (dark) and the share of confirmed images (light), first "
            "seed.");
    html_ += "<div class=\"pairs\">" + figures + "</div>\n";
    return ok();
  }

  static std::string curve_figure(const Series& series,
                                  const std::vector<CurvePoint>& curve) {
    constexpr double kWidth = 340;
    constexpr double kHeight = 160;
    constexpr double kEdge = 10;
    const auto line = [&](auto value, std::string_view stroke) {
      std::string points;
      for (std::size_t i = 0; i < curve.size(); ++i) {
        const double x = kEdge + (kWidth - 2 * kEdge) * static_cast<double>(i) /
                                     static_cast<double>(curve.size() - 1);
        const double y =
            kHeight - kEdge - (kHeight - 2 * kEdge) * value(curve[i]);
        points += fmt::format("{:.1f},{:.1f} ", x, y);
      }
      return fmt::format(
          "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" "
          "points=\"{}\"/>",
          stroke, points);
    };
    return fmt::format(
        "<figure><svg viewBox=\"0 0 {} {}\" role=\"img\">{}{}</svg>"
        "<figcaption>{} on {}: {:.3f} to {:.3f} in {} steps</figcaption>"
        "</figure>\n",
        kWidth, kHeight,
        line([](const CurvePoint& p) { return p.confirmed; }, "#c3ced8"),
        line([](const CurvePoint& p) { return p.nmi; }, "#17507a"),
        escaped(series.method), escaped(series.view), curve.front().nmi,
        curve.back().nmi, curve.size());
  }

  Result<void> add_maps() {
    std::string figures;
    for (const Series& series : series_) {
      SHOAL_TRY(detail, results_.detail(positions_[series.rows.front()]));
      if (detail.map.rows() == 0) continue;
      figures += map_figure(series, detail);
    }
    if (figures.empty()) return ok();
    heading("Maps",
            "t-SNE of the representation in which each method's labels were "
            "made, first seed.");
    html_ += figures;
    return ok();
  }

  /// One map twice: coloured by class and by cluster.
  [[nodiscard]] std::string map_figure(const Series& series,
                                       const RunDetail& detail) const {
    nlohmann::json x = nlohmann::json::array();
    nlohmann::json y = nlohmann::json::array();
    nlohmann::json classes = nlohmann::json::array();
    nlohmann::json clusters = nlohmann::json::array();
    for (std::size_t i = 0; i < detail.map_rows.size(); ++i) {
      const auto row = static_cast<Eigen::Index>(i);
      x.push_back(std::lround(detail.map(row, 0) * kMapSteps));
      y.push_back(std::lround(detail.map(row, 1) * kMapSteps));
      classes.push_back(data_.truth[detail.map_rows[i]]);
      clusters.push_back(detail.labels[detail.map_rows[i]]);
    }
    const nlohmann::json map = {{"x", std::move(x)},
                                {"y", std::move(y)},
                                {"class", std::move(classes)},
                                {"cluster", std::move(clusters)}};
    const std::string name =
        escaped(series.method) + " on " + escaped(series.view);
    return fmt::format(
        "<div class=\"pair\" data-map=\"{}\">\n"
        "<figure><canvas width=\"680\" height=\"680\" data-by=\"class\">"
        "</canvas><figcaption>{}, by class</figcaption></figure>\n"
        "<figure><canvas width=\"680\" height=\"680\" data-by=\"cluster\">"
        "</canvas><figcaption>{}, by cluster</figcaption></figure></div>\n",
        escaped(map.dump()), name, name);
  }

  /// Contact sheets of the run with the highest NMI.
  Result<void> add_sheets() {
    if (rows_.empty() || !data_.thumbnail) return ok();
    std::size_t best = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i].nmi > rows_[best].nmi) best = i;
    }
    SHOAL_TRY(detail, results_.detail(positions_[best]));
    std::map<int, std::vector<std::size_t>> clusters;
    for (std::size_t row = 0; row < detail.labels.size(); ++row) {
      clusters[detail.labels[row]].push_back(row);
    }
    heading("Contact sheets",
            fmt::format("Clusters of the best run: {} on {}, seed {}, NMI "
                        "{:.3f}. Images are spread evenly over each cluster.",
                        escaped(rows_[best].key.method),
                        escaped(rows_[best].key.view), rows_[best].key.seed,
                        rows_[best].nmi));
    for (const auto& [label, members] : clusters) add_sheet(label, members);
    return ok();
  }

  void add_sheet(int label, const std::vector<std::size_t>& members) {
    constexpr std::size_t kThumbnails = 14;
    constexpr int kQuality = 70;
    std::map<int, std::size_t> counts;
    for (const std::size_t row : members) ++counts[data_.truth[row]];
    const auto most = std::max_element(
        counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    html_ += fmt::format(
        "<div class=\"sheet\"><b>cluster {}: {} images, {} % {}</b>", label,
        members.size(), 100 * most->second / members.size(),
        escaped(data_.classes[static_cast<std::size_t>(most->first)]));
    const std::size_t shown = std::min(kThumbnails, members.size());
    for (std::size_t i = 0; i < shown; ++i) {
      const auto image = data_.thumbnail(members[i * members.size() / shown]);
      if (!image) continue;
      const auto jpeg = encode_jpeg(image.value(), kQuality);
      if (!jpeg) continue;
      html_ += "<img alt=\"\" src=\"data:image/jpeg;base64," +
               base64(jpeg.value()) + "\">";
    }
    html_ += "</div>\n";
  }

  const ResultFolder& results_;
  const ReportData& data_;
  std::vector<std::size_t> positions_;  ///< of rows_ in the folder
  std::vector<ResultRow> rows_;
  std::vector<Series> series_;
  std::string html_;
};

}  // namespace

Result<void> write_report(const std::filesystem::path& file,
                          const ResultFolder& results, const ReportData& data) {
  SHOAL_TRY(html, Report(results, data).html());
  return write_file_atomically(file, html);
}

}  // namespace shoal::eval
