// shoal-verify STORE: walks a store (a backup, or one that no daemon has
// open), prints what it holds and every broken invariant.
// Exit status: 0 consistent, 1 not, 2 it could not be read.

#include <cstdio>

#include "store/verify.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: shoal-verify STORE\n");
    return 2;
  }
  const auto report = shoal::verify_store(argv[1]);
  if (!report) {
    std::fprintf(stderr, "%s\n", report.error().message.c_str());
    return 2;
  }
  const shoal::VerifyReport& found = report.value();
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
