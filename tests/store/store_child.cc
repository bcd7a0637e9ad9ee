// A second process for the store's tests.
//   store_child open FOLDER [UID]   opens the store, as user UID when given,
//                                   and prints "ok" or "<code>: <message>"
//   store_child write FOLDER SEED   stores groups of images without end and
//                                   prints the name of each image once it is
//                                   acknowledged

#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

int open_once(const StoreOptions& options) {
  const auto store = open_rocksdb_store(options);
  if (store.has_value()) {
    std::cout << "ok\n";
  } else {
    std::cout << to_string(store.error().code) << ": " << store.error().message
              << "\n";
  }
  return 0;
}

int write_without_end(const StoreOptions& options, const std::string& seed) {
  const auto store = open_rocksdb_store(options);
  if (!store.has_value()) {
    std::cerr << store.error().message << "\n";
    return 1;
  }
  std::mt19937 random(static_cast<unsigned>(std::stoul(seed)));
  for (std::uint64_t next = 0;;) {
    std::vector<NewImage> images;
    const auto group = 1 + random() % 8;
    for (unsigned i = 0; i < group; ++i, ++next) {
      images.push_back(
          make_image(seed + "-" + std::to_string(next), 1 + random() % 30'000));
    }
    const auto outcomes = store.value()->put_images(images);
    if (!outcomes.has_value()) {
      std::cerr << outcomes.error().message << "\n";
      return 1;
    }
    std::string names;
    for (const NewImage& image : images) names += image.id.str() + "\n";
    std::cout << names << std::flush;
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return 2;
  StoreOptions options;
  options.folder = arguments[1];
  // Small, so that files are flushed while the process is being killed.
  options.cache_bytes = 8ULL << 20;
  options.write_buffer_bytes = 2ULL << 20;
  if (arguments[0] == "write" && arguments.size() == 3) {
    return write_without_end(options, arguments[2]);
  }
  if (arguments[0] != "open") return 2;
  if (arguments.size() == 3) {
    const auto user = static_cast<uid_t>(std::stoul(arguments[2]));
    if (::setgid(user) != 0 || ::setuid(user) != 0) return 3;
  }
  return open_once(options);
}

}  // namespace
}  // namespace shoal::test

int main(int argc, char** argv) {
  return shoal::test::run(std::vector<std::string>(argv + 1, argv + argc));
}
