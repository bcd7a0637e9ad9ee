#include "daemon/eval/results.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "tests/daemon/eval/dataset_files.h"

namespace shoal::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ResultRow row_of(const std::string& method, std::uint64_t seed) {
  ResultRow row;
  row.key = {"set", method, "hog", seed, 40, 4, "a=1", "0123456789abcdef"};
  row.nmi = 0.1 + 0.2 * static_cast<double>(seed);
  row.nmi_arithmetic = 0.2;
  row.acc = 0.3;
  row.ari = -0.25;
  row.jc = 0.5;
  row.fmi = 0.6;
  row.dbi = 1.5;
  row.seconds = 2.5;
  row.peak_mib = 100;
  return row;
}

RunDetail detail_of(int first_label) {
  RunDetail detail;
  detail.labels = {first_label, 1, 2};
  detail.curve = {{0, 0.5, 0.25, 0}, {1, 0.75, 0.5, 0.2}};
  detail.map = Matrix(2, 2);
  detail.map << 1, 2, -3.5, 4;
  detail.map_rows = {0, 2};
  return detail;
}

class ResultFolderTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path out() const {
    return folder_.path() / "a" / "b";
  }
  [[nodiscard]] ResultFolder open() const {
    auto results = ResultFolder::open(out());
    EXPECT_TRUE(results) << results.error().message;
    return std::move(results).value();
  }
  /// Of opening the folder with `text` as its results.json.
  [[nodiscard]] Error error_with(const std::string& text) const {
    test::put_file(out() / "results.json", text);
    const auto results = ResultFolder::open(out());
    EXPECT_FALSE(results) << text;
    return results ? Error{} : results.error();
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-results").value();
};

TEST_F(ResultFolderTest, GivesBackWhatItWasGiven) {
  ResultRow second = row_of("tl-km", 1);
  second.dbi = std::nan("");
  second.dbi_ratio = 0.75;
  second.km_nmi = 0.875;
  {
    ResultFolder results = open();
    EXPECT_TRUE(results.rows().empty());
    ASSERT_TRUE(results.add(row_of("km", 0), detail_of(7)));
    ASSERT_TRUE(results.add(second, detail_of(8)));
  }
  const ResultFolder results = open();
  ASSERT_EQ(results.rows().size(), 2U);
  const ResultRow& first = results.rows()[0];
  EXPECT_TRUE(first.key == row_of("km", 0).key);
  EXPECT_EQ(first.nmi, 0.1);
  EXPECT_EQ(first.nmi_arithmetic, 0.2);
  EXPECT_EQ(first.acc, 0.3);
  EXPECT_EQ(first.ari, -0.25);
  EXPECT_EQ(first.jc, 0.5);
  EXPECT_EQ(first.fmi, 0.6);
  EXPECT_EQ(first.dbi, 1.5);
  EXPECT_EQ(first.seconds, 2.5);
  EXPECT_EQ(first.peak_mib, 100);
  EXPECT_FALSE(first.dbi_ratio);
  EXPECT_FALSE(first.km_nmi);
  EXPECT_TRUE(std::isnan(results.rows()[1].dbi));
  EXPECT_EQ(results.rows()[1].dbi_ratio, 0.75);
  EXPECT_EQ(results.rows()[1].km_nmi, 0.875);
  const RunDetail detail = results.detail(1).value();
  EXPECT_THAT(detail.labels, ElementsAre(8, 1, 2));
  ASSERT_EQ(detail.curve.size(), 2U);
  EXPECT_EQ(detail.curve[1].iteration, 1);
  EXPECT_EQ(detail.curve[1].nmi, 0.75);
  EXPECT_EQ(detail.curve[1].acc, 0.5);
  EXPECT_EQ(detail.curve[1].confirmed, 0.2);
  EXPECT_EQ(detail.map, detail_of(8).map);
  EXPECT_THAT(detail.map_rows, ElementsAre(0, 2));
}

TEST_F(ResultFolderTest, TheFileIsAListWithTheFixedNames) {
  {
    ResultFolder results = open();
    ASSERT_TRUE(results.add(row_of("km", 3), detail_of(0)));
  }
  const auto list =
      nlohmann::json::parse(read_file(out() / "results.json", 1 << 20).value());
  ASSERT_TRUE(list.is_array());
  for (const char* name :
       {"dataset", "method", "view", "seed", "n", "k", "nmi", "nmi_arithmetic",
        "acc", "ari", "jc", "fmi", "dbi", "dbi_ratio", "seconds", "peak_mib"}) {
    EXPECT_TRUE(list[0].contains(name)) << name;
  }
  EXPECT_EQ(list[0]["seed"], 3);
  EXPECT_EQ(list[0]["n"], 40);
}

TEST_F(ResultFolderTest, AnyPartOfTheKeyMakesAnotherRun) {
  ResultFolder results = open();
  const RunKey key = row_of("km", 0).key;
  ASSERT_TRUE(results.add(row_of("km", 0), detail_of(0)));
  EXPECT_TRUE(results.has(key));
  std::vector<RunKey> others(8, key);
  others[0].dataset = "other";
  others[1].method = "ac";
  others[2].view = "rp";
  others[3].seed = 1;
  others[4].n = 41;
  others[5].k = 5;
  others[6].settings = "a=2";
  others[7].input = "fedcba9876543210";
  for (std::size_t i = 0; i < others.size(); ++i) {
    EXPECT_FALSE(results.has(others[i])) << i;
  }
}

TEST_F(ResultFolderTest, AFileThatIsNoListOfResultsIsNamedAndKept) {
  for (const char* text : {"", "[{", "{}", "{\"a\": {}}", "[1]", "[{}]",
                           "[{\"dataset\": 3}]", "\"rows\""}) {
    const Error error = error_with(text);
    EXPECT_EQ(error.code, ErrorCode::kCorruption) << text;
    EXPECT_THAT(error.message, HasSubstr("results.json")) << text;
    EXPECT_THAT(error.message, HasSubstr("move it away")) << text;
    EXPECT_EQ(read_file(out() / "results.json", 1 << 20).value(), text);
  }
}

TEST_F(ResultFolderTest, ADetailThatIsBrokenOrAbsentIsNamed) {
  ResultFolder results = open();
  ASSERT_TRUE(results.add(row_of("km", 0), detail_of(0)));
  EXPECT_EQ(results.detail(1).error().code, ErrorCode::kNotFound);
  test::put_file(out() / "runs" / "0.json", "{\"labels\": [0]}");
  const auto detail = results.detail(0);
  ASSERT_FALSE(detail);
  EXPECT_EQ(detail.error().code, ErrorCode::kCorruption);
  EXPECT_THAT(detail.error().message, HasSubstr("0.json"));
}

TEST_F(ResultFolderTest, HasOneOwner) {
  {
    const ResultFolder results = open();
    const auto second = ResultFolder::open(out());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_THAT(second.error().message, HasSubstr("--out"));
  }
  EXPECT_TRUE(ResultFolder::open(out()));
}

TEST_F(ResultFolderTest, AFileInTheFoldersPlaceIsAnError) {
  test::put_file(out(), "text");
  const auto results = ResultFolder::open(out());
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, ErrorCode::kIo);
}

TEST(Spread, IsMeanAndSampleDeviationOfTheNumbers) {
  const Spread spread = spread_of({1, std::nan(""), 2, 6});
  EXPECT_EQ(spread.count, 3U);
  EXPECT_DOUBLE_EQ(spread.mean, 3);
  EXPECT_DOUBLE_EQ(spread.deviation, std::sqrt(7.0));
  EXPECT_EQ(spread_of({4}).deviation, 0);
  EXPECT_EQ(spread_of({}).count, 0U);
}

TEST(TextTable, HasALineForWhatDiffersInMoreThanTheSeed) {
  std::vector<ResultRow> rows = {row_of("km", 0), row_of("km", 1),
                                 row_of("ac", 0)};
  rows[2].dbi = std::nan("");
  const std::string table = text_table(rows);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 3);
  EXPECT_THAT(table, HasSubstr("0.200 +- 0.141"));
  EXPECT_THAT(table, HasSubstr("a=1"));
  EXPECT_THAT(table, Not(HasSubstr("nan")));
  rows[1].key.k = 5;
  EXPECT_EQ(group_rows(rows).size(), 3U);
}

}  // namespace
}  // namespace shoal::eval
