#include "daemon/eval/progress.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::eval {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TEST(Progress, WritesALineEveryTenSecondsWhereThereIsNoTerminal) {
  std::ostringstream out;
  const auto start = Progress::Clock::now();
  Progress progress(out, false, "hog", 100, start);
  progress.update(10, start + seconds(5));
  EXPECT_EQ(out.str(), "");
  progress.update(20, start + seconds(10));
  EXPECT_EQ(out.str(), "hog: 20/100  2 images/s, 40 s left\n");
  progress.update(100, start + seconds(11));
  EXPECT_EQ(out.str(),
            "hog: 20/100  2 images/s, 40 s left\n"
            "hog: 100/100  9 images/s, 11 s\n");
}

TEST(Progress, RedrawsABarOnATerminal) {
  std::ostringstream out;
  const auto start = Progress::Clock::now();
  Progress progress(out, true, "hog", 1000, start);
  progress.update(500, start + seconds(1000));
  EXPECT_THAT(out.str(), HasSubstr("\rhog [###############               ] "
                                   "500/1000  0 images/s, 16:40 min left"));
  progress.update(1000, start + seconds(8000));
  EXPECT_THAT(out.str(), HasSubstr("2:13 h"));
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(Progress, ShowsPercentOfWhatHasNoNumber) {
  std::ostringstream out;
  const auto start = Progress::Clock::now();
  Progress progress(out, false, "jule", 1000, start, ProgressUnit::kPercent);
  progress.update(250, start + seconds(10));
  EXPECT_EQ(out.str(), "jule:  25 %, 30 s left\n");
}

TEST(Progress, IsReplacedByItsLastLine) {
  std::ostringstream lines;
  std::ostringstream screen;
  const auto start = Progress::Clock::now();
  for (std::ostream* out : {&lines, &screen}) {
    Progress progress(*out, out == &screen, "hog", 100, start);
    progress.update(50, start + seconds(1));
    progress.close("hog: done");
  }
  EXPECT_EQ(lines.str(), "hog: done\n");
  EXPECT_THAT(screen.str(), testing::EndsWith("\r\x1b[Khog: done\n"));
}

}  // namespace
}  // namespace shoal::eval
