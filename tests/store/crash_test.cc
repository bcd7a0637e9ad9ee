#include <chrono>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "store/verify.h"
#include "tests/store/child_process.h"
#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

/// Lets up to 5 ms pass, so that kills hit every part of a write.
void spin_for(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

class CrashTest : public StoreFixture {};

TEST_F(CrashTest, NothingAcknowledgedIsLostOrDoubledByKills) {
  std::mt19937 random(7);
  std::set<std::string> acknowledged;
  for (int round = 0; round < 25; ++round) {
    store.reset();
    const std::string seed = std::to_string(round);
    {
      StoreChild child({"write", folder().string(), seed});
      const auto lines = 1 + random() % 120;
      for (unsigned i = 0; i < lines; ++i) {
        const std::string name = child.read_line();
        ASSERT_FALSE(name.empty()) << "the child ended by itself";
        acknowledged.insert(name);
      }
      spin_for(std::chrono::microseconds(random() % 5'000));
      child.kill();
      // What it had told before the kill is acknowledged as well.
      for (auto name = child.read_line(); !name.empty();
           name = child.read_line()) {
        acknowledged.insert(name);
      }
    }
    open();
    for (const std::string& name : acknowledged) {
      const auto seq = store->find(image_id(name)).value();
      ASSERT_TRUE(seq.has_value()) << name << " is lost in round " << round;
      const auto record = *store->images({*seq}).value()[0];
      const std::string bytes = store->image_bytes(*seq).value();
      ASSERT_EQ(sha256(bytes), record.digest) << name;
      ASSERT_EQ(bytes, make_image(name, bytes.size()).bytes) << name;
    }
  }
  // Nothing lost, nothing twice, each with its pending mark.
  const auto totals = store->ingest_totals().value();
  EXPECT_GE(totals.stored, acknowledged.size());
  EXPECT_EQ(totals.last_seq.value(), totals.stored);
  store.reset();
  const auto report = verify_store(folder()).value();
  EXPECT_TRUE(report.clean()) << report.violations.front();
  EXPECT_EQ(report.images, totals.stored);
  EXPECT_EQ(report.pending, totals.stored);
}

}  // namespace
}  // namespace shoal::test
