#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <sys/mount.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/verify.h"
#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

/// A file system of `megabytes` in memory, until the end of the scope.
class SmallDisk {
 public:
  explicit SmallDisk(int megabytes)
      : folder_(TemporaryFolder::create("shoal-small-disk").value()) {
    const std::string size = "size=" + std::to_string(megabytes) + "m";
    mounted_ =
        ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, size.c_str()) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::filesystem::path& path() const {
    return folder_.path();
  }

 private:
  TemporaryFolder folder_;
  bool mounted_ = false;
};

/// The store and what else is on the disk; fills it and makes room again.
class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!disk_.mounted()) {
      GTEST_SKIP() << "needs to mount a tmpfs: run as root";
    }
    std::ofstream(ballast(), std::ios::binary)
        << std::string(kBallastBytes, 'x');
    open();
  }
  [[nodiscard]] std::filesystem::path folder() const {
    return disk_.path() / "data";
  }
  [[nodiscard]] std::filesystem::path ballast() const {
    return disk_.path() / "ballast";
  }
  void open() {
    store_.reset();
    StoreOptions options;
    options.folder = folder();
    options.cache_bytes = 16ULL << 20;
    options.write_buffer_bytes = 4ULL << 20;
    store_ = open_rocksdb_store(options).value();
  }
  std::optional<Error> put_group() {
    std::vector<NewImage> images;
    for (int i = 0; i < 8; ++i) {
      images.push_back(make_image(std::to_string(next_ + i), 20'000));
    }
    const auto put = store_->put_images(images);
    if (!put.has_value()) return put.error();
    next_ += 8;
    return std::nullopt;
  }
  Error fill() {
    for (int group = 0; group < 2'000; ++group) {
      if (auto error = put_group()) return *error;
    }
    ADD_FAILURE() << "the disk never filled";
    return {};
  }
  /// Frees space and tries, as a client would, until an image is taken.
  void make_room() {
    std::filesystem::remove(ballast());
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (auto error = put_group()) {
      ASSERT_EQ(error->code, ErrorCode::kStorageFull) << error->message;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << error->message;
      std::this_thread::yield();
    }
  }
  void expect_all_there() {
    for (int i = 0; i < next_; ++i) {
      const auto seq = store_->find(image_id(std::to_string(i))).value();
      ASSERT_TRUE(seq.has_value()) << i << " is lost";
      ASSERT_EQ(store_->image_bytes(*seq).value(),
                make_image(std::to_string(i), 20'000).bytes);
    }
    EXPECT_EQ(store_->ingest_totals().value().stored,
              static_cast<std::uint64_t>(next_));
  }

  static constexpr std::size_t kBallastBytes = 24 << 20;
  SmallDisk disk_{64};
  std::unique_ptr<Store> store_;
  int next_ = 0;  ///< images acknowledged
};

TEST_F(FullDiskTest, IsToldAndHealsOnceThereIsRoomAgain) {
  const Error error = fill();
  EXPECT_EQ(error.code, ErrorCode::kStorageFull);
  EXPECT_THAT(error.message, ::testing::HasSubstr("disk is full"));
  EXPECT_THAT(error.message, ::testing::HasSubstr(folder().string()));
  EXPECT_GT(next_, 100);
  // It stays full, reads go on, and other changes are told the same.
  for (int i = 0; i < 3; ++i) {
    const auto again = put_group();
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->code, ErrorCode::kStorageFull);
  }
  auto batch = store_->new_batch();
  batch->put_cluster_name(ClusterId(1), std::string(100'000, 'n'));
  EXPECT_EQ(
      store_->commit(std::move(batch), Durability::kBuffered).error().code,
      ErrorCode::kStorageFull);
  EXPECT_EQ(store_->checkpoint(disk_.path() / "copy").error().code,
            ErrorCode::kStorageFull);
  EXPECT_EQ(
      store_->commit(store_->new_batch(), Durability::kSynced).error().code,
      ErrorCode::kStorageFull);
  expect_all_there();

  make_room();
  for (int i = 0; i < 50; ++i) {
    const auto refused = put_group();
    ASSERT_FALSE(refused.has_value()) << refused->message;
  }
  expect_all_there();
  open();
  expect_all_there();
  store_.reset();
  const auto report = verify_store(folder()).value();
  EXPECT_TRUE(report.clean()) << report.violations.front();
  EXPECT_EQ(report.images, static_cast<std::uint64_t>(next_));
}

TEST_F(FullDiskTest, HealsTimeAndAgain) {
  fill();
  for (int round = 0; round < 2; ++round) {
    make_room();
    std::ofstream(ballast(), std::ios::binary)
        << std::string(kBallastBytes / 2, 'x');
    fill();
    expect_all_there();
  }
}

TEST_F(FullDiskTest, NothingIsLostWhenTheDaemonIsRestartedOnIt) {
  fill();
  store_.reset();
  std::filesystem::remove(ballast());
  open();
  expect_all_there();
  EXPECT_FALSE(put_group().has_value());
}

}  // namespace
}  // namespace shoal::test
