#pragma once

#include <memory>
#include <random>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "common/file.h"
#include "store/store.h"

namespace shoal::test {

/// A store in a folder of its own, reopened at will.
class StoreFixture : public ::testing::Test {
 protected:
  StoreFixture()
      : temporary_(TemporaryFolder::create("shoal-store-test").value()) {}

  [[nodiscard]] std::filesystem::path folder() const {
    return temporary_.path() / "data";
  }
  void open() {
    store.reset();  // One process may have a folder open only once.
    StoreOptions options;
    options.folder = folder();
    options.cache_bytes = 32ULL << 20;
    options.write_buffer_bytes = 8ULL << 20;
    store = open_rocksdb_store(options).value();
  }
  void commit(std::unique_ptr<StoreBatch> batch) {
    const auto done = store->commit(std::move(batch), Durability::kBuffered);
    ASSERT_TRUE(done.has_value()) << done.error().message;
  }

  TemporaryFolder temporary_;
  std::unique_ptr<Store> store;
};

inline ImageId image_id(std::string_view text) {
  return ImageId::parse(text).value();
}

/// An image whose bytes follow from its id and `variant`.
inline NewImage make_image(const std::string& id, std::size_t size = 3'000,
                           unsigned variant = 0) {
  NewImage image;
  image.id = image_id(id);
  std::minstd_rand random(static_cast<unsigned>(std::hash<std::string>{}(id)) +
                          variant);
  image.bytes.resize(size);
  for (char& byte : image.bytes) byte = static_cast<char>(random() >> 8);
  image.digest = sha256(image.bytes);
  image.format = "jpeg";
  image.width = 640;
  image.height = 480;
  image.source = "cam-1";
  image.received_at = Timestamp(std::chrono::microseconds(1'700'000'000'000));
  image.meta = {{"shelf", "7"}};
  return image;
}

inline Label assigned(std::uint64_t cluster, float confidence = 0.5F) {
  return {ClusterId(cluster), LabelState::kAssigned, confidence, 1.5F};
}

}  // namespace shoal::test
