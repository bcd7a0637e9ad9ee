#include "daemon/metrics/metrics.h"

#include <algorithm>
#include <clocale>
#include <ctime>
#include <locale>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal {
namespace {

using testing::HasSubstr;
using testing::Not;

// The value on the line that starts with `series` and a space.
double value_of(const std::string& text, const std::string& series) {
  const std::size_t at = ("\n" + text).find("\n" + series + " ");
  if (at == std::string::npos) return -1;
  std::istringstream line(text.substr(at + series.size() + 1));
  line.imbue(std::locale::classic());
  double value = -1;
  line >> value;
  return value;
}

TEST(Metrics, RendersEveryNamedMetricFromTheStart) {
  Metrics metrics;
  const std::string text = metrics.render();
  for (const char* series :
       {"shoal_ingest_images_total{status=\"stored\"}",
        "shoal_rejected_total{code=\"bad_id\"}",
        "shoal_stage_queue_images{stage=\"decode\"}",
        "shoal_stage_seconds_count{stage=\"views\"}",
        "shoal_assign_seconds_count", "shoal_query_seconds_count{op=\"image\"}",
        "shoal_images{state=\"pending\"}", "shoal_clusters", "shoal_epoch",
        "shoal_refine_runs_total{status=\"published\"}",
        "shoal_events_dropped_total", "shoal_replies_dropped_total",
        "shoal_batch_retries_total"}) {
    EXPECT_EQ(value_of(text, series), 0) << series;
  }
  EXPECT_THAT(text, HasSubstr("# TYPE shoal_assign_seconds histogram"));
  EXPECT_THAT(text, HasSubstr("# HELP shoal_images Images in the store."));
}

TEST(Metrics, ShowsWhatWasCounted) {
  Metrics metrics;
  metrics.ingest_images["stored"].Increment(3);
  metrics.images["assigned"].Set(7);
  observe(metrics.assign_seconds, std::chrono::milliseconds(3));
  const std::string text = metrics.render();
  EXPECT_EQ(value_of(text, "shoal_ingest_images_total{status=\"stored\"}"), 3);
  EXPECT_EQ(value_of(text, "shoal_images{state=\"assigned\"}"), 7);
  EXPECT_EQ(value_of(text, "shoal_assign_seconds_bucket{le=\"0.002\"}"), 0);
  EXPECT_EQ(value_of(text, "shoal_assign_seconds_bucket{le=\"0.005\"}"), 1);
  EXPECT_EQ(value_of(text, "shoal_assign_seconds_sum"), 0.003);
}

TEST(Metrics, UnknownLabelValuesCountAsOtherAndAddNoSeries) {
  Metrics metrics;
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  const auto before = lines(metrics.render());
  for (int i = 0; i < 100; ++i) {
    metrics.rejected["made up " + std::to_string(i)].Increment();
    metrics.query_seconds["\"} evil"].Observe(1);
  }
  const std::string text = metrics.render();
  EXPECT_EQ(lines(text), before);
  EXPECT_EQ(value_of(text, "shoal_rejected_total{code=\"other\"}"), 100);
  EXPECT_EQ(value_of(text, "shoal_query_seconds_count{op=\"other\"}"), 100);
}

TEST(Metrics, TellsAboutTheProcess) {
  Metrics metrics;
  const std::string text = metrics.render();
  EXPECT_GT(value_of(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GE(value_of(text, "process_threads"), 1);
  EXPECT_GE(value_of(text, "process_open_fds"), 3);
  EXPECT_GE(value_of(text, "process_cpu_seconds_total"), 0);
  // proc(5)'s start time is relative to a boot time in whole seconds.
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_NEAR(value_of(text, "process_start_time_seconds"), now, 900);
}

TEST(Metrics, FiguresOfTheStoreAreGaugesAndBounded) {
  Metrics metrics;
  metrics.set_store_figures({{"cache_bytes", 12.5}, {"level-0 files", 3}});
  metrics.set_store_figures({{"cache_bytes", 13}});
  const std::string text = metrics.render();
  EXPECT_EQ(value_of(text, "shoal_store_cache_bytes"), 13);
  EXPECT_EQ(value_of(text, "shoal_store_level_0_files"), 3);
  std::map<std::string, double> many;
  for (int i = 0; i < 1000; ++i) many["figure" + std::to_string(i)] = i;
  metrics.set_store_figures(many);
  const std::string bounded = metrics.render();
  std::size_t series = 0;
  for (std::size_t at = bounded.find("\nshoal_store_"); at != std::string::npos;
       at = bounded.find("\nshoal_store_", at + 1)) {
    ++series;
  }
  EXPECT_EQ(series, Metrics::kMaxStoreFigures);
}

TEST(Metrics, NumbersDoNotDependOnTheLocale) {
  struct German : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  Metrics metrics;
  metrics.ingest_bytes.Increment(1234567.5);
  const std::locale saved =
      std::locale::global(std::locale(std::locale(), new German));
  // The C library's locale as well, where the system has a German one.
  const std::string c_locale = std::setlocale(LC_ALL, nullptr);
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  const std::string text = metrics.render();
  std::setlocale(LC_ALL, c_locale.c_str());
  std::locale::global(saved);
  EXPECT_THAT(text, HasSubstr("shoal_ingest_bytes_total 1234567.5\n"));
  EXPECT_THAT(text, HasSubstr("{le=\"0.002\"}"));
  EXPECT_THAT(text, Not(HasSubstr(",5\n")));
}

TEST(Metrics, MayBeUsedFromManyThreads) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics, t] {
      for (int i = 0; i < 200; ++i) {
        metrics.ingest_images["stored"].Increment();
        metrics.stage_seconds["views"].Observe(0.1);
        metrics.set_store_figures({{"f" + std::to_string(t), i}});
        if (i % 50 == 0) {
          EXPECT_FALSE(metrics.render().empty());
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(value_of(metrics.render(),
                     "shoal_ingest_images_total{status=\"stored\"}"),
            800);
}

}  // namespace
}  // namespace shoal
