#include "config/config.h"

#include <locale>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> problems_of(
    std::string_view text, const std::vector<std::string>& overrides = {}) {
  const auto result = parse_config(text, "test.toml", overrides);
  std::vector<std::string> lines;
  if (!result.has_value()) {
    for (const ConfigProblem& problem : result.error()) {
      lines.push_back(problem.place + ": " + problem.message);
    }
  }
  return lines;
}

std::string source_file(const char* name) {
  return read_file(std::filesystem::path(SHOAL_SOURCE_DIR) / name, 1 << 20)
      .value();
}

TEST(Config, EmptyTextGivesTheDefaults) {
  const Config config = parse_config("", "test.toml").value();
  EXPECT_TRUE(config == default_config());
  EXPECT_EQ(config.daemon.data_dir, "/var/lib/shoal");
  EXPECT_EQ(config.network.port_base, 7301);
  EXPECT_EQ(config.ingest.group_max_delay, milliseconds(2));
  EXPECT_EQ(config.store.cache_bytes, 256U << 20);
  EXPECT_EQ(config.refine.clusters, 0);
  EXPECT_EQ(config.refine.novelty_quantile, 0.99);
  EXPECT_TRUE(config.views.use.empty());
}

TEST(Config, ReadsEveryTypeOfField) {
  const Config config = parse_config(R"(
[daemon]
journald = "on"
[ingest]
queue_bytes = 67108864
group_max_bytes = "8MiB"
group_max_delay = "5ms"
[views]
use = ["hog", "color"]
[refine]
clusters = 20
novelty_slack = 2
[http]
enabled = false
)",
                                     "test.toml")
                            .value();
  EXPECT_EQ(config.daemon.journald, Toggle::kOn);
  EXPECT_EQ(config.ingest.queue_bytes, 64U << 20);
  EXPECT_EQ(config.ingest.group_max_bytes, 8U << 20);
  EXPECT_EQ(config.ingest.group_max_delay, milliseconds(5));
  EXPECT_THAT(config.views.use, ElementsAre("hog", "color"));
  EXPECT_EQ(config.refine.clusters, 20);
  EXPECT_EQ(config.refine.novelty_slack, 2.0);
  EXPECT_FALSE(config.http.enabled);
}

TEST(Config, OverridesWinOverTheFileAndTheLastOneWins) {
  const Config config =
      parse_config("[refine]\nclusters = 5\n", "test.toml",
                   {"refine.clusters=7", "refine.clusters=auto",
                    "views.use=hog,gabor", "daemon.data_dir=/tmp/a=b",
                    "store.cache_bytes=1GiB", "refine.novelty_quantile=0.5",
                    "http.enabled=false", "http.timeout=250ms"})
          .value();
  EXPECT_EQ(config.refine.clusters, 0);
  EXPECT_THAT(config.views.use, ElementsAre("hog", "gabor"));
  EXPECT_EQ(config.daemon.data_dir, "/tmp/a=b");
  EXPECT_EQ(config.store.cache_bytes, 1U << 30);
  EXPECT_EQ(config.refine.novelty_quantile, 0.5);
  EXPECT_FALSE(config.http.enabled);
  EXPECT_EQ(config.http.timeout, milliseconds(250));
}

TEST(Config, ReportsAllProblemsAtOnceWithPlaceRangeAndNearestKey) {
  EXPECT_THAT(
      problems_of("[network]\n"
                  "port_base = 70000\n"
                  "max_conections = 5\n"
                  "[ingest]\n"
                  "queue_images = \"many\"\n"
                  "group_max_delay = 5\n"
                  "[quary]\n"
                  "threads = 1\n",
                  {"refine.clusters=0", "nonsense", "views.device=gpu",
                   "views.precision=half"}),
      testing::UnorderedElementsAre(
          "test.toml:2: network.port_base: is out of range; allowed is 1 to "
          "65532",
          "test.toml:3: network.max_conections: no such key; did you mean "
          "network.max_connections?",
          "test.toml:5: ingest.queue_images: expects an integer, found a "
          "string",
          "test.toml:6: ingest.group_max_delay: expects a duration like "
          "\"250ms\" or \"5s\", found an integer",
          "test.toml:7: [quary]: no such section; did you mean [query]?",
          "--set refine.clusters=0: refine.clusters: is out of range; allowed "
          "is 1 to 100000 clusters or \"auto\"",
          "--set nonsense: is not of the form section.key=value",
          "--set views.device=gpu: views.device: 'gpu' is not auto, cpu or "
          "cuda:N",
          "--set views.precision=half: views.precision: 'half' is not auto, "
          "fp32, bf16 or fp16"));
}

TEST(Config, SeveralDevicesAreNamedOnceEach) {
  EXPECT_THAT(problems_of("[views]\ndevice = \"cuda:0,cuda:1\"\n"), IsEmpty());
  for (const auto& [device, problem] :
       std::map<std::string, std::string>{{"cuda:0,cpu", "'cpu' is not"},
                                          {"cuda:0,", "'' is not"},
                                          {"cuda:1,cuda:1", "named twice"},
                                          {"cuda:x", "'cuda:x' is not"}}) {
    EXPECT_THAT(problems_of("[views]\ndevice = \"" + device + "\"\n"),
                ElementsAre(HasSubstr(problem)))
        << device;
  }
}

TEST(Config, AKeyInTheWrongSectionIsSentToTheRightOne) {
  EXPECT_THAT(problems_of("[store]\nqueue_images = 5\n"),
              ElementsAre(HasSubstr("did you mean ingest.queue_images?")));
}

TEST(Config, TextThatIsNotTomlIsReportedWithItsLine) {
  EXPECT_THAT(problems_of("[network]\nport_base = = 1\n"),
              ElementsAre(HasSubstr("test.toml:2: not valid TOML")));
}

TEST(Config, ValuesAndSectionsAreNotMixedUp) {
  EXPECT_THAT(
      problems_of("network = 5\n[views]\nuse = [1]\n[refine]\nseed = "
                  "1979-05-27\n[query]\nthreads = {a = 1}\n"),
      testing::UnorderedElementsAre(
          "test.toml:1: [network]: is a section, not a value",
          "test.toml:3: views.use: must not be a table, a date or a mixed list",
          "test.toml:5: refine.seed: must not be a table, a date or a mixed "
          "list",
          "test.toml:7: query.threads: must not be a table, a date or a mixed "
          "list"));
}

TEST(Config, OnlyLoopbackAddressesAreTaken) {
  EXPECT_THAT(problems_of("", {"network.host=0.0.0.0"}),
              ElementsAre(HasSubstr("not a loopback address")));
  EXPECT_THAT(problems_of("", {"network.host=localhost"}),
              ElementsAre(HasSubstr("not an IPv4 address")));
  EXPECT_THAT(problems_of("", {"network.host=127.0.0.2"}), ElementsAre());
}

TEST(Config, FieldsThatContradictEachOtherAreReportedWhereTheyWereSet) {
  EXPECT_THAT(
      problems_of("[store]\nwrite_buffer_bytes = \"512MiB\"\n",
                  {"ingest.max_image_bytes=1GiB"}),
      ElementsAre("test.toml:2: store.write_buffer_bytes: must not be above "
                  "store.cache_bytes",
                  "--set ingest.max_image_bytes=1GiB: ingest.max_image_bytes: "
                  "must not be above network.max_message_bytes"));
}

TEST(Config, AMissingFileIsAProblem) {
  const auto result = load_config("/nonexistent/shoal.toml", {});
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(to_string(result.error()), HasSubstr("/nonexistent/shoal.toml"));
}

TEST(Config, WhatIsPrintedReadsBackTheSame) {
  const Config config =
      parse_config("", "",
                   {"refine.clusters=12", "views.use=a b,c\"d\\e",
                    "daemon.data_dir=/srv/Bäume \"x\"", "http.timeout=1500ms",
                    "refine.novelty_slack=0.30000000000000004",
                    "store.cache_bytes=123456789", "daemon.journald=off",
                    "ingest.min_free_disk_bytes=0"})
          .value();
  EXPECT_TRUE(parse_config(print_config(config), "printed").value() == config);
}

// std::locale::global reaches both C++ streams and, for a named locale, the C
// functions; the files are made and read with neither.
TEST(Config, NumbersDoNotDependOnTheLocale) {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::string before = print_config(default_config());
  const std::locale saved =
      std::locale::global(std::locale(std::locale(), new Comma));
  const std::string after = print_config(default_config());
  const auto read =
      parse_config(after, "printed", {"refine.novelty_slack=1.5"});
  std::locale::global(saved);
  EXPECT_EQ(before, after);
  EXPECT_EQ(read.value().refine.novelty_slack, 1.5);
  EXPECT_EQ(read.value().refine.novelty_quantile, 0.99);
}

TEST(Config, AReloadTakesOnlyWhatCanBeReloaded) {
  const Config running = default_config();
  const Config loaded =
      parse_config("", "", {"daemon.log_level=debug", "network.port_base=9000"})
          .value();
  const ConfigReload reload = reload_config(running, loaded);
  EXPECT_EQ(reload.config.daemon.log_level, "debug");
  EXPECT_EQ(reload.config.network.port_base, 7301);
  EXPECT_THAT(reload.need_restart, ElementsAre("network.port_base"));
}

// After a change of fields.cc: build the target update_config_files.
TEST(Config, TheShippedFileIsWhatTheCodePrints) {
  EXPECT_EQ(source_file("config/shoal.toml"), print_config(default_config()));
}

TEST(Config, TheReferenceInDocsIsWhatTheCodePrints) {
  EXPECT_EQ(source_file("docs/configuration.md"), config_reference());
}

// Either a Config or problems; what is taken must survive printing.
void expect_handled(std::string_view text) {
  const auto result = parse_config(text, "hostile");
  if (result.has_value()) {
    ASSERT_TRUE(parse_config(print_config(result.value()), "").value() ==
                result.value());
  } else {
    ASSERT_FALSE(to_string(result.error()).empty());
  }
}

TEST(Config, MutationsOfTheShippedFileAreTakenOrRefused) {
  const std::string shipped = source_file("config/shoal.toml");
  std::mt19937 random(20);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::vector<std::string> pieces = {
      "[",      "]",          "[[",      "]]",   "=",    "\"",
      "\"\"\"", "'",          ".",       "\n",   "#",    "{",
      "}",      ",",          "nan",     "-inf", "1e9",  "0x7f",
      "true",   "1979-05-27", "\\u0000", "\\",   "\xff", std::string(1, '\0')};
  for (int round = 0; round < 400; ++round) {
    std::string text = shipped;
    const std::size_t edits = 1 + pick(6);
    for (std::size_t i = 0; i < edits && !text.empty(); ++i) {
      const std::size_t at = pick(text.size());
      switch (pick(5)) {
        case 0:
          text[at] = static_cast<char>(pick(256));
          break;
        case 1:
          text.erase(at, 1 + pick(40));
          break;
        case 2:
          text.insert(at, pieces[pick(pieces.size())]);
          break;
        case 3:
          text.insert(at, text.substr(pick(text.size()), pick(200)));
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_handled(text)) << text;
  }
}

TEST(Config, DeeplyNestedTextIsRefused) {
  std::string dots = "a";
  for (int i = 0; i < 50'000; ++i) dots += ".a";
  std::string arrays = "x = " + std::string(100'000, '[');
  std::string tables = "x = ";
  for (int i = 0; i < 20'000; ++i) tables += "{a=";
  // Valid, and each line alone is allowed: the deepest that is parsed.
  std::string mixed = "x = ";
  for (int i = 0; i < 120; ++i) {
    std::string key = "a";
    for (int j = 0; j < 60; ++j) key += ".a";
    mixed += "[\n{" + key + " = ";
  }
  mixed += "1";
  for (int i = 0; i < 120; ++i) mixed += "}\n]";
  for (const std::string& text :
       {dots + " = 1", "[" + dots + "]", arrays, tables, mixed}) {
    EXPECT_FALSE(parse_config(text, "hostile").has_value());
  }
}

}  // namespace
}  // namespace shoal
