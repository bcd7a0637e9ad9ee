#include "daemon/refine/staging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/daemon/book/toy_world.h"

namespace shoal {
namespace {

using testing::IsEmpty;

/// A run over three kinds of images, learned and not yet staged.
class StagingTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.add_kinds(3, 200);  // more than one piece of rows
    run_ = world_.book().begin_run("km", "test").value();
    candidate_ = world_.learn(3, &seqs_);
    control_.check = [] { return ok(); };
    control_.progress = [this](double share) { told_.push_back(share); };
  }
  Result<void> stage() {
    return stage_candidate(on_book_, run_, candidate_, seqs_, control_);
  }
  [[nodiscard]] std::size_t moves() const {
    std::size_t moves = 0;
    for (const Event& event : world_.events) {
      if (event.topic == "image.moved") ++moves;
    }
    return moves;
  }

  test::ToyWorld world_;
  EpochId run_;
  std::vector<ImageSeq> seqs_;
  Candidate candidate_;
  StagingControl control_;
  std::vector<double> told_;
  OnBook on_book_ = [this](const BookStep& step) {
    return step(world_.book());
  };
};

TEST_F(StagingTest, WhatARunFoundBecomesCurrent) {
  // One arrives between two pieces: the run does not know it.
  control_.check = [&, first = true]() mutable -> Result<void> {
    if (first) world_.add("late", 1);
    first = false;
    return ok();
  };
  ASSERT_TRUE(stage());
  ASSERT_TRUE(catch_up_and_flip(on_book_, true, ""));
  ASSERT_TRUE(settle_after_flip(on_book_));
  EXPECT_EQ(world_.store().current_epoch().value(), run_);
  ASSERT_GT(told_.size(), 1U);
  EXPECT_EQ(told_.back(), 1);
  EXPECT_EQ(moves(), 601U);
  const auto labels = world_.labels();
  EXPECT_EQ(labels.size(), 601U);
  std::map<int, std::set<ClusterId>> clusters;
  for (const auto& [name, label] : labels) {
    EXPECT_TRUE(label.cluster.valid()) << name;
    clusters[world_.kinds.at(name)].insert(label.cluster);
  }
  for (const auto& [kind, ids] : clusters) EXPECT_EQ(ids.size(), 1U) << kind;
  EXPECT_THAT(world_.violations(), IsEmpty());
}

TEST_F(StagingTest, OneThatIsHeldChangesNothing) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(catch_up_and_flip(on_book_, false, "to be looked at"));
  EXPECT_FALSE(world_.store().current_epoch().value().valid());
  const EpochRecord record = world_.store().epoch(run_).value();
  EXPECT_EQ(record.status, EpochStatus::kHeld);
  EXPECT_EQ(record.reason, "to be looked at");
  EXPECT_THAT(world_.violations(), IsEmpty());
}

TEST_F(StagingTest, ACheckThatFailsEndsIt) {
  control_.check = [this]() -> Result<void> {
    if (told_.empty()) return ok();
    return Error{ErrorCode::kCancelled, "enough"};
  };
  const auto staged = stage();
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(told_.size(), 1U);
  ASSERT_TRUE(
      world_.book().end_run(run_, EpochStatus::kFailed, "enough").has_value());
  EXPECT_FALSE(world_.store().current_epoch().value().valid());
  EXPECT_THAT(world_.violations(), IsEmpty());
}

TEST_F(StagingTest, SettlingGoesOnWhereAnErrorStoppedIt) {
  ASSERT_TRUE(stage());
  ASSERT_TRUE(catch_up_and_flip(on_book_, true, ""));
  const OnBook fails_at_second =
      [&, steps = 0](const BookStep& step) mutable -> Result<void> {
    if (++steps == 2) return storage_full("no room");
    return step(world_.book());
  };
  const auto settled = settle_after_flip(fails_at_second);
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().code, ErrorCode::kStorageFull);
  EXPECT_GT(moves(), 0U);
  EXPECT_LT(moves(), 600U);
  ASSERT_TRUE(settle_after_flip(on_book_));
  EXPECT_EQ(moves(), 600U);
}

}  // namespace
}  // namespace shoal
