// shoal-dump-features STORE OUT: writes the features that a store (a backup,
// say) holds as OUT/<view>.f32 (rows of little-endian float32) with the ids in
// OUT/ids.txt, so that other programs can be run on the very same numbers.

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "store/store.h"

namespace shoal {
namespace {

Result<void> dump(const std::filesystem::path& folder,
                  const std::filesystem::path& out) {
  StoreOptions options;
  options.folder = folder;
  options.read_only = true;
  SHOAL_TRY(store, open_rocksdb_store(options));
  std::filesystem::create_directories(out);
  std::ofstream ids(out / "ids.txt");
  std::vector<ImageSeq> seqs;
  for (ImageSeq after;;) {
    SHOAL_TRY(page, store->arrivals(after, 1024));
    if (page.empty()) break;
    SHOAL_TRY(records, store->images(page));
    for (const auto& record : records) {
      if (record) ids << record->id.str() << "\n";
    }
    seqs.insert(seqs.end(), page.begin(), page.end());
    after = page.back();
  }
  for (const ViewKey& key : store->views()) {
    SHOAL_TRY(slot, store->open_view(key));
    SHOAL_TRY(features, store->features(slot, seqs));
    std::ofstream file(out / (key.name + ".f32"), std::ios::binary);
    file.write(reinterpret_cast<const char*>(features.data()),
               static_cast<std::streamsize>(
                   features.size() * static_cast<Eigen::Index>(sizeof(float))));
    if (!file) return io_error("write the features of " + key.name);
  }
  if (!ids) return io_error("write the ids");
  return ok();
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: shoal-dump-features STORE OUT\n");
    return 2;
  }
  const auto done = shoal::dump(argv[1], argv[2]);
  if (!done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
