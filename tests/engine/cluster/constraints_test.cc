#include "engine/cluster/constraints.h"

#include <string>

#include <gtest/gtest.h>

namespace shoal {
namespace {

ClusterConstraints two_groups() { return {{0, -1, 1, 0, -1}, 2, {{1, 0}}}; }

/// The message of the refusal, or "accepted".
std::string refusal(const ClusterConstraints& constraints, int clusters = 3) {
  const auto checked = check_constraints(constraints, 5, clusters);
  if (checked) return "accepted";
  EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
  return checked.error().message;
}

TEST(Constraints, AcceptsWhatCanBeKept) {
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal(two_groups()), "accepted");
  EXPECT_EQ(refusal(two_groups(), 2), "accepted");
  ClusterConstraints everywhere = two_groups();
  // A third cluster is left for row 1, and row 0 is in its group anyway.
  everywhere.forbidden = {{1, 0}, {1, 1}, {1, 1}, {0, 1}};
  EXPECT_EQ(refusal(everywhere), "accepted");
}

TEST(Constraints, NamesWhatIsWrongWithTheGroups) {
  ClusterConstraints wrong = two_groups();
  wrong.must_link.pop_back();
  EXPECT_NE(refusal(wrong).find("4 groups of rows for 5"), std::string::npos);
  wrong = two_groups();
  wrong.must_link[4] = 2;
  EXPECT_NE(refusal(wrong).find("row 4 is in group 2"), std::string::npos);
  wrong.must_link[4] = -2;
  EXPECT_NE(refusal(wrong).find("row 4 is in group -2"), std::string::npos);
  wrong = two_groups();
  wrong.groups = 3;
  EXPECT_NE(refusal(wrong).find("group 2 has no rows"), std::string::npos);
  wrong.must_link.clear();
  EXPECT_NE(refusal(wrong).find("group 0 has no rows"), std::string::npos);
  EXPECT_NE(refusal(two_groups(), 1).find("2 groups for 1 clusters"),
            std::string::npos);
  wrong = {};
  wrong.groups = -1;
  EXPECT_NE(refusal(wrong).find("-1 groups"), std::string::npos);
}

TEST(Constraints, NamesWhatIsWrongWithTheForbiddenPairs) {
  ClusterConstraints wrong = two_groups();
  wrong.forbidden = {{3, 0}};
  EXPECT_NE(refusal(wrong).find("own group 0"), std::string::npos);
  for (const auto& pair :
       {std::pair(5, 0), std::pair(-1, 0), std::pair(1, 2), std::pair(1, -1)}) {
    wrong.forbidden = {pair};
    EXPECT_NE(refusal(wrong).find("out of range"), std::string::npos);
  }
  wrong.forbidden = {{4, 1}, {1, 0}, {4, 0}};
  EXPECT_NE(refusal(wrong, 2).find("row 4 is forbidden in every cluster"),
            std::string::npos);
}

}  // namespace
}  // namespace shoal
