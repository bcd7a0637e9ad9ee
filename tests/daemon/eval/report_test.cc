#include "daemon/eval/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "daemon/eval/experiment.h"
#include "tests/daemon/eval/clear_clusters.h"

namespace shoal::eval {
namespace {

using testing::HasSubstr;
using testing::Not;

ImageResult<Image> grey_image(std::size_t) {
  return Image{8, 8, std::vector<std::uint8_t>(8 * 8 * 3, 128)};
}

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    report_.dataset = "clouds";
    report_.classes = {"first", "a <b> & \"c\"", "third", "fourth"};
    report_.truth = data_.truth;
    report_.cluster_count = "K = 4 was asked for.";
    report_.thumbnail = grey_image;
  }
  void cluster(const std::vector<std::string>& methods, int seeds) {
    ExperimentOptions options;
    options.methods = methods;
    options.seeds = seeds;
    options.map_rows = 40;
    MethodOptions method_options = test::small_methods();
    method_options.transfer.net = &data_.views[1];
    const auto failed =
        run_experiment(data_, method_options, options, results_);
    ASSERT_TRUE(failed) << failed.error().message;
    ASSERT_EQ(failed.value(), 0U);
  }
  [[nodiscard]] std::string html() const {
    const auto file = folder_.path() / "report.html";
    const auto written = write_report(file, results_, report_);
    EXPECT_TRUE(written) << written.error().message;
    return read_file(file, 1 << 30).value();
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-report").value();
  ResultFolder results_ = ResultFolder::open(folder_.path() / "out").value();
  ExperimentData data_ = test::clear_clusters(20);
  ReportData report_;
};

TEST_F(ReportTest, HasEveryPart) {
  cluster({"km", "jule", "tl-km", "mvec-km", "dmvc-fix-jule", "dmvc"}, 2);
  const std::string page = html();
  for (const char* part :
       {"<h2>Views and their combinations</h2>",
        "<h2>k-means on each representation</h2>",
        "<h2>Transfer learning from each boot feature</h2>",
        "<h2>Dependence on the boot features (eta)</h2>", "<h2>All scores</h2>",
        "<h2>Score by iteration</h2>", "<polyline", "<h2>Maps</h2>",
        "data-by=\"class\"", "data-by=\"cluster\"", "<h2>Contact sheets</h2>",
        "data:image/jpeg;base64,/9j/", "K = 4 was asked for.", "</html>"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, HasSubstr("<tr><td>MVEC</td><td></td><td></td>"
                              "<td>1.000 ± 0.000</td>"));
  EXPECT_THAT(page, HasSubstr("<td>km + transfer</td>"));
  EXPECT_THAT(page, HasSubstr("dmvc on all, by cluster"));
}

TEST_F(ReportTest, NeedsNoOtherFile) {
  cluster({"km"}, 1);
  const std::string page = html();
  for (const char* outside : {"src=\"http", "<link", "@import", "url("}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST_F(ReportTest, NamesAreTextAndNotMarkup) {
  cluster({"km"}, 1);
  const std::string page = html();
  EXPECT_THAT(page, HasSubstr("a &lt;b&gt; &amp; &quot;c&quot;"));
  EXPECT_THAT(page, Not(HasSubstr("a <b>")));
}

TEST_F(ReportTest, LeavesOutWhatWasNotRun) {
  cluster({"km"}, 1);
  const std::string page = html();
  EXPECT_THAT(page, Not(HasSubstr("Transfer learning")));
  EXPECT_THAT(page, Not(HasSubstr("(eta)")));
  EXPECT_THAT(page, Not(HasSubstr("Score by iteration")));
}

TEST_F(ReportTest, AThumbnailThatFailsLeavesItsPlaceEmpty) {
  cluster({"km"}, 1);
  report_.thumbnail = [](std::size_t) -> ImageResult<Image> {
    return ImageError{ImageProblem::kBroken, "gone"};
  };
  const std::string page = html();
  EXPECT_THAT(page, HasSubstr("cluster 0: 20 images"));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
}

TEST_F(ReportTest, ShowsItsDatasetAlone) {
  cluster({"km"}, 1);
  report_.dataset = "others";
  EXPECT_THAT(html(), Not(HasSubstr("<td>km</td>")));
}

}  // namespace
}  // namespace shoal::eval
