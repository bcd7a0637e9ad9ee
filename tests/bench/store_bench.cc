// The store against the disk alone. Run with --benchmark_filter=Put to see the
// ingest ratio: bytes_per_second of PutImages/G over that of RawAppend/G, the
// same bytes appended to one file in the same folder with one fdatasync a
// group. SHOAL_BENCH_DIR names the folder (default: the system's temporary
// one); it must be on the disk in question.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include <benchmark/benchmark.h>

#include "common/check.h"
#include "common/file.h"
#include "store/store.h"

namespace shoal {
namespace {

constexpr std::size_t kImageBytes = 20'000;
constexpr std::uint32_t kDim = 160;

/// A fresh folder on the disk in question.
class BenchFolder {
 public:
  BenchFolder() {
    if (const char* base = std::getenv("SHOAL_BENCH_DIR")) {
      ::setenv("TMPDIR", base, 1);
    }
    folder_ = std::make_unique<TemporaryFolder>(
        TemporaryFolder::create("shoal-bench").value());
  }
  [[nodiscard]] const std::filesystem::path& path() const {
    return folder_->path();
  }

 private:
  std::unique_ptr<TemporaryFolder> folder_;
};

std::unique_ptr<Store> open_store(const std::filesystem::path& folder) {
  StoreOptions options;
  options.folder = folder;
  return open_rocksdb_store(options).value();
}

std::string random_bytes(std::size_t size, std::mt19937_64& random) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// Groups of images that differ in id and, cheaply, in bytes.
class ImageSource {
 public:
  explicit ImageSource(std::size_t bytes)
      : template_(random_bytes(bytes, random_)) {}

  std::vector<NewImage> group(std::size_t count) {
    std::vector<NewImage> images(count);
    for (NewImage& image : images) {
      const std::string name = std::to_string(next_++);
      image.id = ImageId::parse("camera-7/frame-" + name).value();
      image.bytes = template_;
      image.bytes.replace(0, name.size(), name);
      image.digest[0] = static_cast<std::uint8_t>(next_);
      image.format = "jpeg";
      image.source = "camera-7";
      image.received_at = now();
    }
    return images;
  }
  [[nodiscard]] std::uint64_t made() const { return next_; }

 private:
  std::mt19937_64 random_{1};
  std::string template_;
  std::uint64_t next_ = 0;
};

/// Fills `store` with `count` small images, each with a label in epoch 1.
void fill(Store& store, std::uint64_t count) {
  ImageSource source(200);
  while (source.made() < count) {
    const auto outcomes = store.put_images(source.group(2'000)).value();
    auto batch = store.new_batch();
    for (const PutOutcome& outcome : outcomes) {
      batch->put_label(EpochId(1), outcome.seq, std::nullopt,
                       {ClusterId(1 + outcome.seq.value() % 1'000),
                        LabelState::kAssigned, 0.5F, 1.0F});
      batch->remove_pending(outcome.seq);
    }
    SHOAL_CHECK(store.commit(std::move(batch), Durability::kBuffered),
                "the store does not take labels");
  }
}

void RawAppend(benchmark::State& state) {
  const auto group = static_cast<std::size_t>(state.range(0));
  const BenchFolder folder;
  const auto file = folder.path() / "raw";
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  SHOAL_CHECK(fd >= 0, "cannot make the file");
  std::mt19937_64 random(1);
  const std::string bytes = random_bytes(group * kImageBytes, random);
  for (auto _ : state) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    SHOAL_CHECK(written == static_cast<ssize_t>(bytes.size()), "short write");
    SHOAL_CHECK(::fdatasync(fd) == 0, "cannot sync");
  }
  ::close(fd);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(bytes.size()));
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(group));
}
BENCHMARK(RawAppend)->Arg(1)->Arg(16)->Arg(64)->UseRealTime();

void PutImages(benchmark::State& state) {
  const auto group = static_cast<std::size_t>(state.range(0));
  const BenchFolder folder;
  const auto store = open_store(folder.path() / "data");
  ImageSource source(kImageBytes);
  for (auto _ : state) {
    state.PauseTiming();
    const auto images = source.group(group);
    state.ResumeTiming();
    SHOAL_CHECK(store->put_images(images).has_value(), "put failed");
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(group * kImageBytes));
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(group));
}
BENCHMARK(PutImages)->Arg(1)->Arg(16)->Arg(64)->UseRealTime();

/// What one arrival changes, in batches of range(0) arrivals.
void CommitLabels(benchmark::State& state) {
  const BenchFolder folder;
  const auto store = open_store(folder.path() / "data");
  const Vector embedding = Vector::Constant(kDim, 0.5F);
  std::uint64_t seq = 0;
  for (auto _ : state) {
    auto batch = store->new_batch();
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      const ImageSeq image(++seq);
      batch->put_label(
          EpochId(1), image, std::nullopt,
          {ClusterId(1 + seq % 1'000), LabelState::kAssigned, 0.5F, 1.0F});
      batch->put_embedding(EpochId(1), image, embedding);
      batch->add_history(image, {});
      batch->remove_pending(image);
    }
    SHOAL_CHECK(store->commit(std::move(batch), Durability::kBuffered),
                "commit failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(CommitLabels)->Arg(1)->Arg(32);

/// Id -> record and label among range(0) images, as a query does it.
void LookUpById(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  const BenchFolder folder;
  const auto store = open_store(folder.path() / "data");
  fill(*store, count);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    const auto id =
        ImageId::parse("camera-7/frame-" + std::to_string(random() % count));
    const auto seq = store->find(id.value()).value();
    SHOAL_CHECK(seq.has_value(), "an image is lost");
    benchmark::DoNotOptimize(store->images({*seq}).value());
    benchmark::DoNotOptimize(store->labels(EpochId(1), {*seq}).value());
  }
}
BENCHMARK(LookUpById)->Arg(10'000)->Arg(200'000);

/// Opening a store of range(0) images as a kill left it.
void OpenStore(benchmark::State& state) {
  const BenchFolder folder;
  {
    const auto store = open_store(folder.path() / "data");
    fill(*store, static_cast<std::uint64_t>(state.range(0)));
  }
  for (auto _ : state) {
    auto store = open_store(folder.path() / "data");
    benchmark::DoNotOptimize(store->ingest_totals().value());
    state.PauseTiming();
    store.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(OpenStore)
    ->Arg(10'000)
    ->Arg(1'000'000)
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace shoal

BENCHMARK_MAIN();
