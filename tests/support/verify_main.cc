// shoal-verify STORE: walks a store (a backup, or one that no daemon has
// open), prints what it holds and every broken invariant; loads the models of
// its epochs, too.
// Exit status: 0 consistent, 1 not, 2 it could not be read.

#include <cstdio>
#include <string>
#include <vector>

#include "engine/online/embedding_model.h"
#include "store/store.h"
#include "store/verify.h"

namespace shoal {
namespace {

/// What is wrong with the model of `record`, or "".
std::string fault_of_model(const Store& store, const EpochRecord& record) {
  const auto bytes = store.epoch_model(record.id);
  if (!bytes) return bytes.error().message;
  const auto model = load_embedding_model(bytes.value());
  if (!model) return model.error().message;
  if (model.value()->dim() != static_cast<int>(record.embedding_dim)) {
    return "it gives " + std::to_string(model.value()->dim()) +
           " dimensions, not " + std::to_string(record.embedding_dim);
  }
  std::vector<std::string> views;
  for (const EmbeddingInput& input : model.value()->inputs()) {
    views.push_back(input.view);
  }
  return views == record.views ? "" : "it reads other views than the epoch's";
}

/// One sentence for each epoch whose model is of no use.
Result<std::vector<std::string>> check_models(
    const std::filesystem::path& folder) {
  StoreOptions options;
  options.folder = folder;
  options.read_only = true;
  SHOAL_TRY(store, open_rocksdb_store(options));
  SHOAL_TRY(epochs, store->epochs());
  std::vector<std::string> faults;
  for (const EpochRecord& record : epochs) {
    if (record.status != EpochStatus::kPublished &&
        record.status != EpochStatus::kHeld) {
      continue;
    }
    const std::string fault = fault_of_model(*store, record);
    if (!fault.empty()) {
      faults.push_back("model of epoch " + std::to_string(record.id.value()) +
                       ": " + fault);
    }
  }
  return faults;
}

int verify(const std::filesystem::path& folder) {
  const auto report = verify_store(folder);
  if (!report) {
    std::fprintf(stderr, "%s\n", report.error().message.c_str());
    return 2;
  }
  VerifyReport found = report.value();
  const auto faults = check_models(folder);
  // Damage that keeps them from being read has been found by the walk.
  if (!faults && found.clean()) {
    std::fprintf(stderr, "%s\n", faults.error().message.c_str());
    return 2;
  }
  if (faults) {
    for (const std::string& fault : faults.value()) {
      ++found.violation_count;
      found.violations.push_back(fault);
    }
  }
  std::printf(
      "images=%llu pending=%llu labels=%llu epochs=%llu "
      "violations=%llu\n",
      static_cast<unsigned long long>(found.images),
      static_cast<unsigned long long>(found.pending),
      static_cast<unsigned long long>(found.labels),
      static_cast<unsigned long long>(found.epochs),
      static_cast<unsigned long long>(found.violation_count));
  for (const std::string& violation : found.violations) {
    std::printf("%s\n", violation.c_str());
  }
  return found.clean() ? 0 : 1;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: shoal-verify STORE\n");
    return 2;
  }
  return shoal::verify(argv[1]);
}
